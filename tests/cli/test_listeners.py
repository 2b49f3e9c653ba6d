"""Listeners with a certificate, a raw public key (RFC 7250) or methods of their own; clients that show raw public keys,
ours and GnuTLS's; all over every version of HTTP, and over reloads."""
import json
import os
import shutil
import subprocess

from harness import targets
from harness.client_ca import ClientCa
from harness.context import KEY, Skip, check, same
from harness.pki import openssl
from harness.probe import VERSIONS


class RawKey:
    def __init__(self, t, name):
        self.path = str(t.folder / f"{name}.key")
        openssl("genpkey", "-algorithm", "EC", "-pkeyopt", "ec_paramgen_curve:P-256", "-out", self.path)
        os.chmod(self.path, 0o600)
        self.public = str(t.folder / f"{name}.pub")
        openssl("pkey", "-in", self.path, "-pubout", "-out", self.public)
        der = subprocess.run(["openssl", "pkey", "-in", self.path, "-pubout", "-outform", "DER"], capture_output=True,
                             check=True).stdout
        digest = subprocess.run(["openssl", "dgst", "-sha256", "-r"], input=der, capture_output=True, check=True).stdout
        self.hash = "sha256:" + digest.decode().split()[0]


def ask(t, port, origin, flag, *more):
    """The status, or why there was none, that `masqueproxy get` reports."""
    program = os.path.join(os.path.dirname(t.program), "masqueproxy")
    command = [program, "get", f"https://localhost:{origin.port}/cdn-cgi/trace", "--proxy", f"https://127.0.0.1:{port}",
               "--ca", t.pki.ca, "--json", flag, *more]
    done = subprocess.run(command, capture_output=True, timeout=60, env=t.environment(), cwd=t.folder)
    report = json.loads(done.stdout)
    return report.get("status") or report["result"]


def two_listeners(t, **second):
    """Two ports: the second one has what SECOND says."""
    return [{"address": f"127.0.0.1:{t.free_port()}"}, {"address": f"127.0.0.1:{t.free_port()}", **second}]


def test_server_key(t):
    """A client pins the proxy's key, and trusts no certificate instead; others don't take a key for a certificate."""
    server, other, origin = RawKey(t, "server"), RawKey(t, "other"), targets.HttpsOrigin(t)
    proxy = t.proxy(listen=two_listeners(t, **{"private-key": server.path, "raw-public-key": True}))
    (_, certified), (_, raw) = proxy.addresses
    key = ("--preshared-key-file", t.write("probe.txt", KEY + "\n"))
    for flag, name in VERSIONS:
        same(ask(t, raw, origin, flag, *key, "--proxy-key", server.hash), 200, f"{name}, its key")
        same(ask(t, raw, origin, flag, *key, "--proxy-key", other.hash), "proxy", f"{name}, another key")
        same(ask(t, certified, origin, flag, *key, "--proxy-key", server.hash), "proxy", f"{name}, a certificate")
        same(ask(t, raw, origin, flag, *key), "proxy", f"{name}, no key expected")
        same(ask(t, certified, origin, flag, *key), 200, f"{name}, the other listener")


def test_client_keys(t):
    """Keys that a rule names, beside or without certificates."""
    ca, mine, other, origin = ClientCa(t), RawKey(t, "mine"), RawKey(t, "other"), targets.HttpsOrigin(t)
    mtls = {"allow": [mine.hash, "dns:client.test"], "raw-public-keys": True}
    alone = t.proxy(auth={"mtls": mtls})
    both = t.proxy(tls={"certificate": t.pki.certificate, "private-key": t.pki.private_key, "client-ca": ca.ca},
                   auth={"mtls": {**mtls, "required": True}})
    certificate = ca.issue("good")
    for flag, name in VERSIONS:
        for proxy, what in ((alone, "keys alone"), (both, "either")):
            same(ask(t, proxy.port, origin, flag, "--private-key", mine.path), 200, f"{name}, {what}")
            same(ask(t, proxy.port, origin, flag, "--private-key", other.path), 403, f"{name}, {what}, another key")
        same(ask(t, alone.port, origin, flag), 403, f"{name}, nothing")
        same(ask(t, both.port, origin, flag, "--certificate", certificate[0], "--private-key", certificate[1]), 200,
             f"{name}, a certificate")
        check(ask(t, both.port, origin, flag) in ("proxy", "refused"), f"{name}, nothing where it is required")


