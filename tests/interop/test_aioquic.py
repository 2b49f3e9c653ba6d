"""aioquic: CONNECT and CONNECT-UDP over HTTP/3. It is Python: a large page is 16 MiB here."""
import pathlib

import peers
from harness.client_ca import ClientCa
from harness.context import KEY, check, same
from harness.runner import limit
from peers import SIZE, SMALL, WRONG_KEY

HERE = pathlib.Path(__file__).resolve().parent
CLIENT, SESSION = str(HERE / "aioquic_client.py"), str(HERE / "aioquic_session.py")
WAYS = (("connect", "HTTP/1.1"), ("udp", "HTTP/3.0"))
LARGE = min(SIZE, 16 << 20)


def ask(t, proxy, way, page, key=KEY):
    done = peers.run([peers.find(t, "python") + "/bin/python3", CLIENT, way, f"localhost:{proxy.port}", key, t.pki.ca,
                      page])
    check(done.returncode == 0, f"{way}: {done.stderr.decode()[-800:]}")
    return done.stdout.decode().strip()


def test_page(t):
    proxy, origin = peers.proxy(t), peers.Origin(t)
    for way, version in WAYS:
        peers.check_line(way, ask(t, proxy, way, origin.page(SMALL)), SMALL, version)


@limit(600)
def test_large_page(t):
    proxy, origin = peers.proxy(t), peers.Origin(t)
    for way, version in WAYS:
        peers.check_line(way, ask(t, proxy, way, origin.page(LARGE)), LARGE, version)


def test_wrong_key(t):
    proxy, origin = peers.proxy(t), peers.Origin(t)
    for way, _ in WAYS:
        same(ask(t, proxy, way, origin.page(1), WRONG_KEY), "403", way)


def visits(t, way, *identities):
    """Statuses and kinds of handshakes, where the certificate of “good” lets in; 502: nobody listens at port 1."""
    ca = ClientCa(t)
    files = [file for name in identities for file in ca.issue(name, names=f"DNS:{name}.test")]
    proxy = t.proxy(tls={"certificate": t.pki.certificate, "private-key": t.pki.private_key, "client-ca": ca.ca},
                    auth={"mtls": {"allow": ["dns:good.test"]}}, limits={"auth-failures": 100})
    done = peers.run([peers.find(t, "python") + "/bin/python3", SESSION, way, f"localhost:{proxy.port}", t.pki.ca,
                      "127.0.0.1:1", *files])
    check(done.returncode == 0, f"{way}: {done.stdout.decode()} {done.stderr.decode()[-800:]}")
    return done.stdout.decode().splitlines()


def test_session_of_a_certificate(t):
    """Who resumes a session is who they were by the certificate of the first handshake."""
    same(visits(t, "resume", "good"), ["502 full", "502 resumed", "502 resumed"], "let in")


def test_session_of_another_certificate(t):
    same(visits(t, "resume", "other"), ["403 full", "403 resumed", "403 resumed"], "not let in")


def test_stolen_ticket(t):
    """A ticket that stands beside one's own makes nobody somebody else."""
    same(visits(t, "steal", "other", "good"), ["502 full", "403 full", "403 resumed"], "")
