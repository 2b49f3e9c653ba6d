"""UDP packets that belong to no connection, and Alt-Svc. Foreign HTTP/3 clients are in tests/interop."""
import socket

from harness import targets
from harness.context import KEY, check, same
from harness.h2 import H2
from harness.probe import Nat, Probe
from harness.tls import TlsStream
from harness.udp import UdpTarget, UdpTunnel

ANSWER_S = 5


def h3_proxy(t, **changes):
    port = t.free_port()
    return t.proxy(**changes, listen=[{"address": f"127.0.0.1:{port}", "protocols": ["h3", "h2", "http/1.1"]}]), port


def unknown_version(length, scid):
    head = b"\xc0\xfa\xce\xb0\x0c" + bytes([8]) + b"D" * 8 + bytes([len(scid)]) + scid
    return head + bytes(length - len(head))


def test_packets_without_a_connection(t):
    """Answered where RFC 9000 6 and 10.3 say so, never by more bytes than came, else not at all."""
    proxy, port = h3_proxy(t)
    client = socket.socket(socket.AF_INET, socket.SOCK_DGRAM)
    client.settimeout(ANSWER_S)
    client.connect(("127.0.0.1", port))
    silent = [b"", b"\x00", unknown_version(1199, b"short"), b"\xc0\x00\x00\x00\x00" + bytes(1300),
              b"\xc3\x00\x00\x00\x01\x08" + b"E" * 8 + b"\x00\x00\x44\x00" + bytes(1300), b"\x40" + b"x" * 20]
    for packet in silent:
        client.send(packet)
    client.send(unknown_version(1200, b"asked"))
    answer = client.recv(2000)
    check(len(answer) <= 1200 and answer[1:5] == bytes(4), "no Version Negotiation, or another answer before it")
    same(answer[6:6 + answer[5]], b"asked", "its destination connection ID")
    check(b"\x00\x00\x00\x01" in answer and b"\x6b\x33\x43\xcf" in answer, "versions 1 and 2 are not offered")
    client.send(b"\x40" + b"y" * 60)
    reset = client.recv(2000)
    check(21 <= len(reset) <= 60 and reset[0] & 0xc0 == 0x40, f"no stateless reset: {reset!r}")
    client.close()
    H2(t, proxy).open_tunnel(targets.Target(t).authority)  # it still serves


def test_alternative_service(t):
    """Answers over TCP name the port of HTTP/3 where it is served, refusals too; the listener's
    other versions are those it names."""
    for protocols, wanted in ((["h3", "http/1.1"], True), (["http/1.1"], False)):
        port = t.free_port()
        proxy = t.proxy(listen=[{"address": f"127.0.0.1:{port}", "protocols": protocols}])
        target = UdpTarget(t)
        for key in (KEY, "wrong-key-here"):
            head = UdpTunnel(t, proxy, target.host, target.port, key).head
            same(f'alt-svc: h3=":{port}"'.encode() in head, wanted, f"Alt-Svc with {protocols}")
        stream = TlsStream(proxy.endpoint(), t.pki.ca, ("h2", "http/1.1"))
        t.defer(stream.close)
        same(stream.protocol, "http/1.1", "the version chosen")


def test_marks(t):
    """What QUIC says is marked for ECN, ECT(0) (RFC 9000 13.4); what goes to a UDP target is not (RFC 9298 6.2)."""
    proxy, port = h3_proxy(t)
    nat, target = Nat(t, port), UdpTarget(t)
    target.socket.setsockopt(socket.IPPROTO_IP, socket.IP_RECVTOS, 1)
    done = Probe(t, proxy, "udp", f"{target.host}:{target.port}", "--http3", "--timeout", "2s", port=nat.port,
                 given=b"x")
    check(done.status in (0, 6), f"the client: {done.err}")
    check(2 in nat.marks, f"marks of the proxy's packets: {nat.marks}")
    payload, control = target.socket.recvmsg(100, 64)[:2]
    same((payload, [value[0] & 3 for _, kind, value in control if kind == socket.IP_TOS]), (b"x", [0]),
         "what the target got, and its mark")
