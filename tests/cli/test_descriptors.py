"""File descriptors run out. Goal: refusals instead of a spin or a stop, and a
recovery when some come back.
"""
import socket

from harness import basics, targets
from harness.context import check, same
from harness.dns import NameServer
from harness.h1 import H1, open_tunnel
from harness.h2 import H2

LIMIT = ("prlimit", "--nofile=64:64")


def open_until_refused(t, proxy, authority):
    """Tunnels, until one is refused by a 503 or a closed connection."""
    tunnels = []
    for _ in range(64):
        try:
            client = H1(t, proxy)
            head = client.connect(authority)
        except (OSError, AssertionError):
            return tunnels, "closed"
        if head.status != 200:
            same((head.status, basics.error_of(head.get("proxy-status"))), (503, "connection_limit_reached"), "refusal")
            client.close()
            return tunnels, "503"
        tunnels.append(client)
    raise AssertionError("64 descriptors were enough for 64 tunnels")


def test_out_of_descriptors(t):
    target = targets.Target(t)
    proxy = t.proxy(wrap=LIMIT)
    tunnels, how = open_until_refused(t, proxy, target.authority)
    check(len(tunnels) > 10, f"only {len(tunnels)} tunnels ({how})")
    for tunnel in tunnels:
        same(tunnel.exchange(b"still"), b"still", "a tunnel that was there")
    basics.check_idle(proxy, "nothing left")
    ends = len(proxy.log())
    for tunnel in tunnels[:len(tunnels) // 2]:
        tunnel.close()
    proxy.await_log("connection-end", ends)
    for tunnel in tunnels[len(tunnels) // 2:]:
        same(tunnel.exchange(b"still"), b"still", "a tunnel that stays")
    same(open_tunnel(t, proxy, target.authority).exchange(b"again"), b"again", "a new tunnel after some closed")


def test_waiting_clients_are_no_spin(t):
    """More clients knock than descriptors are left: they are told by a close, and nothing spins."""
    target = targets.Target(t)
    proxy = t.proxy(wrap=LIMIT, limits={"handshake-timeout-ms": 60000})
    tunnel = open_tunnel(t, proxy, target.authority)
    knocks = [t.keep(socket.create_connection(proxy.endpoint(), 30)) for _ in range(80)]
    proxy.await_log(r"warning connection-refused worker=0: no descriptor is left \(\d+\)")
    basics.check_idle(proxy, "80 clients that say nothing")
    same(tunnel.exchange(b"still"), b"still", "the tunnel")
    for knock in knocks:
        knock.close()
    for _ in range(100):
        try:
            late = H1(t, proxy)
            status = late.connect(target.authority).status
        except (OSError, AssertionError):
            continue  # one of those closes that is not seen yet
        if status == 200:
            same(late.exchange(b"again"), b"again", "a new tunnel")
            return
    raise AssertionError("no recovery")


def test_h2_streams_without_descriptors(t):
    """One connection, more tunnels than descriptors: 503 for the rest, the others live."""
    target = targets.Target(t)
    proxy = t.proxy(wrap=LIMIT)
    connection = H2(t, proxy)
    streams = [connection.connect(target.authority) for _ in range(80)]
    statuses = [stream.await_answer() for stream in streams]
    same(set(statuses), {200, 503}, "statuses")
    refused = streams[statuses.index(503)]
    same(basics.error_of(refused.get("proxy-status")), "connection_limit_reached", "error")
    live = [stream for stream in streams if stream.status == 200]
    for stream in live:
        same(stream.exchange(b"still"), b"still", "a tunnel that was opened")
    basics.check_idle(proxy, "80 streams")
    live[0].end()
    live[0].read_to_end()
    same(connection.open_tunnel(target.authority).exchange(b"again"), b"again", "a new tunnel after one ended")


def test_names_resolve_without_descriptors(t):
    """The resolver's socket is kept, so a name is 503 for lack of a descriptor, not 502 for lack of an answer."""
    target = targets.Target(t)
    server = NameServer(t, {"n.test": {"A": [["127.0.0.1"]]}})
    proxy = t.proxy(wrap=LIMIT, dns={"servers": [server.endpoint]})
    connection = H2(t, proxy)
    same(connection.connect(f"n.test:{target.port}").await_answer(), 200, "before")
    streams = [connection.connect(target.authority) for _ in range(80)]
    for stream in streams:
        stream.await_answer()
    last = connection.connect(f"n.test:{target.port}")
    last.await_answer()
    same((last.status, basics.error_of(last.get("proxy-status"))), (503, "connection_limit_reached"), "a name")
