"""CONNECT-UDP through the program: real sockets to UDP targets, by capsules over HTTP/1.1 and HTTP/2."""
import os

from harness.context import check, same
from harness.udp import UdpTarget, UdpTunnel


def open_tunnel(t, proxy, target):
    tunnel = UdpTunnel(t, proxy, target.host, target.port)
    same(tunnel.status, 101, "the answer")
    tunnel.send(b"first")
    same(target.recv(), b"first", "what the target got")
    return tunnel


def test_there_and_back(t):
    """Every length, over both families, arrives whole; so does an empty one."""
    proxy = t.proxy()
    for address in ("127.0.0.1", "::1"):
        try:
            target = UdpTarget(t, address)
        except OSError:
            continue  # no IPv6 here
        tunnel = open_tunnel(t, proxy, target)
        check(b"capsule-protocol: ?1" in tunnel.head, f"no Capsule-Protocol: {tunnel.head}")
        for length in (0, 1, 62, 63, 1200, 1472, 9000, 16000):
            payload = os.urandom(length)
            target.send(payload)
            same(tunnel.recv(), payload, f"{length} bytes from the target")
            tunnel.send(payload)
            same(target.recv(), payload, f"{length} bytes to the target")


def test_bursts(t):
    """Many at once keep their bounds and order, whatever the kernel makes of them."""
    proxy = t.proxy(limits={"datagram-queue": 4 << 20})
    target = UdpTarget(t)
    tunnel = open_tunnel(t, proxy, target)
    target.send(b"answer")
    same(tunnel.recv(), b"answer", "the answer")
    sizes = [1200] * 100 + [1200, 700, 700, 1300, 0, 5, 5, 5] + [1350] * 100
    payloads = [bytes([i % 256]) * size for i, size in enumerate(sizes)]
    tunnel.send(*payloads)
    for number, payload in enumerate(payloads):
        same(target.recv(), payload, f"datagram {number} to the target")
    while payloads:  # no more at once than the kernel's buffer holds
        some, payloads = payloads[:30], payloads[30:]
        for payload in some:
            target.send(payload)
        for payload in some:
            same(tunnel.recv(), payload, "a datagram from the target")


def test_only_the_target_is_heard(t):
    """A third party that knows the port is not: the socket is connected."""
    target = UdpTarget(t)
    tunnel = open_tunnel(t, t.proxy(), target)
    stranger = UdpTarget(t)
    stranger.peer = target.peer
    try:
        stranger.send(b"injected")
    except ConnectionRefusedError:
        pass
    target.send(b"genuine")
    same(tunnel.recv(), b"genuine", "the first that came")


def test_closed_port(t):
    """Where nobody listens the tunnel ends, and the client need not wait for a timeout."""
    closed = UdpTarget(t)
    closed.socket.close()
    tunnel = UdpTunnel(t, t.proxy(), closed.host, closed.port)
    same(tunnel.status, 101, "the answer")
    tunnel.send(b"anybody?", b"the error of the first is told to this one")
    try:
        while True:
            tunnel.recv()
    except (EOFError, OSError):
        pass


def test_refusals(t):
    """A wrong key, and a target that policy forbids, are refused without a socket."""
    proxy = t.proxy()
    target = UdpTarget(t)
    same(UdpTunnel(t, proxy, target.host, target.port, key="wrong-wrong-wrong").status, 403, "a wrong key")
    same(UdpTunnel(t, proxy, "10.255.0.1", 9).status, 403, "a private address")
