"""Targets of the tests' own. Goal: those that need a hand are plain listening
sockets; those that run by themselves have a thread for each connection.
"""
import hashlib
import http.server
import os
import socket
import ssl
import threading

PATIENCE_S = 30
# Not a power of two, so that no two positions of a long transfer look alike.
_BLOCK = os.urandom(1_000_003)


def pattern(size):
    """SIZE bytes in pieces, always the same in one run."""
    while size > 0:
        piece = _BLOCK[:min(size, len(_BLOCK))]
        yield piece
        size -= len(piece)


def pattern_digest(size):
    digest = hashlib.sha256()
    for piece in pattern(size):
        digest.update(piece)
    return digest.hexdigest()


class Listener:
    """A listening socket that the test accepts from."""

    def __init__(self, context, address="127.0.0.1", port=0):
        family = socket.AF_INET6 if ":" in address else socket.AF_INET
        self.socket = socket.create_server((address, port), family=family, backlog=512)
        self.socket.settimeout(PATIENCE_S)
        self.port = self.socket.getsockname()[1]
        self.authority = f"[{address}]:{self.port}" if ":" in address else f"{address}:{self.port}"
        self._context = context
        context.defer(self.close)

    def accept(self):
        connection, self.peer = self.socket.accept()
        connection.settimeout(PATIENCE_S)
        return self._context.keep(connection)

    def was_called(self):
        """Whether a connection waits to be accepted."""
        self.socket.setblocking(False)
        try:
            self.accept()
            return True
        except BlockingIOError:
            return False
        finally:
            self.socket.settimeout(PATIENCE_S)

    def close(self):
        self.socket.close()


def echo(connection):
    while piece := connection.recv(1 << 18):
        connection.sendall(piece)


def digest_of_all(connection):
    """Reads to the end, then answers with the SHA-256."""
    digest = hashlib.sha256()
    while piece := connection.recv(1 << 18):
        digest.update(piece)
    connection.sendall(digest.hexdigest().encode())


def source(size):
    def behave(connection):
        for piece in pattern(size):
            connection.sendall(piece)

    return behave


class Target(Listener):
    """A listener that serves by itself."""

    def __init__(self, context, behave=echo, address="127.0.0.1", port=0):
        super().__init__(context, address, port)
        self.calls = 0
        self._news = threading.Condition()
        self._behave = behave
        self.socket.settimeout(None)
        threading.Thread(target=self._run, daemon=True).start()

    def _run(self):
        while True:
            try:
                connection, _ = self.socket.accept()
            except OSError:
                return
            with self._news:
                self.calls += 1
                self._news.notify_all()
            threading.Thread(target=self._serve, args=(connection,), daemon=True).start()

    def _serve(self, connection):
        with connection:
            try:
                self._behave(connection)
            except OSError:
                pass

    def await_calls(self, count):
        """How often it was called, after waiting for COUNT: a tunnel may stand before we accepted."""
        with self._news:
            self._news.wait_for(lambda: self.calls >= count, PATIENCE_S)
            return self.calls

    def close(self):
        try:
            self.socket.shutdown(socket.SHUT_RDWR)  # wakes accept()
        except OSError:
            pass
        super().close()


class _Trace(http.server.BaseHTTPRequestHandler):
    protocol_version = "HTTP/1.1"

    def do_GET(self):  # noqa: N802, the base class's name
        if self.path.startswith("/size/"):
            body = b"".join(pattern(int(self.path[6:])))
        else:
            body = f"h={self.headers.get('host')}\nip={self.client_address[0]}\npath={self.path}\n".encode()
        self.send_response(200)
        self.send_header("content-length", str(len(body)))
        self.end_headers()
        self.wfile.write(body)

    def log_message(self, *arguments):  # pylint: disable=arguments-differ
        pass


class _Server(http.server.ThreadingHTTPServer):
    daemon_threads = True

    def __init__(self, address):
        self.address_family = socket.AF_INET6 if ":" in address[0] else socket.AF_INET
        super().__init__(address, _Trace)

    def handle_error(self, request, client_address):
        pass


class HttpsOrigin:
    """https://…/ answers every GET with what it saw, https://…/size/N with N bytes."""

    def __init__(self, context, address="127.0.0.1", port=0):
        tls = ssl.SSLContext(ssl.PROTOCOL_TLS_SERVER)
        tls.load_cert_chain(context.pki.certificate, context.pki.private_key)
        self._server = _Server((address, port))
        self._server.socket = tls.wrap_socket(self._server.socket, server_side=True, do_handshake_on_connect=False)
        self.port = self._server.server_address[1]
        self.authority = f"[{address}]:{self.port}" if ":" in address else f"{address}:{self.port}"
        self._thread = threading.Thread(target=self._server.serve_forever, daemon=True)
        self._thread.start()
        context.defer(self.close)

    def close(self):
        self._server.shutdown()
        self._server.server_close()
