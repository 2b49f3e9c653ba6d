"""What every proxy must do however it was started: tunnels, and each refusal with
the fields the documentation promises. Goal: one table for both HTTP versions.
"""
import re
import socket
import time

from harness import targets
from harness.context import KEY, check, same
from harness.dns import NameServer
from harness.h1 import H1, open_tunnel
from harness.h2 import H2

SERVER_TIMING = re.compile(r"^proxy;dur=\d+\.\d(, (dns|connect|auth);dur=\d+\.\d)*$")

# Idle CPU in a second; a spin takes all of it. Sanitizers are slow, so there is room.
IDLE_CPU_S = 0.3

# name, authority ("{refused}" becomes a port of ours nobody listens on), key, status, Proxy-Status error
REFUSALS = [
    ("wrong key", "target.test:{open}", KEY + "x", 403, "http_request_denied"),
    ("no key", "target.test:{open}", None, 403, "http_request_denied"),
    ("shorter key", "target.test:{open}", KEY[:-1], 403, "http_request_denied"),
    ("refused", "127.0.0.1:{refused}", KEY, 502, "connection_refused"),
    ("refused by name", "target.test:{refused}", KEY, 502, "connection_refused"),
    ("unknown name", "no-such-name.test:443", KEY, 502, "dns_error"),
    ("name without an address", "empty.test:443", KEY, 502, "dns_error"),
    ("private IPv4", "10.0.0.1:443", KEY, 403, "destination_ip_prohibited"),
    ("metadata", "169.254.169.254:80", KEY, 403, "destination_ip_prohibited"),
    ("private IPv6", "[fd00::1]:443", KEY, 403, "destination_ip_prohibited"),
    ("mapped", "[::ffff:10.0.0.1]:443", KEY, 403, "destination_ip_prohibited"),
    ("private by name", "private.test:443", KEY, 403, "destination_ip_prohibited"),
    ("mail", "198.41.0.4:25", KEY, 403, "destination_ip_prohibited"),
    ("no port", "target.test", KEY, 400, "http_request_error"),
    ("port 0", "target.test:0", KEY, 400, "http_request_error"),
    ("port too large", "target.test:65536", KEY, 400, "http_request_error"),
    ("short IPv4", "127.1:443", KEY, 400, "http_request_error"),
]
SCRIPT = {"target.test": {"A": [["127.0.0.1"]]}, "private.test": {"A": [["10.0.0.1"]], "AAAA": [["fd00::1"]]},
          "empty.test": {}}


def name_server(t, **more):
    return NameServer(t, {**SCRIPT, **more})


def refused_port(t):
    """A port that is ours, so that nobody else comes to listen on it."""
    place = t.keep(socket.socket())
    place.bind(("127.0.0.1", 0))
    return place.getsockname()[1]


def error_of(proxy_status):
    found = re.search(r"; ?error=(\w+)", proxy_status or "")
    return found[1] if found else None


def judge(name, status, get, wanted_status, wanted_error):
    same(status, wanted_status, f"{name}: status")
    check(SERVER_TIMING.match(get("server-timing") or ""), f"{name}: Server-Timing is {get('server-timing')!r}")
    same(error_of(get("proxy-status")), wanted_error, f"{name}: error in {get('proxy-status')!r}")


def check_h1_refusal(t, proxy, name, authority, key, status, error):
    client = H1(t, proxy)
    head = client.connect(authority, key=key)
    judge(f"HTTP/1.1, {name}", head.status, head.get, status, error)
    same(head.get("content-length"), "0", f"HTTP/1.1, {name}: Content-Length")
    same(client.rest, b"", f"HTTP/1.1, {name}: body")
    client.close()


def check_h2_refusal(t, proxy, name, authority, key, status, error):
    client = H2(t, proxy)
    stream = client.connect(authority, key=key)
    stream.await_answer()
    judge(f"HTTP/2, {name}", stream.status, stream.get, status, error)
    same(stream.read_to_end(), b"", f"HTTP/2, {name}: body")
    client.close()


def refusals(t, target):
    """The table with its ports filled in."""
    refused = refused_port(t)
    for name, authority, key, status, error in REFUSALS:
        yield name, authority.format(open=target.port, refused=refused), key, status, error


def check_refusals(t, proxy):
    for row in refusals(t, targets.Target(t)):
        check_h1_refusal(t, proxy, *row)
        check_h2_refusal(t, proxy, *row)


def check_tunnels(t, proxy, count=8):
    target = targets.Target(t)
    for authority in (target.authority, f"target.test:{target.port}"):
        for number in range(count):
            tunnel = open_tunnel(t, proxy, authority)
            same(tunnel.exchange(b"%d" % number * 5000), b"%d" % number * 5000, "HTTP/1.1: echo")
            tunnel.close()
        connection = H2(t, proxy)
        streams = [connection.open_tunnel(authority) for _ in range(count)]
        for number, stream in enumerate(streams):
            check(SERVER_TIMING.match(stream.get("server-timing") or ""), f"Server-Timing in {stream.fields}")
            same(stream.exchange(b"%d" % number * 5000), b"%d" % number * 5000, "HTTP/2: echo")
        connection.close()


def check_all(t, proxy):
    check_tunnels(t, proxy)
    check_refusals(t, proxy)


def check_idle(proxy, what):
    before = proxy.cpu_seconds()
    time.sleep(1)  # the measured time itself
    used = proxy.cpu_seconds() - before
    check(used < IDLE_CPU_S, f"{what}: {used} s of CPU time in an idle second")
