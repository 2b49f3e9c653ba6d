"""Clients that are known by their certificates: over every version of HTTP, with lists of who may, revoked ones, other
methods beside it, and reloads."""
import json
import os
import socket
import ssl
import subprocess

from harness import targets
from harness.client_ca import ClientCa, key_hash
from harness.context import KEY, check, same
from harness.h2 import H2
from harness.probe import VERSIONS
from harness.tokens import Deployment


def tls(t, ca, crl=None):
    parts = {"certificate": t.pki.certificate, "private-key": t.pki.private_key, "client-ca": ca.ca}
    return {**parts, "client-crl": crl} if crl else parts


def mtls_proxy(t, ca, crl=None, allow=(), required=False, **auth):
    mtls = {"allow": list(allow), "required": str(required).lower()}
    return t.proxy(tls=tls(t, ca, crl), auth={"mtls": mtls, **auth}, limits={"auth-failures": 1000})


def ask(t, proxy, origin, flag, identity=None, *more):
    """The report of `masqueproxy get`."""
    program = os.path.join(os.path.dirname(t.program), "masqueproxy")
    command = [program, "get", f"https://localhost:{origin.port}/cdn-cgi/trace", "--proxy",
               f"https://127.0.0.1:{proxy.port}", "--ca", t.pki.ca, "--json", flag, *more]
    command += ["--certificate", identity[0], "--private-key", identity[1]] if identity else []
    done = subprocess.run(command, capture_output=True, timeout=60, env=t.environment(), cwd=t.folder)
    return json.loads(done.stdout)


def outcome(report):
    """The status, or that there was no connection: the handshake failed."""
    return report.get("status") or report["result"]


def preshared(t):
    return [{"name": "poc", "key-file": t.write("psk.txt", KEY + "\n")}]


def test_every_version(t):
    """Whom the CA has signed is let in, on TCP and UDP's version alike; nobody else is."""
    ca, other = ClientCa(t), ClientCa(t, "others")
    proxy, origin = mtls_proxy(t, ca), targets.HttpsOrigin(t)
    good, stranger = ca.issue("good"), other.issue("stranger")
    server = ca.issue("server", usage="serverAuth")
    late = ca.issue("late", days=-1)
    for flag, name in VERSIONS:
        for _ in range(2):  # also when the client could resume a session
            same(outcome(ask(t, proxy, origin, flag, good)), 200, f"{name}, a good one")
        same(outcome(ask(t, proxy, origin, flag)), 403, f"{name}, none")
        for identity, what in ((stranger, "another CA's"), (server, "a server's"), (late, "one that is over")):
            check(outcome(ask(t, proxy, origin, flag, identity)) in ("proxy", "refused"), f"{name}, {what}")


def test_required(t):
    """Without a certificate no request is made at all; beside a key both are needed."""
    ca = ClientCa(t)
    good, origin = ca.issue("good"), targets.HttpsOrigin(t)
    proxy = mtls_proxy(t, ca, required=True)
    both = mtls_proxy(t, ca, required=True, preshared=preshared(t))
    key = ("--preshared-key-file", t.write("probe.txt", KEY + "\n"))
    for flag, name in VERSIONS:
        same(outcome(ask(t, proxy, origin, flag, good)), 200, f"{name}, a good one")
        check(outcome(ask(t, proxy, origin, flag)) in ("proxy", "refused"), f"{name}, none")
        same(outcome(ask(t, both, origin, flag, good, *key)), 200, f"{name}, certificate and key")
        same(outcome(ask(t, both, origin, flag, good)), 403, f"{name}, certificate without key")
        check(outcome(ask(t, both, origin, flag, None, *key)) in ("proxy", "refused"), f"{name}, key alone")


def test_any_of(t):
    """Either a certificate or a key, where it is not required."""
    ca = ClientCa(t)
    good, origin = ca.issue("good"), targets.HttpsOrigin(t)
    proxy = mtls_proxy(t, ca, preshared=preshared(t))
    key = ("--preshared-key-file", t.write("probe.txt", KEY + "\n"))
    for flag, name in VERSIONS:
        same(outcome(ask(t, proxy, origin, flag, good)), 200, f"{name}, certificate")
        same(outcome(ask(t, proxy, origin, flag, None, *key)), 200, f"{name}, key")
        same(outcome(ask(t, proxy, origin, flag)), 403, f"{name}, neither")


