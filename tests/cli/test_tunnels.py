"""Tunnels with our own clients: bytes, ends and resets, many at once, IPv6."""
import hashlib
import os
import shutil
import socket
import subprocess

from harness import h2, targets
from harness.context import check, same
from harness.h1 import H1, open_tunnel
from harness.h2 import H2
from harness.runner import limit, namespaced
from harness.tls import reset

SIZE = int(os.environ.get("MASQUE_CLI_SIZE_MIB", "1024")) << 20


# --- bulk ----------------------------------------------------------------------------

def both_versions(t, proxy, authority):
    """The same tunnel in HTTP/1.1 and in HTTP/2."""
    yield "HTTP/1.1", open_tunnel(t, proxy, authority)
    yield "HTTP/2", H2(t, proxy).open_tunnel(authority)


def upload(t, number):
    target = targets.Target(t, targets.digest_of_all)
    version, tunnel = list(both_versions(t, t.proxy(), target.authority))[number]
    for piece in targets.pattern(SIZE):
        tunnel.send(piece)
    tunnel.end()
    same(tunnel.read_to_end().decode(), targets.pattern_digest(SIZE), f"{version}: digest at the target")


def download(t, number):
    target = targets.Target(t, targets.source(SIZE))
    version, tunnel = list(both_versions(t, t.proxy(), target.authority))[number]
    digest, size = hashlib.sha256(), 0
    take = tunnel.recv if number == 0 else tunnel.take
    while piece := take():
        digest.update(piece)
        size += len(piece)
    same(size, SIZE, f"{version}: bytes at the client")
    same(digest.hexdigest(), targets.pattern_digest(SIZE), f"{version}: digest at the client")


@limit(600)
def test_h1_upload(t):
    upload(t, 0)


@limit(600)
def test_h1_download(t):
    download(t, 0)


@limit(600)
def test_h2_upload(t):
    upload(t, 1)


@limit(600)
def test_h2_download(t):
    download(t, 1)


def test_both_ways_at_once(t):
    target = targets.Target(t)
    for version, tunnel in both_versions(t, t.proxy(), target.authority):
        for piece in targets.pattern(8_000_000):
            for at in range(0, len(piece), 50_000):
                part = piece[at:at + 50_000]
                check(tunnel.exchange(part) == part, f"{version}: the echo differs")


# --- ends ---------------------------------------------------------------------------------

def test_client_ends_first(t):
    """The client's end is carried; the target goes on speaking."""
    listener = targets.Listener(t)
    for version, tunnel in both_versions(t, t.proxy(), listener.authority):
        target = listener.accept()
        tunnel.send(b"question")
        tunnel.end()
        same(target.recv(100), b"question", f"{version}: bytes at the target")
        same(target.recv(100), b"", f"{version}: the end at the target")
        target.sendall(b"answer")
        same(tunnel.read(6), b"answer", f"{version}: bytes behind the client's end")
        target.close()
        same(tunnel.read_to_end(), b"", f"{version}: the end at the client")


def test_target_ends_first(t):
    """The target's end is carried; the client goes on speaking."""
    listener = targets.Listener(t)
    proxy = t.proxy()
    for version, tunnel in both_versions(t, proxy, listener.authority):
        target = listener.accept()
        target.sendall(b"greeting")
        target.shutdown(socket.SHUT_WR)
        same(tunnel.read_to_end(), b"greeting", f"{version}: bytes before the target's end")
        tunnel.send(b"late")
        same(target.recv(100), b"late", f"{version}: bytes behind the target's end")
        tunnel.end()
        same(target.recv(100), b"", f"{version}: the end at the target")