def test_methods(t):
    """Each listener asks for what it was told."""
    ca, origin = ClientCa(t), targets.HttpsOrigin(t)
    identity = ca.issue("good")
    certificate = ("--certificate", identity[0], "--private-key", identity[1])
    key = ("--preshared-key-file", t.write("probe.txt", KEY + "\n"))
    own = t.pki.issue("second", "serverAuth")
    listeners = [{"address": f"127.0.0.1:{t.free_port()}", **more} for more in (
        {}, {"auth": ["preshared"]}, {"auth": ["mtls"], "certificate": own[0], "private-key": own[1]},
        {"auth": ["mtls", "preshared"], "mtls-required": True})]
    proxy = t.proxy(listen=listeners, limits={"auth-failures": 1000}, auth={
        "mtls": {}, "preshared": [{"name": "poc", "key-file": t.write("psk.txt", KEY + "\n")}]},
        tls={"certificate": t.pki.certificate, "private-key": t.pki.private_key, "client-ca": ca.ca})
    rows = ((200, 200, 200), (200, 403, 200), (403, 200, 200), ("proxy", 403, 200))
    for flag, name in VERSIONS:
        for (_, port), wanted in zip(proxy.addresses, rows):
            for credentials, status in zip((key, certificate, key + certificate), wanted):
                found = ask(t, port, origin, flag, *credentials)
                check(found == status or (status == "proxy" and found == "refused"),
                      f"{name}, {port}, {credentials[0]}: {found}, expected {status}")


def test_reload(t):
    """What a listener asks for follows a reload; its address doesn't."""
    origin = targets.HttpsOrigin(t)
    listeners = two_listeners(t)
    proxy = t.proxy(listen=listeners)
    key = ("--preshared-key-file", t.write("probe.txt", KEY + "\n"))
    raw = RawKey(t, "raw")
    same([ask(t, port, origin, "--http2", *key) for _, port in proxy.addresses], [200, 200], "before")
    listeners[1].update({"private-key": raw.path, "raw-public-key": True})
    t.write(proxy.config_path, json.dumps({**proxy.settings, "listen": listeners}))
    same(proxy.reload()[0], "reload", "the reload")
    end = "--proxy-key", raw.hash
    same([ask(t, port, origin, "--http2", *key) for _, port in proxy.addresses], [200, "proxy"], "after")
    same(ask(t, proxy.addresses[1][1], origin, "--http3", *key, *end), 200, "by the key")
    listeners[1]["private-key"] = t.write("nonsense.key", "nonsense\n")
    t.write(proxy.config_path, json.dumps({**proxy.settings, "listen": listeners}))
    what, line = proxy.reload()
    check(what == "reload-failed" and "listen[1].private-key" in line, f"a bad key: {line}")


def test_reload_of_addresses(t):
    """Sockets stay until a restart, and what is asked for at each is by its address: whatever is put before it, taken out
    or turned around."""
    ca, origin = ClientCa(t), targets.HttpsOrigin(t)
    key = ("--preshared-key-file", t.write("probe.txt", KEY + "\n"))
    auth = {"mtls": {}, "preshared": [{"name": "poc", "key-file": t.write("psk.txt", KEY + "\n")}]}
    tls = {"certificate": t.pki.certificate, "private-key": t.pki.private_key, "client-ca": ca.ca}
    strict = {"address": f"127.0.0.1:{t.free_port()}", "auth": ["mtls"], "mtls-required": True}
    plain = {"address": f"127.0.0.1:{t.free_port()}", "auth": ["preshared"]}
    more = {"address": f"127.0.0.1:{t.free_port()}", "auth": ["preshared"]}
    proxy = t.proxy(listen=[strict, plain], auth=auth, tls=tls)
    (_, strict_port), (_, plain_port) = proxy.addresses
    for listen in ([more, strict, plain], [plain, strict], [plain], [more], [strict, plain]):
        t.write(proxy.config_path, json.dumps({**proxy.settings, "listen": listen}))
        what, line = proxy.reload()
        same(what, "reload", f"{listen}: {line}")
        for flag, name in VERSIONS:
            found = ask(t, strict_port, origin, flag, *key)
            check(found in ("proxy", "refused"), f"{listen}, {name}: {found} without a certificate")
        same(ask(t, plain_port, origin, "--http2", *key), 200, f"{listen}: the other one")


