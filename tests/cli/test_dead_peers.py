"""Peers that die, or leave, while nothing is read from them. Goal: what was on its way
arrives, a death is noticed all the same, and an error that stays to be seen is no spin.
"""
import select
import socket
import time

from harness import basics, targets
from harness.context import check, same
from harness.h1 import open_tunnel
from harness.h2 import H2
from harness.tls import reset

QUIET_S = 0.5  # nothing moves any more
PATIENCE_MS = 30000


def fill(sock, send):
    """SENDs until everything up to the other end is full."""
    sent = 0
    sock.setblocking(False)
    while select.select([], [sock], [], QUIET_S)[1]:
        try:
            sent += send(bytes(1 << 16))
        except (BlockingIOError, InterruptedError):
            pass
    sock.setblocking(True)
    return sent


def await_hang_up(sock, what):
    """Polled for, not read: reading would let the proxy go on."""
    poll = select.poll()
    poll.register(sock, select.POLLERR | select.POLLHUP)
    check(poll.poll(PATIENCE_MS), what)


def test_target_resets_while_its_client_reads_nothing(t):
    """The rest waits for the client; meanwhile the dead socket must cost nothing."""
    listener = targets.Listener(t)
    proxy = t.proxy()
    tunnel = open_tunnel(t, proxy, listener.authority)
    target = listener.accept()
    sent = fill(target, target.send)
    check(sent > 100000, f"only {sent} bytes were sent")
    reset(target)
    basics.check_idle(proxy, "a target is dead")
    got = 0
    try:
        while piece := tunnel.recv():
            got += len(piece)
    except OSError:
        pass  # cut, not ended
    check(got > 0, "nothing of what the target had said arrived")
    same(open_tunnel(t, proxy, targets.Target(t).authority).exchange(b"x"), b"x", "another tunnel")


def unread(sock):
    """What the other end's socket, the proxy's, holds unread."""
    here, there = sock.getsockname()[1], sock.getpeername()[1]
    with open("/proc/net/tcp", encoding="ascii") as file:
        for line in file:
            fields = line.split()
            if fields[1].endswith(f":{there:04X}") and fields[2].endswith(f":{here:04X}"):
                return int(fields[4].split(":")[1], 16)
    return 0


def stays_unread(sock):
    end = time.monotonic() + QUIET_S
    while time.monotonic() < end:
        if unread(sock) == 0:
            return False
        select.select([], [], [], 0.01)
    return True


def full_tunnel(t, proxy, listener):
    """A client of which nothing is read any more, for its target reads nothing. All that it sent has
    left it, so that its end can be seen."""
    tunnel = open_tunnel(t, proxy, listener.authority)
    target = listener.accept()
    while not stays_unread(tunnel.stream.socket):
        tunnel.send(bytes(1 << 14))
    return tunnel.stream.socket, target


def test_client_resets_while_it_is_not_read(t):
    listener = targets.Listener(t)
    sock, target = full_tunnel(t, t.proxy(), listener)
    reset(sock)
    await_hang_up(target, "the client's reset was not noticed")


def test_client_resets_behind_its_end(t):
    """FIN first: that is seen once, and must not hide the reset."""
    listener = targets.Listener(t)
    proxy = t.proxy()
    sock, target = full_tunnel(t, proxy, listener)
    sock.shutdown(socket.SHUT_WR)
    basics.check_idle(proxy, "a client said FIN")
    reset(sock)
    await_hang_up(target, "the client's reset was not noticed")
    basics.check_idle(proxy, "a client is dead")


def test_upload_outlives_its_client(t):
    """END_STREAM and close_notify behind an upload. The target is slow, and says a word meanwhile: it
    gets all of the upload, and its end, not a reset."""
    size = 1 << 20
    listener = targets.Listener(t)
    listener.socket.setsockopt(socket.SOL_SOCKET, socket.SO_RCVBUF, 8192)
    proxy = t.proxy()
    client = H2(t, proxy)
    stream = client.open_tunnel(listener.authority)
    target = listener.accept()
    stream.send(bytes(size))
    stream.end()
    client.poll()
    client.stream.end()
    proxy.await_log("debug connection-end")
    target.sendall(b"a word")
    got = 0
    while piece := target.recv(1 << 18):
        got += len(piece)
    same(got, size, "bytes at the target before its end")