def test_ended_tunnels_leave_nothing(t):
    """Both orders of ending give back every descriptor."""
    listener = targets.Listener(t)
    proxy = t.proxy()
    for first in ("client", "target") * 5:
        for _, tunnel in both_versions(t, proxy, listener.authority):
            target = listener.accept()
            ends = [tunnel.end, lambda s=target: s.shutdown(socket.SHUT_WR)]
            for end in ends if first == "client" else reversed(ends):
                end()
            same(target.recv(100), b"", "the end at the target")
            same(tunnel.read_to_end(), b"", "the end at the client")
            target.close()
            (tunnel if isinstance(tunnel, H1) else tunnel.connection).close()
    after = len(proxy.log())
    proxy.signal(15)
    same(proxy.wait(20), 0, f"exit status after every tunnel ended (log: {proxy.log()[after:]!r})")


def test_target_resets(t):
    listener = targets.Listener(t)
    proxy = t.proxy()
    tunnel = open_tunnel(t, proxy, listener.authority)
    reset(listener.accept())
    try:
        piece = tunnel.recv()
        raise AssertionError(f"HTTP/1.1: the target's reset became {piece!r}")
    except ConnectionResetError:
        pass
    stream = H2(t, proxy).open_tunnel(listener.authority)
    reset(listener.accept())
    same(stream.read_to_end(), b"", "HTTP/2: bytes")
    same(stream.reset_code, h2.CONNECT_ERROR, "HTTP/2: code of the stream's reset")
    check(not stream.connection.closed, "HTTP/2: the connection ended with one tunnel")


def is_reset(connection):
    try:
        return connection.recv(100) == b"never"
    except ConnectionResetError:
        return True


def test_client_resets(t):
    listener = targets.Listener(t)
    proxy = t.proxy()
    tunnel = open_tunnel(t, proxy, listener.authority)
    target = listener.accept()
    tunnel.reset()
    check(is_reset(target), "HTTP/1.1: the client's reset is an end at the target")
    for code in (h2.CANCEL, h2.CONNECT_ERROR):
        stream = H2(t, proxy).open_tunnel(listener.authority)
        target = listener.accept()
        stream.reset(code)
        check(is_reset(target), f"HTTP/2: the client's RST_STREAM {code} is an end at the target")


def test_client_is_cut(t):
    """FIN without close_notify may be an attacker's: the target must not take it for an end."""
    listener = targets.Listener(t)
    tunnel = open_tunnel(t, t.proxy(), listener.authority)
    target = listener.accept()
    tunnel.send(b"half of it")
    same(target.recv(100), b"half of it", "bytes at the target")
    tunnel.stream.socket.shutdown(socket.SHUT_WR)
    check(is_reset(target), "a cut became an end at the target")


def test_answer_head_alone(t):
    """A target that speaks first: its bytes are never in the TLS record of the answer's head."""
    target = targets.Target(t, lambda connection: connection.sendall(b"220 ready\r\n"))
    proxy = t.proxy()
    for _ in range(20):
        tunnel = open_tunnel(t, proxy, target.authority)
        same(tunnel.rest, b"", "bytes behind the head in its record")
        same(tunnel.read(11), b"220 ready\r\n", "the greeting")


# --- many ---------------------------------------------------------------------------------

def test_hundred_h1_connections(t):
    target = targets.Target(t)
    proxy = t.proxy()
    tunnels = [open_tunnel(t, proxy, target.authority) for _ in range(100)]
    for number, tunnel in enumerate(tunnels):
        tunnel.send(b"%03d" % number * 1000)
    for number, tunnel in enumerate(tunnels):
        check(tunnel.read(3000) == b"%03d" % number * 1000, f"tunnel {number}: another one's bytes")
    try:
        H1(t, proxy)
        raise AssertionError("connections-per-source is 100, but the 101st connection was taken")
    except OSError:
        pass
    same(open_tunnel(t, proxy, target.authority, source="127.0.0.2").exchange(b"x"), b"x", "another source")
    tunnels[0].close()
    proxy.await_log("connection-end")
    same(open_tunnel(t, proxy, target.authority).exchange(b"x"), b"x", "a place that became free")


