"""HTTP/1.1 CONNECT, by hand. Goal: see the answer's head as it is on the wire."""
from harness.context import KEY
from harness.tls import TlsStream


class Head:
    def __init__(self, text):
        self.text = text
        lines = text.split("\r\n")
        self.version, status, *self.reason = lines[0].split(" ", 2)
        self.status = int(status)
        self.fields = [tuple(part.strip() for part in line.split(":", 1)) for line in lines[1:] if line]

    def get(self, name):
        values = [value for n, value in self.fields if n.lower() == name.lower()]
        return ", ".join(values) if values else None


class H1:
    """A connection and, after a 200, the tunnel in it."""

    def __init__(self, context, proxy, number=0, source=None):
        self.stream = context.keep(TlsStream(proxy.endpoint(number), context.pki.ca, source=source))
        self.rest = b""  # behind the head, in its TLS record

    def ask(self, request):
        self.stream.send(request)
        text = b""
        while b"\r\n\r\n" not in text:
            piece = self.stream.recv()
            if not piece:
                raise AssertionError(f"the connection ended in the answer's head: {text!r}")
            text += piece
        head, self.rest = text.split(b"\r\n\r\n", 1)
        return Head(head.decode())

    def connect(self, authority, key=KEY, fields=()):
        lines = [f"CONNECT {authority} HTTP/1.1", f"Host: {authority}"]
        lines += [f"Proxy-Authorization: Preshared {key}"] if key else []
        lines += [f"{name}: {value}" for name, value in fields]
        return self.ask(("\r\n".join(lines) + "\r\n\r\n").encode())

    def send(self, data):
        self.stream.send(data)

    def recv(self):
        piece, self.rest = self.rest, b""
        return piece or self.stream.recv()

    def read(self, size):
        """Exactly SIZE bytes."""
        data = bytearray()
        while len(data) < size:
            piece = self.recv()
            if not piece:
                raise AssertionError(f"the tunnel ended after {len(data)} of {size} bytes")
            data += piece
        if len(data) > size:
            self.rest = bytes(data[size:])
        return bytes(data[:size])

    def read_to_end(self):
        data = bytearray()
        while piece := self.recv():
            data += piece
        return bytes(data)

    def exchange(self, data):
        """What comes back from an echo."""
        self.send(data)
        return self.read(len(data))

    def end(self):
        self.stream.end()

    def reset(self):
        self.stream.reset()

    def close(self):
        self.stream.close()


def open_tunnel(context, proxy, authority, **options):
    """A tunnel; anything but 200 is a failure. OPTIONS: number, source, key, fields."""
    place = {name: options.pop(name) for name in ("number", "source") if name in options}
    tunnel = H1(context, proxy, **place)
    head = tunnel.connect(authority, **options)
    if head.status != 200:
        raise AssertionError(f"CONNECT {authority}: {head.text!r}")
    return tunnel
