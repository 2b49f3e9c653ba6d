// privacypass-ts as client, issuer and verifier, for test_privacypass.py:
//   client ATTESTER USER:PASSWORD     a Proxy-Authenticate value on standard input; prints an Authorization value for
//                                     each challenge in it
//   issuer PORT CERTIFICATE KEY       serves; prints its keys in JSON, a line
//   verify                            lines of TYPE KEY TOKEN, Base64 (type 1: the private key); prints true or false
import { readFileSync } from "node:fs";
import { createServer } from "node:https";
import { webcrypto } from "node:crypto";

globalThis.crypto ??= webcrypto;
const pp = await import("@cloudflare/privacypass-ts");
const { BlindRSAMode, getPublicKeyBytes, convertRSASSAPSSToEnc } = pp.publicVerif;
const base64url = (bytes) => Buffer.from(bytes).toString("base64").replaceAll("+", "-").replaceAll("/", "_");
const bytes = (text) => new Uint8Array(Buffer.from(text, "base64url"));

const clientOf = (type) =>
  type === pp.TOKEN_TYPES.VOPRF.value ? new pp.privateVerif.Client() : new pp.publicVerif.Client(BlindRSAMode.PSS);

async function client(attester, account) {
  const directory = await (await fetch(attester + pp.PRIVATE_TOKEN_ISSUER_DIRECTORY)).json();
  for (const header of pp.WWWAuthenticateHeader.parse(readFileSync(0, "utf8").trim())) {
    const client = clientOf(header.challenge.tokenType);
    // It appends to what it is given.
    const headers = new Headers({ Authorization: "Basic " + Buffer.from(account).toString("base64") });
    const listed = directory["token-keys"].some((key) => key["token-key"] === base64url(header.tokenKey));
    if (!listed) throw new Error("the challenge's key is not in the directory");
    const request = await client.createTokenRequest(header.challenge, header.tokenKey);
    const answer = await pp.sendTokenRequest(request.serialize(), attester + directory["issuer-request-uri"], headers);
    const token = await client.finalize(client.deserializeTokenResponse(answer));
    console.log(new pp.AuthorizationHeader(token).toString());
  }
}

async function answer(issuers, batch, type, body) {
  if (type === pp.MediaType.GENERIC_BATCHED_TOKEN_REQUEST) {
    const response = await batch.issue(pp.genericBatched.BatchedTokenRequest.deserialize(body));
    return [pp.MediaType.GENERIC_BATCHED_TOKEN_RESPONSE, response.serialize()];
  }
  const entry = pp.tokenRequestToTokenTypeEntry(body);
  const isVoprf = entry.value === pp.TOKEN_TYPES.VOPRF.value;
  const request = isVoprf
    ? pp.privateVerif.TokenRequest.deserialize(body)
    : pp.publicVerif.TokenRequest.deserialize(entry, body);
  return [pp.MediaType.PRIVATE_TOKEN_RESPONSE, (await issuers[entry.value].issue(request)).serialize()];
}

async function issuer(port, certificate, key) {
  const rsa = await pp.publicVerif.Issuer.generateKey(BlindRSAMode.PSS, {
    modulusLength: 2048,
    publicExponent: Uint8Array.from([1, 0, 1]),
  });
  const voprf = await pp.privateVerif.keyGen();
  const name = "localhost";
  const issuers = {
    1: new pp.privateVerif.Issuer(name, voprf.privateKey, voprf.publicKey),
    2: new pp.publicVerif.Issuer(BlindRSAMode.PSS, name, rsa.privateKey, rsa.publicKey),
  };
  const batch = new pp.genericBatched.Issuer(issuers[1], issuers[2]);
  const keys = { 1: base64url(voprf.publicKey), 2: base64url(await getPublicKeyBytes(rsa.publicKey)) };
  const directory = {
    "issuer-request-uri": "/request",
    "token-keys": [1, 2].map((type) => ({ "token-type": type, "token-key": keys[type] })),
  };
  createServer({ cert: readFileSync(certificate), key: readFileSync(key) }, async (request, response) => {
    if (request.url === pp.PRIVATE_TOKEN_ISSUER_DIRECTORY) {
      response.setHeader("Content-Type", pp.MediaType.PRIVATE_TOKEN_ISSUER_DIRECTORY);
      return response.end(JSON.stringify(directory));
    }
    const body = [];
    for await (const piece of request) body.push(piece);
    const sent = new Uint8Array(Buffer.concat(body));
    const [type, bytes] = await answer(issuers, batch, request.headers["content-type"], sent);
    response.setHeader("Content-Type", type);
    response.end(Buffer.from(bytes));
  }).listen(Number(port), "127.0.0.1", () =>
    console.log(JSON.stringify({ 1: keys[1], 2: keys[2], private: base64url(voprf.privateKey) })),
  );
}

async function verify() {
  for (const line of readFileSync(0, "utf8").trim().split("\n")) {
    const [type, key, token] = line.split(" ");
    const entry = type === "1" ? pp.TOKEN_TYPES.VOPRF : pp.TOKEN_TYPES.BLIND_RSA;
    const read = pp.AuthorizationHeader.parse(entry, `PrivateToken token=${token}`)[0].token;
    if (type === "1") {
      console.log(await new pp.privateVerif.Origin().verify(read, bytes(key)));
    } else {
      const spki = await crypto.subtle.importKey("spki", convertRSASSAPSSToEnc(bytes(key)),
        { name: "RSA-PSS", hash: "SHA-384" }, true, ["verify"]);
      console.log(await new pp.publicVerif.Origin(BlindRSAMode.PSS).verify(read, spki));
    }
  }
}

const [role, ...rest] = process.argv.slice(2);
await { client, issuer, verify }[role](...rest);
