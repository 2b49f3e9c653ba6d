"""Targets of CONNECT-UDP, and a client. Goal: capsules byte by byte, as RFC 9297 and RFC 9298
have them, without a library.
"""
import socket
import threading

from harness.context import KEY, same
from harness.tls import TlsStream

PATIENCE_S = 30


def varint(value):
    for bits, size in ((6, 1), (14, 2), (30, 4)):
        if value < 1 << bits:
            return (value | (size.bit_length() - 1) << (8 * size - 2)).to_bytes(size, "big")
    raise ValueError(value)


def read_varint(data, at):
    size = 1 << (data[at] >> 6)
    return int.from_bytes(data[at:at + size], "big") & ((1 << (8 * size - 2)) - 1), at + size


class UdpTarget:
    """A bound UDP socket that the test reads and writes."""

    def __init__(self, context, address="127.0.0.1"):
        family = socket.AF_INET6 if ":" in address else socket.AF_INET
        self.socket = socket.socket(family, socket.SOCK_DGRAM)
        self.socket.setsockopt(socket.SOL_SOCKET, socket.SO_RCVBUF, 4 << 20)
        self.socket.settimeout(PATIENCE_S)
        self.socket.bind((address, 0))
        self.host, self.port = address, self.socket.getsockname()[1]
        self.peer = None
        context.defer(self.socket.close)

    def recv(self):
        payload, self.peer = self.socket.recvfrom(70000)
        return payload

    def send(self, payload):
        self.socket.sendto(payload, self.peer)


class UdpEcho(UdpTarget):
    """One that sends back what comes, by itself."""

    def __init__(self, context, address="127.0.0.1"):
        super().__init__(context, address)
        self._over = False
        self.socket.settimeout(0.2)
        self._thread = threading.Thread(target=self._run, daemon=True)
        self._thread.start()
        context.defer(self._end)

    def _run(self):
        while not self._over:
            try:
                self.send(self.recv())
            except (TimeoutError, ConnectionRefusedError):
                pass

    def _end(self):
        self._over = True
        self._thread.join()


class UdpTunnel:
    """CONNECT-UDP by an HTTP/1.1 upgrade (RFC 9298 3.2)."""

    def __init__(self, t, proxy, host, port, key=KEY):
        self.stream = TlsStream(proxy.endpoint(), t.pki.ca)
        self.stream.socket.settimeout(PATIENCE_S)
        t.defer(self.stream.close)
        path = f"/.well-known/masque/udp/{host.replace(':', '%3A')}/{port}/"
        self.stream.send(f"GET {path} HTTP/1.1\r\nHost: localhost\r\nConnection: Upgrade\r\nUpgrade: connect-udp\r\n"
                         f"Capsule-Protocol: ?1\r\nProxy-Authorization: Preshared {key}\r\n\r\n".encode())
        self._data = b""
        while b"\r\n\r\n" not in self._data:
            self._fill()
        self.head, self._data = self._data.split(b"\r\n\r\n", 1)
        self.status = int(self.head.split()[1])

    def _fill(self):
        piece = self.stream.recv()
        if not piece:
            raise EOFError("the tunnel ended")
        self._data += piece

    def send(self, *payloads):
        self.stream.send(b"".join(b"\0" + varint(1 + len(p)) + b"\0" + p for p in payloads))

    def recv(self):
        while True:
            try:
                kind, at = read_varint(self._data, 0)
                length, at = read_varint(self._data, at)
                if len(self._data) >= at + length:
                    break
            except IndexError:
                pass
            self._fill()
        value, self._data = self._data[at:at + length], self._data[at + length:]
        same((kind, value[:1]), (0, b"\0"), "a DATAGRAM capsule of context 0")
        return value[1:]
