"""A client of a proxy on aioquic: CONNECT or CONNECT-UDP over HTTP/3; in the former a page over HTTP/1.1 in TLS,
in the latter over HTTP/3, by a second aioquic connection whose packets are the first one's datagrams.

    aioquic_client.py connect|udp HOST:PORT KEY CA URL

Prints the proxy's status and, when it is 200, the page's version, length and SHA-256.
"""
import asyncio
import hashlib
import ssl
import sys
import time
from urllib.parse import urlsplit

from aioquic.asyncio.client import connect
from aioquic.asyncio.protocol import QuicConnectionProtocol
from aioquic.h3.connection import H3_ALPN, H3Connection
from aioquic.h3.events import DatagramReceived, DataReceived, HeadersReceived
from aioquic.quic.configuration import QuicConfiguration
from aioquic.quic.connection import QuicConnection

INNER_ADDRESS = ("inner", 0)


def configuration(ca, server_name, packet_max=1200):
    made = QuicConfiguration(is_client=True, alpn_protocols=H3_ALPN, max_datagram_frame_size=65536,
                             server_name=server_name, max_datagram_size=packet_max)
    made.load_verify_locations(ca)
    return made


class Page:
    def __init__(self):
        self.digest, self.length, self.over = hashlib.sha256(), 0, asyncio.Event()

    def take(self, data):
        self.digest.update(data)
        self.length += len(data)


class Outer(QuicConnectionProtocol):
    """The connection to the proxy."""

    def __init__(self, *arguments, **more):
        super().__init__(*arguments, **more)
        self.http = H3Connection(self._quic, enable_webtransport=True)  # which brings SETTINGS_H3_DATAGRAM
        self.answer = asyncio.get_running_loop().create_future()
        self.take_data = self.take_datagram = lambda data: None

    def quic_event_received(self, event):
        for got in self.http.handle_event(event):
            if isinstance(got, HeadersReceived) and not self.answer.done():
                self.answer.set_result(int(dict(got.headers)[b":status"]))
            elif isinstance(got, DataReceived):
                self.take_data(got.data)
            elif isinstance(got, DatagramReceived):
                self.take_datagram(got.data)

    def ask(self, headers):
        self.stream = self._quic.get_next_available_stream_id()
        self.http.send_headers(self.stream, headers)
        self.transmit()


class InnerQuic:
    """HTTP/3 with the target, in the datagrams of OUTER's tunnel; context 0 (RFC 9298 4)."""

    def __init__(self, outer, ca, url, page):
        self.outer, self.page = outer, page
        self.quic = QuicConnection(configuration=configuration(ca, url.hostname))
        self.http = H3Connection(self.quic)
        self.timer = None
        outer.take_datagram = self.receive
        self.quic.connect(INNER_ADDRESS, now=time.monotonic())
        self.stream = None
        self.url = url
        self.flush()

    def receive(self, datagram):
        if datagram[:1] == b"\0":
            self.quic.receive_datagram(datagram[1:], INNER_ADDRESS, now=time.monotonic())
            self.flush()

    def events(self):
        while event := self.quic.next_event():
            if type(event).__name__ == "HandshakeCompleted":
                self.stream = self.quic.get_next_available_stream_id()
                self.http.send_headers(self.stream, [
                    (b":method", b"GET"), (b":scheme", b"https"), (b":authority", self.url.netloc.encode()),
                    (b":path", self.url.path.encode())], end_stream=True)
            for got in self.http.handle_event(event):
                if isinstance(got, DataReceived):
                    self.page.take(got.data)
                if getattr(got, "stream_ended", False):
                    self.page.over.set()

    def flush(self):
        self.events()
        for packet, _ in self.quic.datagrams_to_send(now=time.monotonic()):
            self.outer.http.send_datagram(self.outer.stream, b"\0" + packet)
        self.outer.transmit()
        if self.timer:
            self.timer.cancel()
        at = self.quic.get_timer()
        if at is not None:
            self.timer = asyncio.get_running_loop().call_later(max(0, at - time.monotonic()), self.on_timer)

    def on_timer(self):
        self.quic.handle_timer(now=time.monotonic())
        self.flush()


class InnerTls:
    """HTTP/1.1 in TLS with the target, in the bytes of OUTER's tunnel."""

    def __init__(self, outer, ca, url, page):
        self.outer, self.page, self.head = outer, page, b""
        self.incoming, self.outgoing = ssl.MemoryBIO(), ssl.MemoryBIO()
        context = ssl.create_default_context(cafile=ca)
        self.tls = context.wrap_bio(self.incoming, self.outgoing, server_hostname=url.hostname)
        self.request = f"GET {url.path} HTTP/1.1\r\nHost: {url.netloc}\r\nConnection: close\r\n\r\n".encode()
        outer.take_data = self.receive
        self.go_on()

    def receive(self, data):
        self.incoming.write(data)
        self.go_on()

    def go_on(self):
        try:
            if self.request:
                self.tls.do_handshake()
                self.tls.write(self.request)
                self.request = b""
            while data := self.tls.read(65536):
                self.take(data)
        except (ssl.SSLWantReadError, ssl.SSLZeroReturnError):
            pass
        if self.outgoing.pending:
            self.outer.http.send_data(self.outer.stream, self.outgoing.read(), end_stream=False)
            self.outer.transmit()

    def take(self, data):
        if self.head is not None:
            self.head += data
            if b"\r\n\r\n" not in self.head:
                return
            head, data = self.head.split(b"\r\n\r\n", 1)
            self.head = None
            fields = dict(line.lower().split(b": ", 1) for line in head.split(b"\r\n")[1:])
            self.wanted = int(fields[b"content-length"])
        self.page.take(data)
        if self.page.length >= self.wanted:
            self.page.over.set()


async def main(way, proxy, key, ca, page_url):
    host, port = proxy.rsplit(":", 1)
    url, page = urlsplit(page_url), Page()
    async with connect(host, int(port), configuration=configuration(ca, host, 1350), create_protocol=Outer) as outer:
        await outer.wait_connected()
        headers = [(b":method", b"CONNECT")]
        if way == "udp":
            path = f"/.well-known/masque/udp/{url.hostname}/{url.port}/"
            headers += [(b":protocol", b"connect-udp"), (b":scheme", b"https"), (b":authority", proxy.encode()),
                        (b":path", path.encode()), (b"capsule-protocol", b"?1")]
        else:
            headers += [(b":authority", url.netloc.encode())]
        outer.ask(headers + [(b"proxy-authorization", f"Preshared {key}".encode())])
        status = await outer.answer
        if status != 200:
            print(status)
            return
        (InnerQuic if way == "udp" else InnerTls)(outer, ca, url, page)
        await page.over.wait()
        print(200, "HTTP/3.0" if way == "udp" else "HTTP/1.1", page.length, page.digest.hexdigest())


asyncio.run(asyncio.wait_for(main(*sys.argv[1:]), 600))
