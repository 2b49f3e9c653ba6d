"""HTTP/2 CONNECT, by hand and in one thread: frames are handled while something is
waited for. Goal: see GOAWAY, RST_STREAM and flow control as they are on the wire.
"""
import select
import struct

from harness import hpack
from harness.context import KEY, check
from harness.tls import TlsStream

DATA, HEADERS, RST_STREAM, SETTINGS, PING, GOAWAY, WINDOW_UPDATE = 0, 1, 3, 4, 6, 7, 8
END_STREAM, ACK, END_HEADERS = 1, 1, 4
NO_ERROR, PROTOCOL_ERROR, REFUSED_STREAM, CANCEL, CONNECT_ERROR = 0, 1, 7, 8, 10
MAX_CONCURRENT_STREAMS, INITIAL_WINDOW_SIZE = 3, 4
_WINDOW = 16 << 20
_FRAME = 16384
_NO_TABLE = struct.pack(">HIHIHI", 1, 0, 2, 0, INITIAL_WINDOW_SIZE, _WINDOW)


class Stream:
    def __init__(self, connection, number):
        self.connection, self.number = connection, number
        self.fields, self.status = None, None
        self.data = bytearray()
        self.ended, self.reset_code = False, None
        self.window = connection.peer_window
        self._unsaid = 0

    def get(self, name):
        values = [value for n, value in self.fields or () if n == name]
        return ", ".join(values) if values else None

    def await_answer(self):
        self.connection.wait(lambda: self.status or self.over)
        return self.status

    @property
    def over(self):
        return self.ended or self.reset_code is not None or self.connection.closed

    def send(self, data):
        view = memoryview(data)
        while view:
            self.connection.wait(lambda: self.over_for_sending or min(self.window, self.connection.window) > 0)
            check(not self.over_for_sending, f"the stream was reset with {self.reset_code}")
            size = min(len(view), _FRAME, self.window, self.connection.window)
            self.connection.send_frame(DATA, 0, self.number, bytes(view[:size]))
            self.window -= size
            self.connection.window -= size
            view = view[size:]
            self.connection.poll()

    @property
    def over_for_sending(self):
        return self.reset_code is not None or self.connection.closed

    def end(self):
        self.connection.send_frame(DATA, END_STREAM, self.number, b"")

    def reset(self, code=CANCEL):
        self.connection.send_frame(RST_STREAM, 0, self.number, struct.pack(">I", code))

    def take(self):
        """What is there, b"" at the end; windows are given back."""
        self.connection.wait(lambda: self.data or self.over)
        data, self.data = bytes(self.data), bytearray()
        self._unsaid += len(data)
        if self._unsaid >= _WINDOW // 4:
            if not self.over:
                self.connection.give_window(self.number, self._unsaid)
            self.connection.give_window(0, self._unsaid)
            self._unsaid = 0
        return data

    def read(self, size):
        """Exactly SIZE bytes."""
        out = bytearray()
        while len(out) < size:
            piece = self.take()
            check(piece, f"the tunnel ended after {len(out)} of {size} bytes (reset: {self.reset_code})")
            out += piece
        self.data[:0] = out[size:]
        return bytes(out[:size])

    def read_to_end(self):
        out = bytearray()
        while piece := self.take():
            out += piece
        return bytes(out)

    def exchange(self, data):
        """What comes back from an echo."""
        self.send(data)
        return self.read(len(data))


class H2:
    def __init__(self, context, proxy, number=0, source=None, identity=None):
        self.stream = context.keep(TlsStream(proxy.endpoint(number), context.pki.ca, ("h2",), source,
                                             identity=identity))
        check(self.stream.protocol == "h2", "HTTP/2 was not negotiated")
        self.streams, self.next_number = {}, 1
        self.settings, self.goaways = {}, []
        self.window, self.peer_window = 65535, 65535
        self.closed = False
        self._bytes = bytearray()
        self.stream.send(b"PRI * HTTP/2.0\r\n\r\nSM\r\n\r\n")
        self.send_frame(SETTINGS, 0, 0, _NO_TABLE)
        self.give_window(0, _WINDOW)

    def send_frame(self, kind, flags, number, payload):
        self.stream.send(len(payload).to_bytes(3, "big") + bytes([kind, flags]) + struct.pack(">I", number) + payload)

    def give_window(self, number, size):
        self.send_frame(WINDOW_UPDATE, 0, number, struct.pack(">I", size))

    def request(self, fields, flags=END_HEADERS):
        """A new stream with this head; its answer is not waited for."""
        stream = self.streams[self.next_number] = Stream(self, self.next_number)
        self.next_number += 2
        self.send_frame(HEADERS, flags, stream.number, hpack.encode(fields))
        return stream

    def connect(self, authority, key=KEY, fields=()):
        head = [(":method", "CONNECT"), (":authority", authority)]
        head += [("proxy-authorization", f"Preshared {key}")] if key else []
        return self.request(head + list(fields))

    def open_tunnel(self, authority, **options):
        stream = self.connect(authority, **options)
        status = stream.await_answer()
        check(status == 200, f"CONNECT {authority}: {status}, reset {stream.reset_code}, {stream.fields}")
        return stream

    def wait(self, condition):
        while not condition():
            check(not self.closed, "the connection is closed")
            self._read()

    def wait_closed(self):
        self.wait(lambda: self.closed)

    def poll(self):
        """Handles what has come, without waiting."""
        while not self.closed and (self.stream.has_pending() or select.select([self.stream.socket], [], [], 0)[0]):
            self._read()

    def _read(self):
        piece = self.stream.recv()
        if not piece:
            self.closed = True
            return
        self._bytes += piece
        while len(self._bytes) >= 9:
            length = int.from_bytes(self._bytes[:3], "big")
            if len(self._bytes) < 9 + length:
                return
            kind, flags = self._bytes[3], self._bytes[4]
            number = struct.unpack(">I", self._bytes[5:9])[0]
            payload = bytes(self._bytes[9:9 + length])
            del self._bytes[:9 + length]
            self._handle(kind, flags, number, payload)

    def _handle(self, kind, flags, number, payload):
        stream = self.streams.get(number)
        if kind == DATA:
            stream.data += payload
            stream.ended = stream.ended or bool(flags & END_STREAM)
        elif kind == HEADERS:
            check(flags & END_HEADERS, "an answer in several frames")
            stream.fields = hpack.decode(payload)
            stream.status = int(stream.get(":status"))
            stream.ended = stream.ended or bool(flags & END_STREAM)
        elif kind == RST_STREAM:
            stream.reset_code = struct.unpack(">I", payload)[0]
        elif kind == SETTINGS and not flags & ACK:
            self._take_settings(payload)
        elif kind == PING and not flags & ACK:
            self.send_frame(PING, ACK, 0, payload)
        elif kind == GOAWAY:
            self.goaways.append(struct.unpack(">II", payload[:8]))
        elif kind == WINDOW_UPDATE:
            size = struct.unpack(">I", payload)[0]
            if number == 0:
                self.window += size
            elif stream:
                stream.window += size

    def _take_settings(self, payload):
        for at in range(0, len(payload), 6):
            name, value = struct.unpack(">HI", payload[at:at + 6])
            self.settings[name] = value
            if name == INITIAL_WINDOW_SIZE:
                for stream in self.streams.values():
                    stream.window += value - self.peer_window
                self.peer_window = value
        self.send_frame(SETTINGS, ACK, 0, b"")

    def close(self):
        self.stream.close()
