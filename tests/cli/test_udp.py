"""CONNECT-UDP through the program: real sockets to UDP targets, by capsules over HTTP/1.1 and HTTP/2."""
import ctypes
import os
import socket

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


def sockets_of(process, kind):
    """Copies of a process's sockets of a kind: pidfd_getfd(2) takes them, which Python has no function for."""
    libc = ctypes.CDLL(None, use_errno=True)
    handle = os.pidfd_open(process)
    found = []
    for name in os.listdir(f"/proc/{process}/fd"):
        if os.readlink(f"/proc/{process}/fd/{name}").startswith("socket:"):
            copy = libc.syscall(438, handle, int(name), 0)
            check(copy >= 0, f"pidfd_getfd: {os.strerror(ctypes.get_errno())}")
            found.append(socket.socket(fileno=copy))
    os.close(handle)
    wanted = [sock for sock in found if sock.type == kind]
    for sock in found:
        if sock not in wanted:
            sock.close()
    return wanted


def test_nothing_is_fragmented(t):
    """DF is set on what goes to clients (RFC 9000 14) and to targets (RFC 9298 3.1), without the kernel's own idea of the
    path's size."""
    mtu_discover, probe = 10, 3  # IP_MTU_DISCOVER, IP_PMTUDISC_PROBE
    port = t.free_port()
    proxy = t.proxy(listen=[{"address": f"127.0.0.1:{port}", "protocols": ["h3", "http/1.1"]}])
    target = UdpTarget(t)
    open_tunnel(t, proxy, target)
    ours = sockets_of(proxy.pid, socket.SOCK_DGRAM)
    for sock in ours:
        t.defer(sock.close)
        same(sock.getsockopt(socket.IPPROTO_IP, mtu_discover), probe, f"IP_MTU_DISCOVER of {sock.getsockname()}")
    names = [sock.getsockname()[1] for sock in ours]
    check(port in names and target.peer[1] in names, f"both sides among {names}")


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
