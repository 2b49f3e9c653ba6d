"""TLS over a socket by memory BIOs. Goal: what ssl.SSLSocket can't do, a half-close
that goes on reading, telling a clean end from a cut, and a reset.
"""
import socket
import ssl
import struct

PATIENCE_S = 30
_PIECE = 1 << 18


def reset(sock):
    """Closes with a RST."""
    sock.setsockopt(socket.SOL_SOCKET, socket.SO_LINGER, struct.pack("ii", 1, 0))
    sock.close()


class TlsStream:
    def __init__(self, address, ca, protocols=("http/1.1",), source=None, server_name="localhost",
                 identity=None):
        context = ssl.create_default_context(cafile=ca)
        context.set_alpn_protocols(list(protocols))
        if identity:
            context.load_cert_chain(*identity)
        self._incoming, self._outgoing = ssl.MemoryBIO(), ssl.MemoryBIO()
        self._tls = context.wrap_bio(self._incoming, self._outgoing, server_hostname=server_name)
        self._ended = False
        self.socket = socket.create_connection(address, PATIENCE_S, (source, 0) if source else None)
        self.socket.setsockopt(socket.IPPROTO_TCP, socket.TCP_NODELAY, 1)
        try:
            self._complete(self._tls.do_handshake)
        except Exception:
            self.socket.close()
            raise

    @property
    def protocol(self):
        return self._tls.selected_alpn_protocol()

    def certificate(self):
        return self._tls.getpeercert(binary_form=True)

    def _flush(self):
        piece = self._outgoing.read()
        if piece:
            self.socket.sendall(piece)

    def _fill(self):
        piece = self.socket.recv(_PIECE)
        if piece:
            self._incoming.write(piece)
        elif self._incoming.eof:
            raise ssl.SSLEOFError("the end was read twice")
        else:
            self._incoming.write_eof()

    def _complete(self, step, *arguments):
        while True:
            try:
                result = step(*arguments)
            except ssl.SSLWantReadError:
                self._flush()
                self._fill()
                continue
            self._flush()
            return result

    def send(self, data):
        self._tls.write(data)
        self._flush()

    def recv(self, size=_PIECE):
        """At most one record. b"" after a close_notify; SSLEOFError after an end without one."""
        try:
            return self._complete(self._tls.read, size)
        except ssl.SSLZeroReturnError:
            return b""

    def has_pending(self):
        return self._tls.pending() > 0 or self._incoming.pending > 0

    def end(self):
        """Sends close_notify and FIN; reading goes on."""
        if not self._ended:
            self._ended = True
            try:
                self._tls.unwrap()
            except ssl.SSLWantReadError:
                pass
            self._flush()
            self.socket.shutdown(socket.SHUT_WR)

    def reset(self):
        reset(self.socket)

    def close(self):
        self.socket.close()