def test_allow_list(t):
    ca, origin = ClientCa(t), targets.HttpsOrigin(t)
    identity = ca.issue("gateway", "/O=Example, Inc./CN=gateway 7", "DNS:Gateway.Test,URI:spiffe://example/gateway")
    spki = key_hash(identity[0])
    rows = (("subject:CN=gateway 7,O=Example\\, Inc.", 200), ("subject:CN=gateway 7", 403), ("dns:gateway.test", 200),
            ("dns:gateway", 403), ("spiffe://example/gateway", 200), ("spiffe://example/Gateway", 403),
            ("spiffe://example/gatewa", 403), ("sha256:" + spki, 200), ("sha256:" + spki[1:] + "0", 403))
    for rule, wanted in rows:
        proxy = mtls_proxy(t, ca, allow=["dns:somebody.else", rule])
        for flag, name in VERSIONS:
            same(outcome(ask(t, proxy, origin, flag, identity)), wanted, f"{rule} over {name}")


def test_revoked(t):
    ca, origin = ClientCa(t), targets.HttpsOrigin(t)
    good, bad = ca.issue("good"), ca.issue("bad")
    proxy = mtls_proxy(t, ca, ca.revoke(bad[0]))
    for flag, name in VERSIONS:
        same(outcome(ask(t, proxy, origin, flag, good)), 200, f"{name}, a good one")
        check(outcome(ask(t, proxy, origin, flag, bad)) in ("proxy", "refused"), f"{name}, a revoked one")
    # Another one later, by a reload.
    ca.revoke(good[0])
    same(proxy.reload()[0], "reload", "the reload")
    check(outcome(ask(t, proxy, origin, "--http2", good)) in ("proxy", "refused"), "revoked by a reload")


def test_with_tokens(t):
    """All of a list: a certificate says which company's gateway, a token that somebody vouches for its user."""
    d, ca, origin = Deployment(t), ClientCa(t), targets.HttpsOrigin(t)
    identity = ca.issue("gateway")
    proxy = mtls_proxy(t, ca, required=True, **{"private-token": d.keys.for_proxy()})
    same(d.get(count=2).status, 0, "token get")
    same(outcome(ask(t, proxy, origin, "--http3", identity, "--token-wallet", d.wallet)), 200, "both")
    same(outcome(ask(t, proxy, origin, "--http3", identity)), 403, "no token")


VERSIONS_OF_TLS = (ssl.TLSVersion.TLSv1_2, ssl.TLSVersion.TLSv1_3)


class Visitor:
    """CONNECTs by HTTP/1.1, each in a connection of its own that resumes the last one's session."""

    def __init__(self, t, version, identity=None):
        self.session = None
        self.context = ssl.create_default_context(cafile=t.pki.ca)
        self.context.minimum_version = self.context.maximum_version = version
        if identity:
            self.context.load_cert_chain(*identity)

    def visit(self, proxy):
        """(status, was a session resumed?); 0: the handshake failed."""
        try:
            with socket.create_connection(("127.0.0.1", proxy.port), 30) as raw:
                with self.context.wrap_socket(raw, server_hostname="localhost", session=self.session) as stream:
                    stream.sendall(b"CONNECT 127.0.0.1:1 HTTP/1.1\r\nHost: x\r\n\r\n")
                    status = int(stream.recv(4096).split()[1])
                    self.session = stream.session
                    return status, stream.session_reused
        except (ssl.SSLError, ConnectionResetError):
            return 0, False


