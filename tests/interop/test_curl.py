"""The newest suite's curl: CONNECT over HTTP/1.1 and HTTP/2, and a page over HTTP/3 through CONNECT-UDP over both."""
import hashlib
import subprocess

import peers
from harness.context import KEY, check, same
from harness.runner import limit
from peers import SIZE, SMALL, WRONG_KEY

# name, curl's flag for the proxy, its flag for the page, the page's version
WAYS = (("CONNECT, HTTP/1.1", [], "--http1.1", "1.1"), ("CONNECT, HTTP/2", ["--proxy-http2"], "--http2", "2"),
        ("CONNECT-UDP, HTTP/1.1", [], "--http3-only", "3"),
        ("CONNECT-UDP, HTTP/2", ["--proxy-http2"], "--http3-only", "3"))


def command(t, proxy, way, page, key=KEY):
    _, flags, version, _ = way
    return [peers.find(t, "curl"), "--silent", "--show-error", "--proxy", f"https://localhost:{proxy.port}", *flags,
            "--proxy-cacert", t.pki.ca, "--cacert", t.pki.ca, "--proxy-header",
            f"Proxy-Authorization: Preshared {key}", version, page]


def fetch(t, proxy, way, page):
    """Digest and length of the page."""
    whole, length = hashlib.sha256(), 0
    with subprocess.Popen(command(t, proxy, way, page), stdout=subprocess.PIPE, stderr=subprocess.PIPE) as curl:
        while piece := curl.stdout.read(1 << 20):
            whole.update(piece)
            length += len(piece)
        complaint = curl.stderr.read().decode()
    same((curl.returncode, complaint), (0, ""), way[0])
    return length, whole.hexdigest()


def test_page(t):
    proxy, origin = peers.proxy(t), peers.Origin(t)
    for way in WAYS:
        same(fetch(t, proxy, way, origin.page(SMALL)), (SMALL, peers.digest(SMALL)), way[0])
        done = peers.run(command(t, proxy, way, origin.page(1)) + ["--output", "/dev/null", "--write-out",
                                                                   "%{http_version} %{proxy_used}"])
        same(done.stdout.decode(), f"{way[3]} 1", f"{way[0]}: the page's version, and by a proxy")


@limit(900)
def test_large_page(t):
    proxy, origin = peers.proxy(t), peers.Origin(t)
    for way in WAYS:
        same(fetch(t, proxy, way, origin.page(SIZE)), (SIZE, peers.digest(SIZE)), way[0])


def test_wrong_key(t):
    proxy, origin = peers.proxy(t), peers.Origin(t)
    for way in WAYS:
        done = peers.run(command(t, proxy, way, origin.page(1), WRONG_KEY) + ["--output", "/dev/null", "--verbose"])
        check(done.returncode != 0 and b" 403" in done.stderr, f"{way[0]}: {done.stderr[-500:]}")