def test_hundred_h2_streams(t):
    target = targets.Target(t)
    connection = H2(t, t.proxy())
    streams = [connection.connect(target.authority) for _ in range(100)]
    for number, stream in enumerate(streams):
        same(stream.await_answer(), 200, f"stream {number}")
    same(connection.settings.get(h2.MAX_CONCURRENT_STREAMS), 100, "SETTINGS_MAX_CONCURRENT_STREAMS")
    for number, stream in enumerate(streams):
        stream.send(b"%03d" % number * 1000)
    for number, stream in enumerate(streams):
        check(stream.read(3000) == b"%03d" % number * 1000, f"stream {number}: another one's bytes")
    streams[0].end()
    streams[0].read_to_end()
    same(connection.open_tunnel(target.authority).exchange(b"x"), b"x", "a place that became free")


def test_h2_stream_past_the_limit(t):
    """RFC 9113 5.1.2 wants a stream error; 5.4.2 allows to make it the connection's."""
    target = targets.Target(t)
    connection = H2(t, t.proxy(limits={"tunnels-per-connection": 2}))
    streams = [connection.open_tunnel(target.authority) for _ in range(2)]
    extra = connection.connect(target.authority)
    extra.await_answer()
    refused = extra.status == 503 or extra.reset_code in (h2.PROTOCOL_ERROR, h2.REFUSED_STREAM)
    check(refused or connection.goaways, f"stream 3: {extra.status}, reset {extra.reset_code}, no GOAWAY")
    if refused:
        same(streams[0].exchange(b"x"), b"x", "a tunnel that was there before")


# --- IPv6 ------------------------------------------------------------------------------------

def test_ipv6(t):
    if not has_ipv6():
        t.skip("no IPv6 on the loopback interface")
    port = t.free_port("::1")
    proxy = t.proxy(listen=[{"address": f"[::1]:{port}"}])
    for address in ("::1", "127.0.0.1"):
        target = targets.Target(t, address=address)
        for version, tunnel in both_versions(t, proxy, target.authority):
            same(tunnel.exchange(b"ping"), b"ping", f"{version} to {address}")


def test_every_address(t):
    """":PORT" listens for IPv6 and IPv4."""
    if not has_ipv6():
        t.skip("no IPv6 on the loopback interface")
    port = t.free_port()
    proxy = t.proxy(listen=[{"address": f":{port}"}])
    target = targets.Target(t)
    for address in ("127.0.0.1", "::1"):
        proxy.addresses = [(address, port)]
        same(open_tunnel(t, proxy, target.authority).exchange(b"ping"), b"ping", f"listening on {address}")


def has_ipv6():
    try:
        with socket.create_server(("::1", 0), family=socket.AF_INET6):
            return True
    except OSError:
        return False


@namespaced
def test_address_that_came_later(t):
    """What the machine is given while the proxy runs is its own address, too: no way to itself, nor to
    what else listens on every address; but a rule may allow it."""
    if not shutil.which("ip"):
        t.skip("no ip program")
    service = targets.Target(t, address="0.0.0.0")
    proxy = t.proxy(listen=[{"address": "0.0.0.0:4433"}], targets={"allow": ["45.60.0.2:1-65535"]})
    proxy.addresses = [("127.0.0.1", 4433)]
    for address in ("45.60.0.1", "45.60.0.2"):
        subprocess.run(["ip", "addr", "add", f"{address}/32", "dev", "lo"], check=True, timeout=30)
    same(H1(t, proxy).connect(f"45.60.0.1:{service.port}").status, 403, "a service of this machine")
    same(H1(t, proxy).connect("45.60.0.1:4433").status, 403, "the proxy itself")
    same(H1(t, proxy).connect(f"45.60.0.2:{service.port}").status, 200, "a service that a rule allows")


def test_itself_is_no_target(t):
    proxy = t.proxy()
    for client, authority in ((H1(t, proxy), f"127.0.0.1:{proxy.port}"),
                              (H1(t, proxy), f"[::ffff:127.0.0.1]:{proxy.port}")):
        head = client.connect(authority)
        same((head.status, head.get("proxy-status")),
             (403, "masqueproxy; error=destination_ip_prohibited"), f"CONNECT {authority}")
