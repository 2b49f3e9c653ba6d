"""h2o's client: CONNECT and CONNECT-UDP over HTTP/3. It is built from source, so CI need not have it."""
import os
import socket
import subprocess

import peers
from harness import targets
from harness.context import KEY, same
from harness.udp import UdpTarget
from peers import WRONG_KEY


def client(t):
    path = os.environ.get("MASQUE_H2O_CLIENT")
    if not path:
        t.skip("MASQUE_H2O_CLIENT names no h2o-httpclient")
    return path


def connect(t, proxy, target, key):
    return [client(t), "-k", "-3", "100", "-m", "CONNECT", "-x", f"https://127.0.0.1:{proxy.port}", "-H",
            f"proxy-authorization: Preshared {key}", target.authority]


def test_large_transfer(t):
    """64 MiB from a target through CONNECT, whole."""
    size = min(peers.SIZE, 64 << 20)
    proxy, target = peers.proxy(t), targets.Target(t, targets.source(size))
    with subprocess.Popen(connect(t, proxy, target, KEY), stdin=subprocess.PIPE, stdout=subprocess.PIPE,
                          stderr=subprocess.DEVNULL) as process:
        whole = process.stdout.read(size)
        process.terminate()
    same(targets.hashlib.sha256(whole).hexdigest(), targets.pattern_digest(size), "the digest")


def begin(t, command, status):
    """The client runs, and said STATUS."""
    process = subprocess.Popen(command, stdin=subprocess.PIPE, stdout=subprocess.DEVNULL, stderr=subprocess.PIPE)
    t.defer(process.kill)
    same(process.stderr.readline().strip(), status, "the answer")


def test_wrong_key(t):
    """Also where it is the last that is tried on a connection."""
    proxy, target = t.proxy(limits={"auth-failures": 1}), targets.Target(t)
    begin(t, connect(t, proxy, target, KEY), b"HTTP/3 200")
    begin(t, connect(t, proxy, target, WRONG_KEY), b"HTTP/3 403")


def test_connect_udp(t):
    """In QUIC datagrams: what it hears on a local port comes to the target, and back."""
    proxy, target, local = peers.proxy(t), UdpTarget(t), t.free_port()
    begin(t, [client(t), "-k", "-3", "100", "-m", "CONNECT", "-X", str(local), "--upgrade", "connect-udp", "-H",
              f"proxy-authorization: Preshared {KEY}",
              f"https://127.0.0.1:{proxy.port}/.well-known/masque/udp/127.0.0.1/{target.port}/"], b"HTTP/3 200")
    near = socket.socket(socket.AF_INET, socket.SOCK_DGRAM)
    near.settimeout(30)
    near.connect(("127.0.0.1", local))
    t.defer(near.close)
    for length in (0, 1, 100, 1200):
        payload = os.urandom(length)
        near.send(payload)
        same(target.recv(), payload, f"{length} bytes to the target")
        target.send(payload)
        same(near.recv(2000), payload, f"{length} bytes from the target")
