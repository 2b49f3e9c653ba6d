"""The end of the program. Goal: SIGTERM lets live tunnels finish and says so to
clients, its time limit cuts them, SIGINT doesn't wait; status 0 each time.
"""
import signal
import socket

from harness import h2, targets
from harness.context import check, same
from harness.h1 import H1, open_tunnel
from harness.h2 import H2


def is_refused(t, proxy):
    try:
        H1(t, proxy)
        return False
    except OSError:
        return True


def both_tunnels(t, proxy, listener):
    tunnel = open_tunnel(t, proxy, listener.authority)
    one = listener.accept()
    stream = H2(t, proxy).open_tunnel(listener.authority)
    return tunnel, one, stream, listener.accept()


def test_sigterm_without_connections(t):
    for workers in (1, 2):
        proxy = t.proxy(workers=workers)
        proxy.signal(signal.SIGTERM)
        same(proxy.wait(), 0, "exit status")
        proxy.await_log(" info drain: ")


def test_sigterm_with_idle_connections(t):
    """They have nothing to finish, so they don't hold the program for the drain-timeout."""
    proxy = t.proxy(**{"drain-timeout": "1h"})
    connection = H2(t, proxy)
    connection.wait(lambda: connection.settings)
    H1(t, proxy)
    proxy.signal(signal.SIGTERM)
    connection.wait_closed()
    check(connection.goaways, "no GOAWAY")
    same(proxy.wait(), 0, "exit status")


def test_live_tunnels_finish(t):
    listener = targets.Listener(t)
    proxy = t.proxy(**{"drain-timeout": "1h"})
    tunnel, one, stream, other = both_tunnels(t, proxy, listener)
    proxy.signal(signal.SIGTERM)
    stream.connection.wait(lambda: stream.connection.goaways)
    same([code for _, code in stream.connection.goaways], [h2.NO_ERROR] * len(stream.connection.goaways), "GOAWAY")
    check(is_refused(t, proxy), "a new connection was taken")
    late = stream.connection.connect(listener.authority)
    late.await_answer()
    check(late.status == 503 or late.reset_code == h2.REFUSED_STREAM or not late.status,
          f"a new tunnel while draining: {late.status}")
    check(not listener.was_called(), "the target of a new tunnel was called")
    for client, target in ((tunnel, one), (stream, other)):
        client.send(b"up")
        same(target.recv(10), b"up", "bytes to the target")
        target.sendall(b"down")
        same(client.read(4), b"down", "bytes to the client")
    check(proxy.process.poll() is None, "the program ended with live tunnels")
    for client, target in ((tunnel, one), (stream, other)):
        client.end()
        same(target.recv(10), b"", "the end at the target")
        target.close()
        same(client.read_to_end(), b"", "the end at the client")
    tunnel.close()
    same(proxy.wait(), 0, "exit status")


def ended(read):
    """How a connection ended: "end" or "reset"."""
    try:
        return "end" if not read() else "bytes"
    except OSError:  # ConnectionResetError, or SSLEOFError of an end without close_notify
        return "reset"


def test_drain_timeout_cuts(t):
    listener = targets.Listener(t)
    proxy = t.proxy(**{"drain-timeout": "300ms"})
    tunnel, one, stream, other = both_tunnels(t, proxy, listener)
    proxy.signal(signal.SIGTERM)
    same(proxy.wait(), 0, "exit status")
    proxy.await_log("warning drain: the drain timeout passed")
    same(ended(tunnel.recv), "reset", "HTTP/1.1: a cut tunnel at the client")
    same([ended(lambda s=s: s.recv(10)) for s in (one, other)], ["reset"] * 2, "a cut tunnel at the target")
    check(ended(stream.read_to_end) == "reset" or not stream.ended, "HTTP/2: a cut tunnel looks complete")


def test_sigint_ends_at_once(t):
    listener = targets.Listener(t)
    for workers in (1, 2):
        proxy = t.proxy(workers=workers, **{"drain-timeout": "1h"})
        _, one, _, other = both_tunnels(t, proxy, listener)
        proxy.signal(signal.SIGINT)
        same(proxy.wait(), 0, "exit status")
        same([ended(lambda s=s: s.recv(10)) for s in (one, other)], ["reset"] * 2, "a cut tunnel at the target")


def test_sigint_while_draining(t):
    listener = targets.Listener(t)
    proxy = t.proxy(**{"drain-timeout": "1h"})
    both_tunnels(t, proxy, listener)
    proxy.signal(signal.SIGTERM)
    proxy.await_log(" info drain: ")
    proxy.signal(signal.SIGTERM)  # once more means nothing more
    proxy.signal(signal.SIGHUP)
    proxy.signal(signal.SIGINT)
    same(proxy.wait(), 0, "exit status")


def test_sigint_while_resolving_and_dialing(t):
    """Requests that wait for a name or a target are no reason to stay, or to leak."""
    silent = socket.socket(socket.AF_INET, socket.SOCK_DGRAM)
    t.keep(silent).bind(("127.0.0.1", 0))
    full = socket.create_server(("127.0.0.1", 0), backlog=0)
    t.keep(full)
    proxy = t.proxy(dns={"servers": [f"127.0.0.1:{silent.getsockname()[1]}"]})
    connection = H2(t, proxy)
    for _ in range(3):  # a backlog of 0 takes one or two; the rest keeps on dialing
        connection.connect(f"127.0.0.1:{full.getsockname()[1]}")
    connection.connect("slow.test:443")
    silent.settimeout(30)
    silent.recvfrom(512)
    proxy.signal(signal.SIGINT)
    same(proxy.wait(), 0, "exit status")


def test_port_is_free_afterwards(t):
    """A restart right after the end gets the port back."""
    target = targets.Target(t)
    proxy = t.proxy()
    open_tunnel(t, proxy, target.authority).exchange(b"x")
    proxy.signal(signal.SIGINT)
    same(proxy.wait(), 0, "exit status")
    again = t.proxy(listen=proxy.settings["listen"])
    same(open_tunnel(t, again, target.authority).exchange(b"x"), b"x", "echo after the restart")
