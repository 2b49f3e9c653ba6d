"""What systemd expects: sockets that were passed, and being told of the state."""
import os
import signal
import socket
import subprocess
import sys

from harness import basics, targets
from harness.context import check, same
from harness.h1 import H1, open_tunnel


# Puts the sockets where systemd puts them, 3, 4, …, and becomes the program, which keeps the process id.
WRAP = """
import fcntl, os, sys
fds = [fcntl.fcntl(int(fd), fcntl.F_DUPFD, 100) for fd in sys.argv[1].split(",")]
for number, fd in enumerate(fds):
    os.dup2(fd, 3 + number)
    os.close(fd)
os.environ.update(LISTEN_FDS=str(len(fds)), LISTEN_PID=str(os.getpid()))
os.execv(sys.argv[2], sys.argv[2:])
"""


def passed(t, count=1):
    """Listening sockets, what to put in front of the program, and the descriptors it is to inherit."""
    listeners = [targets.Listener(t) for _ in range(count)]
    files = tuple(listener.socket.fileno() for listener in listeners)
    return listeners, (sys.executable, "-c", WRAP, ",".join(map(str, files))), files


def test_sockets(t):
    listeners, wrap, files = passed(t, 2)
    proxy = t.proxy(wrap=wrap, files=files, listen=None)
    same([port for _, port in proxy.addresses], [listener.port for listener in listeners], "ports")
    target = targets.Target(t)
    for number in (0, 1):
        same(open_tunnel(t, proxy, target.authority, number=number).exchange(b"x"), b"x", f"socket {number}")


def test_sockets_replace_listen(t):
    listeners, wrap, files = passed(t)
    proxy = t.proxy(wrap=wrap, files=files)
    same([port for _, port in proxy.addresses], [listeners[0].port], "ports")


def test_sockets_of_two_workers(t):
    _, wrap, files = passed(t)
    proxy = t.proxy(wrap=wrap, files=files, listen=None, workers=2,
                    dns={"servers": [basics.name_server(t).endpoint]}, limits={"auth-failures": 100})
    basics.check_all(t, proxy)


def test_own_address_of_a_passed_socket(t):
    """A proxy must not call itself, however it came to its address."""
    _, wrap, files = passed(t)
    proxy = t.proxy(wrap=wrap, files=files, listen=None)
    same(H1(t, proxy).connect(f"127.0.0.1:{proxy.port}").status, 403, "CONNECT to the proxy itself")


def test_drain_and_reload_with_passed_sockets(t):
    _, wrap, files = passed(t)
    proxy = t.proxy(wrap=wrap, files=files, listen=None)
    same(proxy.reload()[0], "reload", "event")
    tunnel = open_tunnel(t, proxy, targets.Target(t).authority)
    proxy.signal(signal.SIGTERM)
    proxy.await_log("info drain")
    same(tunnel.exchange(b"x"), b"x", "echo after a reload, while draining")
    tunnel.close()
    same(proxy.wait(), 0, "exit status")


def test_no_socket(t):
    """What was passed on is a file, or a socket that doesn't listen."""
    path = t.write_settings(t.settings())
    with open(os.devnull, "rb") as file, socket.socket() as deaf:
        for thing in (file, deaf):
            done = subprocess.run([sys.executable, "-c", WRAP, str(thing.fileno()), t.program, "--config", path],
                                  capture_output=True, text=True, timeout=30, env=t.environment(),
                                  pass_fds=(thing.fileno(),))
            same((done.returncode, done.stderr), (1, "masqueproxyd: LISTEN_FDS names descriptor 3, which is no listening TCP "
                                                     "socket; unset it, or pass one\n"), f"exit status for {thing}")


def test_sockets_for_another_process(t):
    """LISTEN_PID of somebody else, or none: the variables are not for us."""
    for environment in ({"LISTEN_FDS": "1", "LISTEN_PID": "1"}, {"LISTEN_FDS": "1"}, {"LISTEN_FDS": "x"}):
        proxy = t.proxy(environment=environment)
        same(open_tunnel(t, proxy, targets.Target(t).authority).exchange(b"x"), b"x", f"{environment}")


def notified(t, address):
    receiver = t.keep(socket.socket(socket.AF_UNIX, socket.SOCK_DGRAM))
    receiver.bind(address)
    receiver.settimeout(30)
    return receiver


def test_notifications(t):
    path = str(t.folder / "notify")
    for name, address in ((path, path), (f"@masque-{os.getpid()}", f"\0masque-{os.getpid()}")):
        receiver = notified(t, address)
        proxy = t.proxy(environment={"NOTIFY_SOCKET": name})
        same(receiver.recv(4096), b"READY=1", f"{name}: after the start")
        proxy.reload()
        states = [receiver.recv(4096).split(b"\n")[0], receiver.recv(4096).split(b"\n")[0]]
        same(states, [b"RELOADING=1", b"READY=1"], f"{name}: at a reload")
        proxy.signal(signal.SIGTERM)
        check(receiver.recv(4096).startswith(b"STOPPING=1"), f"{name}: at the end")
        same(proxy.wait(), 0, "exit status")


def test_reload_notification_has_a_time(t):
    """Type=notify-reload wants MONOTONIC_USEC beside RELOADING=1 (sd_notify(3))."""
    path = str(t.folder / "notify")
    receiver = notified(t, path)
    proxy = t.proxy(environment={"NOTIFY_SOCKET": path})
    receiver.recv(4096)
    proxy.reload()
    state = receiver.recv(4096).decode().split("\n")
    check(any(line.startswith("MONOTONIC_USEC=") for line in state), f"{state}")


def test_ready_comes_after_binding(t):
    """Who was told READY=1 can connect."""
    path = str(t.folder / "notify")
    receiver = notified(t, path)
    target = targets.Target(t)
    proxy = t.proxy(environment={"NOTIFY_SOCKET": path})
    same(receiver.recv(4096), b"READY=1", "state")
    same(open_tunnel(t, proxy, target.authority).exchange(b"x"), b"x", "echo")


def test_nobody_to_notify(t):
    for name in (str(t.folder / "nobody-listens"), "relative", "@", "", "/" + "x" * 300):
        proxy = t.proxy(environment={"NOTIFY_SOCKET": name})
        proxy.signal(signal.SIGTERM)
        same(proxy.wait(), 0, f"exit status with NOTIFY_SOCKET={name[:20]}")
