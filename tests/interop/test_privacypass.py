"""privacypass-ts (npm): its client with our attester, issuer and proxy; our client with its issuer; and each one's tokens
before the other."""
import json
import os
import pathlib
import subprocess

import peers
from harness import targets
from harness.context import check, same
from harness.h1 import H1
from harness.tokens import ORIGIN, PASSWORD, TYPES, Deployment, Run, show

SCRIPT = "interop.mjs"


def node(t, *arguments, given=""):
    folder = pathlib.Path(peers.find(t, "privacypass"))
    done = peers.run(["node", str(folder / SCRIPT), *arguments], input=given.encode(), seconds=120,
                     env={**os.environ, "NODE_EXTRA_CA_CERTS": t.pki.ca})
    check(done.returncode == 0, f"{arguments}: {done.stderr.decode()[-800:]}")
    return done.stdout.decode().splitlines()


def challenge_of(t, proxy, target):
    """What a request without credentials is told."""
    connection = H1(t, proxy)
    head = connection.ask(f"CONNECT {target.authority} HTTP/1.1\r\nHost: {target.authority}\r\n\r\n".encode())
    connection.close()
    same(head.status, 407, "without credentials")
    return head.get("proxy-authenticate")


def test_their_client(t):
    """It reads our challenges, gets tokens of our issuer through our attester, and our proxy takes them, once."""
    d, target = Deployment(t), targets.Target(t)
    proxy = t.proxy(auth={"challenge": "true", "private-token": d.keys.for_proxy()}, limits={"auth-failures": 100})
    for _ in range(2):
        credentials = node(t, "client", f"https://localhost:{d.attester.port}", f"alice:{PASSWORD}",
                           given=challenge_of(t, proxy, target))
        same(len(credentials), len(TYPES), "credentials, one for each challenge")
        for credential in credentials:
            check(credential.startswith("PrivateToken token="), credential[:40])
            same(show(t, proxy, target.authority, credential), 200, "the first time")
            same(show(t, proxy, target.authority, credential), 403, "again")


class TheirIssuer:
    def __init__(self, t):
        self.port = t.free_port()
        folder = pathlib.Path(peers.find(t, "privacypass"))
        self.process = subprocess.Popen(["node", str(folder / SCRIPT), "issuer", str(self.port), t.pki.certificate,
                                         t.pki.private_key], stdout=subprocess.PIPE)
        t.defer(self.close)
        self.keys = json.loads(self.process.stdout.readline())

    def close(self):
        self.process.terminate()
        self.process.wait(30)
        self.process.stdout.close()


def test_their_issuer(t):
    """Our client gets tokens of it, alone and in batches; its verifier and our proxy take them."""
    issuer, target, wallet = TheirIssuer(t), targets.Target(t), str(t.folder / "wallet")
    private = t.write("voprf.key", issuer.keys["private"] + "\n")
    rows = [{"issuer": "localhost", "origin": ORIGIN, "public-key": issuer.keys["2"]},
            {"issuer": "localhost", "origin": ORIGIN, "public-key": issuer.keys["1"], "private-key-file": private}]
    proxy = t.proxy(auth={"private-token": rows}, limits={"auth-failures": 100})
    for kind in TYPES:
        for count in (1, 5):
            got = Run(t, "get", "--issuer", f"https://localhost:{issuer.port}", "--origin", ORIGIN, "--token-type",
                      str(kind), "--count", str(count), "--token-wallet", wallet, "--ca", t.pki.ca)
            same((got.status, got.err), (0, ""), f"{count} of type {kind}")
            tokens = [Run(t, "export", "--token-wallet", wallet).out.strip() for _ in range(count)]
            key = issuer.keys["private" if kind == 1 else "2"]
            same(node(t, "verify", given="".join(f"{kind} {key} {token}\n" for token in tokens)), ["true"] * count,
                 f"its verifier on {count} of type {kind}")
            for token in tokens:
                same(show(t, proxy, target.authority, f"PrivateToken token={token}"), 200, f"our proxy, type {kind}")
                same(show(t, proxy, target.authority, f"PrivateToken token={token}"), 403, f"again, type {kind}")
