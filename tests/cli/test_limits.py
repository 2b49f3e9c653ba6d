"""The configuration's limits, each reached and each exceeded by one. Goal: a limit
in the file is the limit on the wire, and what exceeds it ends alone.
"""
import socket
import struct
import subprocess

from harness import basics, h2, hpack, targets
from harness.context import KEY, check, same
from harness.dns import NameServer
from harness.h1 import H1, open_tunnel
from harness.h2 import H2
from harness.runner import namespaced

CONTINUATION, ENHANCE_YOUR_CALM = 9, 11


def status_of(t, proxy, authority, **options):
    """(status, error) of a request by HTTP/1.1"""
    place = {"source": options.pop("source")} if "source" in options else {}
    client = H1(t, proxy, **place)
    head = client.connect(authority, **options)
    client.close()
    return head.status, basics.error_of(head.get("proxy-status"))


def is_closed(sock):
    """Waits for the end; a reset is one too."""
    try:
        while sock.recv(4096):
            pass
        return True
    except ConnectionResetError:
        return True


# --- heads ------------------------------------------------------------------------------

def test_header_fields(t):
    """Host and Proxy-Authorization are two of five."""
    target = targets.Target(t)
    proxy = t.proxy(limits={"header-fields": 5})
    for count, wanted in ((3, (200, None)), (4, (431, "http_request_error"))):
        fields = [(f"x-{number}", "v") for number in range(count)]
        same(status_of(t, proxy, target.authority, fields=fields), wanted, f"HTTP/1.1, {count + 2} fields")
    stream = H2(t, proxy).connect(target.authority, fields=[(f"x-{number}", "v") for number in range(9)])
    same(stream.await_answer(), 431, "HTTP/2, 12 fields")


def test_header_bytes(t):
    target = targets.Target(t)
    proxy = t.proxy(limits={"header-bytes": 2048})
    for size, wanted in ((1000, 200), (2048, 431)):
        same(status_of(t, proxy, target.authority, fields=[("x", "v" * size)])[0], wanted, f"HTTP/1.1, {size} bytes")
        same(H2(t, proxy).connect(target.authority, fields=[("x", "v" * size)]).await_answer(), wanted,
             f"HTTP/2, {size} bytes")


def test_continuations(t):
    """A head in pieces: as many frames as the limit says, and one more."""
    target = targets.Target(t)
    block = hpack.encode([(":method", "CONNECT"), (":authority", target.authority),
                          ("proxy-authorization", f"Preshared {KEY}")])
    for count, works in ((2, True), (3, False)):
        connection = H2(t, t.proxy(limits={"continuations": 2}))
        stream = connection.streams[1] = h2.Stream(connection, 1)
        connection.send_frame(h2.HEADERS, 0, 1, block[:4])
        for number in range(count):
            last = number == count - 1
            piece = block[4 + number:] if last else block[4 + number:5 + number]
            connection.send_frame(CONTINUATION, h2.END_HEADERS if last else 0, 1, piece)
        stream.await_answer()
        same(stream.status == 200, works, f"{count} CONTINUATION frames: status {stream.status}")
        check(works or connection.closed or connection.goaways, "the connection goes on")


# --- counts ----------------------------------------------------------------------------------

def be_refused(t, proxy):
    try:
        H1(t, proxy)
    except OSError:
        return
    raise AssertionError("a third connection was taken")


def test_connections(t):
    """The first that is refused is logged at once; those behind it in few lines, but all."""
    proxy = t.proxy(limits={"connections": 2})
    target = targets.Target(t)
    tunnels = [open_tunnel(t, proxy, target.authority) for _ in range(2)]
    be_refused(t, proxy)
    said = counted = 0
    while counted < 20:
        line = proxy.await_log(r"warning connection-refused worker=0: a resource limit is reached \((\d+)\)\n", said)
        said, counted = line.end(), counted + int(line[1])
        if counted == 1:
            for _ in range(19):
                be_refused(t, proxy)
    same(counted, 20, "refused connections in the log")
    same(tunnels[0].exchange(b"x"), b"x", "one that was there")


