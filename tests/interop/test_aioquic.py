"""aioquic: CONNECT and CONNECT-UDP over HTTP/3. It is Python: a large page is 16 MiB here."""
import pathlib

import peers
from harness.context import KEY, check, same
from harness.runner import limit
from peers import SIZE, SMALL, WRONG_KEY

CLIENT = str(pathlib.Path(__file__).resolve().parent / "aioquic_client.py")
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
