"""masque-go (CONNECT-UDP over HTTP/3, a page over HTTP/3 in it), quic-go (CONNECT over HTTP/3) and Go's
net/http2 (CONNECT over HTTP/2)."""
import peers
from harness.context import same
from harness.runner import limit
from peers import SIZE, SMALL, WRONG_KEY

WAYS = (("masque", "HTTP/3.0"), ("connect3", "HTTP/1.1"), ("connect2", "HTTP/1.1"))


def test_page(t):
    proxy, origin = peers.proxy(t), peers.Origin(t)
    for way, version in WAYS:
        line = peers.go(t, proxy.port, way, page=origin.page(SMALL))
        peers.check_line(way, line, SMALL, version)


@limit(900)
def test_large_page(t):
    proxy, origin = peers.proxy(t), peers.Origin(t)
    for way, version in WAYS:
        peers.check_line(way, peers.go(t, proxy.port, way, page=origin.page(SIZE)), SIZE, version)


def test_wrong_key(t):
    proxy, origin = peers.proxy(t), peers.Origin(t)
    for way, _ in WAYS:
        same(peers.go(t, proxy.port, way, page=origin.page(1), key=WRONG_KEY), "403", way)