def test_session_of_before(t):
    """A session from before certificates were asked for stands for none."""
    ca = ClientCa(t)
    for version in VERSIONS_OF_TLS:
        proxy, visitor = t.proxy(auth={"preshared": preshared(t)}, limits={"auth-failures": 1000}), Visitor(t, version)
        same([visitor.visit(proxy) for _ in range(2)], [(403, False), (403, True)], f"{version}: before")
        t.write_settings({**proxy.settings, "tls": tls(t, ca), "auth": {"mtls": {}, "preshared": preshared(t)}},
                         proxy.config_path)
        same(proxy.reload()[0], "reload", "the reload")
        same(visitor.visit(proxy), (403, False), f"{version}: behind the reload")


def test_session_keeps_the_identity(t):
    """Who resumes is who they were, until a rule, a CRL or the CA says otherwise. 502: nobody listens at the target."""
    for version in VERSIONS_OF_TLS:
        ca = ClientCa(t, f"ca{version}")
        names = ",".join(f"DNS:{'n' * 60}{i}.test" for i in range(8))
        good, other, wordy = ca.issue("good", names="DNS:good.test"), ca.issue("other"), ca.issue("wordy", names=names)
        proxy = mtls_proxy(t, ca, ca.revoke(), allow=["dns:good.test", f"dns:{'n' * 60}7.test"])
        for identity, wanted in ((good, [(502, False), (502, True), (502, True)]), (other, [(403, False), (403, True)]),
                                 (None, [(403, False), (403, True)]),
                                 (wordy, [(502, False), (502, False)])):  # who does not fit into a ticket
            visitor = Visitor(t, version, identity)
            same([visitor.visit(proxy) for _ in wanted], wanted, f"{version}, {identity}")
        visitor = Visitor(t, version, good)
        same(visitor.visit(proxy), (502, False), f"{version}: before it is revoked")
        ca.revoke(good[0])
        same(proxy.reload()[0], "reload", "the reload")
        same(visitor.visit(proxy), (0, False), f"{version}: revoked")


def test_another_ca(t):
    """Whom an old CA vouched for is not known any more after a reload, also on a connection that lives on."""
    old, new = ClientCa(t, "old"), ClientCa(t, "new")
    identity = old.issue("good")
    proxy, target = mtls_proxy(t, old), targets.Target(t)
    h2 = H2(t, proxy, identity=identity)
    fields = [(":method", "CONNECT"), (":authority", target.authority)]
    live = h2.request(fields)
    live.await_answer()
    same(live.get(":status"), "200", "before")
    t.write_settings({**proxy.settings, "tls": tls(t, new)}, proxy.config_path)
    same(proxy.reload()[0], "reload", "the reload")
    later = h2.request(fields)
    later.await_answer()
    same(later.get(":status"), "403", "after")
    same(live.exchange(b"still here"), b"still here", "the live tunnel")


def test_messages(t):
    ca = ClientCa(t)
    nothing, crl = t.write("nothing.pem", "x\n"), ca.revoke()
    rows = [({"tls": {**tls(t, ca), "client-ca": nothing}, "auth": {"mtls": {}}}, "the CA of clients can't be used"),
            ({"tls": {**tls(t, ca), "client-crl": nothing}, "auth": {"mtls": {}}}, "the CRL of clients can't be used"),
            ({"tls": {**tls(t, ca, crl), "client-ca": t.pki.ca}, "auth": {"mtls": {}}}, "the CRL of clients can't be used"),
            ({"tls": tls(t, ca), "auth": {"mtls": {"allow": ["dns:a", "b"]}}}, "“b” is no rule; expected subject:CN="),
            ({"tls": tls(t, ca), "auth": {"mtls": {"allow": ["sha256:12"]}}}, "“sha256:12” is no rule"),
            ({"auth": {"mtls": {"allow": []}}}, "needs tls.client-ca"),
            ({"tls": tls(t, ca), "auth": {"mtls": {"required": "maybe"}}}, "“maybe” is neither false nor true")]
    for parts, wanted in rows:
        done = t.run("--config", t.write_settings(t.settings(**parts)), "--test-config")
        check(done.returncode == 1 and wanted in done.stderr, f"{wanted}: {done.stderr}")
    done = t.run("--config", t.write_settings(t.settings(tls=tls(t, ca), auth=None)), "--test-config")
    same((done.returncode, done.stderr), (0, ""), "certificates alone")