def test_tunnels(t):
    """Of all connections together."""
    proxy = t.proxy(limits={"tunnels": 2})
    target = targets.Target(t)
    tunnels = [open_tunnel(t, proxy, target.authority), H2(t, proxy).open_tunnel(target.authority)]
    same(status_of(t, proxy, target.authority), (503, "connection_limit_reached"), "a third tunnel")
    for tunnel in tunnels:
        same(tunnel.exchange(b"x"), b"x", "one that was there")


def test_requests(t):
    """A burst of 3 at once; the rate of 1 a second can't give back a fourth in time."""
    proxy = t.proxy(limits={"requests-burst": 3, "requests-rate": 1})
    target = targets.Target(t)
    connection = H2(t, proxy)
    streams = [connection.connect(target.authority) for _ in range(4)]
    same([stream.await_answer() for stream in streams], [200, 200, 200, 503], "statuses")


def test_addresses_per_name(t):
    """The only address that answers is the third."""
    target = targets.Target(t)
    server = NameServer(t, {"n.test": {"A": [["127.0.0.2", "127.0.0.3", "127.0.0.1"]]}})
    for most, wanted in ((2, 502), (3, 200)):
        proxy = t.proxy(dns={"servers": [server.endpoint]}, limits={"addresses-per-name": most})
        same(status_of(t, proxy, f"n.test:{target.port}")[0], wanted, f"addresses-per-name {most}")


def test_dials_per_connection(t):
    """One at a time is slower, but each gets its turn."""
    target = targets.Target(t)
    connection = H2(t, t.proxy(limits={"dials-per-connection": 1}))
    streams = [connection.connect(target.authority) for _ in range(20)]
    same({stream.await_answer() for stream in streams}, {200}, "statuses")


def test_auth_failures(t):
    """The third failure is the connection's last, and begins the source's penalty: the right key
    of that source is refused too, another source isn't concerned."""
    target = targets.Target(t)
    limits = {"auth-failures": 3, "penalty-first-ms": 3600000, "penalty-last-ms": 3600000}
    proxy = t.proxy(limits=limits)
    connection = H2(t, proxy)
    for _ in range(3):
        same(connection.connect(target.authority, key="wrong-key").await_answer(), 403, "a wrong key")
    connection.wait_closed()
    proxy.await_log('warning authentication-penalty .*client="127.0.0.1"')
    same(status_of(t, proxy, target.authority), (403, "http_request_denied"), "the right key while the penalty lasts")
    same(status_of(t, proxy, target.authority, source="127.0.0.2")[0], 200, "another source")


def test_penalty_ends(t):
    target = targets.Target(t)
    proxy = t.proxy(limits={"auth-failures": 1, "penalty-first-ms": 1, "penalty-last-ms": 1})
    same(status_of(t, proxy, target.authority, key="wrong-key")[0], 403, "a wrong key")
    for _ in range(1000):
        if status_of(t, proxy, target.authority)[0] == 200:
            return
    raise AssertionError("a penalty of 1 ms doesn't end")


def test_no_credential_is_no_guess(t):
    target = targets.Target(t)
    proxy = t.proxy(limits={"auth-failures": 2})
    for _ in range(5):
        same(status_of(t, proxy, target.authority, key=None)[0], 403, "no key")
    same(status_of(t, proxy, target.authority)[0], 200, "the right key")


# --- floods -----------------------------------------------------------------------------------

def test_resets(t):
    """Rapid reset (CVE-2023-44487): the connection ends, another one works."""
    target = targets.Target(t)
    proxy = t.proxy(limits={"resets-burst": 20, "resets-rate": 1, "requests-burst": 1000000, "requests-rate": 1000000})
    connection = H2(t, proxy)
    try:
        for _ in range(200):
            connection.connect(target.authority).reset()
            connection.poll()
            if connection.closed:
                break
        connection.wait_closed()
    except OSError:
        pass  # it was closed while we wrote
    check(not connection.goaways or connection.goaways[-1][1] == ENHANCE_YOUR_CALM, f"GOAWAY {connection.goaways}")
    same(status_of(t, proxy, target.authority)[0], 200, "another connection")


def test_useless_frames(t):
    """Empty DATA, WINDOW_UPDATE of closed streams and the like count as glitches."""
    target = targets.Target(t)
    proxy = t.proxy(limits={"glitches-burst": 10, "glitches-rate": 1})
    connection = H2(t, proxy)
    stream = connection.open_tunnel(target.authority)
    try:
        for _ in range(2000):
            connection.send_frame(h2.DATA, 0, stream.number, b"")
            connection.poll()
            if connection.closed:
                break
        connection.wait_closed()
    except OSError:
        pass
    same(status_of(t, proxy, target.authority)[0], 200, "another connection")