def test_every_listener_its_own(t):
    """Then the section tls may do without."""
    origin, own = targets.HttpsOrigin(t), t.pki.issue("own", "serverAuth")
    proxy = t.proxy(tls=None, listen=[{"address": f"127.0.0.1:{t.free_port()}", "certificate": own[0],
                                       "private-key": own[1]}])
    key = ("--preshared-key-file", t.write("probe.txt", KEY + "\n"))
    for flag, name in VERSIONS:
        same(ask(t, proxy.port, origin, flag, *key), 200, name)


def test_gnutls(t):
    """Raw public keys as GnuTLS has them, of both sides; the second connection resumes the first one's session."""
    if not shutil.which("gnutls-cli"):
        raise Skip("gnutls-cli is not installed")
    server, mine, other = RawKey(t, "server"), RawKey(t, "mine"), RawKey(t, "other")
    target = targets.Target(t)
    proxy = t.proxy(tls={"private-key": server.path, "raw-public-key": True},
                    auth={"mtls": {"allow": [mine.hash], "raw-public-keys": True}})
    for key, status in ((mine, "200"), (other, "403")):
        command = ["gnutls-cli", "--resume", "--no-ca-verification", "--rawpkkeyfile", key.path, "--rawpkfile", key.public,
                   "--priority", "NORMAL:+CTYPE-CLI-RAWPK:+CTYPE-SRV-RAWPK:-VERS-ALL:+VERS-TLS1.3", "--port",
                   str(proxy.port), "localhost"]
        request = f"CONNECT {target.authority} HTTP/1.1\r\nHost: {target.authority}\r\n\r\n"
        done = subprocess.run(command, input=request, capture_output=True, text=True, timeout=60)
        check("This is a resumed session" in done.stdout, f"resumed: {done.stdout}{done.stderr}")
        check(f"HTTP/1.1 {status}" in done.stdout, f"{status}: {done.stdout}{done.stderr}")


def test_messages(t):
    key, other = RawKey(t, "key"), RawKey(t, "other")
    ca = ClientCa(t)
    tls = {"certificate": t.pki.certificate, "private-key": t.pki.private_key}
    rows = [
        ({"listen": two_listeners(t, auth=["password"])}, "listen[1].auth”: “password” is no method"),
        ({"listen": two_listeners(t, auth=["basic"])}, "listen[1]”: its list `auth` names a method"),
        ({"listen": two_listeners(t, auth=["preshared"], **{"mtls-required": True})}, "listen[1].mtls-required”: needs"),
        ({"listen": two_listeners(t, certificate=t.pki.certificate)}, "listen[1].certificate”: give certificate and"),
        ({"listen": two_listeners(t, **{"private-key": key.path})}, "listen[1].private-key”: give certificate and"),
        ({"listen": two_listeners(t, certificate=t.pki.certificate, **{"private-key": key.path})},
         "listen[1].private-key”: " + key.path + ": the private key does not belong to the certificate"),
        ({"tls": {**tls, "raw-public-key": True}}, "tls.raw-public-key”: goes with a private-key"),
        ({"tls": {"private-key": key.public, "raw-public-key": True}}, "tls.private-key”"),
        ({"auth": {"mtls": {"allow": [key.hash]}}}, "auth.mtls”: needs tls.client-ca"),
        ({"tls": {**tls, "client-crl": ca.ca}, "auth": {"mtls": {"raw-public-keys": True}}}, "tls.client-crl”: needs"),
    ]
    for changes, wanted in rows:
        done = t.run("--config", t.write_settings(t.settings(**changes)), "--test-config")
        check(done.returncode == 1 and wanted in done.stderr, f"{changes}: {done.stderr}")
    program = os.path.join(os.path.dirname(t.program), "masqueproxy")
    done = subprocess.run([program, "get", "https://x/", "--proxy", "https://x", "--proxy-key", "sha256:12"],
                          capture_output=True, text=True, timeout=60)
    check(done.returncode == 2 and "“sha256:12” is no hash" in done.stderr, done.stderr)