# --- time ---------------------------------------------------------------------------------------

def test_handshake_timeout(t):
    proxy = t.proxy(limits={"handshake-timeout-ms": 200})
    silent = t.keep(socket.create_connection(proxy.endpoint(), 30))
    check(is_closed(silent), "a client that says nothing")
    slow = t.keep(socket.create_connection(proxy.endpoint(), 30))
    slow.sendall(b"\x16\x03\x01\x02\x00\x01")
    check(is_closed(slow), "a client that stops in its ClientHello")


def test_headers_timeout(t):
    proxy = t.proxy(limits={"headers-timeout-ms": 200})
    client = H1(t, proxy)
    client.send(b"CONNECT 127.0.0.1:1 HTTP/1.1\r\nHost: ")
    check(is_closed(client.stream.socket), "a client that stops in its head")


def test_idle_timeout(t):
    """Nothing to do: closed. A tunnel is something to do, however silent."""
    target = targets.Target(t)
    proxy = t.proxy(limits={"idle-timeout-ms": 300})
    tunnels = [open_tunnel(t, proxy, target.authority), H2(t, proxy).open_tunnel(target.authority)]
    idle = H1(t, proxy)
    check(is_closed(idle.stream.socket), "an idle HTTP/1.1 connection")
    connection = H2(t, proxy)
    connection.wait_closed()
    for tunnel in tunnels:
        same(tunnel.exchange(b"x"), b"x", "a silent tunnel")


def test_write_stall_timeout(t):
    """A client that doesn't read is let go; its target hears of it by a reset."""
    listener = targets.Listener(t)
    tunnel = open_tunnel(t, t.proxy(limits={"write-stall-timeout-ms": 300, "tunnel-buffer": 16384}),
                         listener.authority)
    target = listener.accept()
    try:
        for _ in range(4000):
            target.sendall(b"x" * 65536)
        raise AssertionError("a client that doesn't read took 250 MB")
    except (ConnectionResetError, BrokenPipeError):
        pass
    check(tunnel.stream.socket.fileno() >= 0, "we closed it ourselves")


@namespaced
def test_dial_timeout_and_unreachable(t):
    """A network that swallows everything, and one that isn't there."""
    made = [["ip", "link", "add", "hole", "type", "veth", "peer", "name", "bottom"]]
    made += [["ip", "link", "set", name, "up"] for name in ("hole", "bottom")]
    for command in made + [["ip", "route", "add", "198.41.0.0/24", "dev", "hole"]]:
        done = subprocess.run(command, capture_output=True, text=True, timeout=20)
        if done.returncode != 0:
            t.skip(f"{' '.join(command)}: {done.stderr.strip()}")
    proxy = t.proxy(limits={"dial-timeout-ms": 300})
    same(status_of(t, proxy, "198.41.0.4:443"), (502, "connection_timeout"), "a silent target")
    same(status_of(t, proxy, "192.5.5.241:443"), (502, "destination_ip_unroutable"), "no route")


def test_backpressure(t):
    """A target that doesn't read stops its client, not the others and not the memory."""
    listener, target = targets.Listener(t), targets.Target(t)
    proxy = t.proxy(limits={"tunnel-buffer": 65536})
    connection = H2(t, proxy)
    stalled, lively = connection.open_tunnel(listener.authority), connection.open_tunnel(target.authority)
    slow = listener.accept()
    slow.setsockopt(socket.SOL_SOCKET, socket.SO_RCVBUF, 4096)
    sent = 0
    while min(stalled.window, connection.window) > 0 and sent < 64 << 20:
        size = min(16384, stalled.window, connection.window)
        connection.send_frame(h2.DATA, 0, stalled.number, bytes(size))
        stalled.window -= size
        connection.window -= size
        sent += size
        lively.send(struct.pack(">I", sent))
        same(lively.read(4), struct.pack(">I", sent), "the other tunnel")
    check(sent < 32 << 20, f"{sent} bytes were taken for a target that reads nothing")
    for _ in range(50):
        same(lively.exchange(b"y" * 10000), b"y" * 10000, "the other tunnel behind a stalled one")
