#!/usr/bin/env python3
"""Runs examples/epoll.c against system curl, on loopback only.

    run_epoll.py EXAMPLE

A certificate for both servers is made in a temporary folder, an HTTPS origin
runs in this process. Exit status 77: curl or openssl is missing.
"""
import hashlib
import http.server
import pathlib
import select
import shutil
import signal
import socket
import ssl
import struct
import subprocess
import sys
import tempfile
import threading

LIMIT_S = 60
PARALLEL = 6
KEY = "correct-horse"
BODY = b"".join(hashlib.sha256(b"%d" % i).digest() for i in range(128 * 1024))  # 4 MiB


def resolves(name):
    try:
        return bool(socket.getaddrinfo(name, 443, socket.AF_INET))
    except OSError:
        return False


class Origin(http.server.BaseHTTPRequestHandler):
    def do_GET(self):
        self.send_response(200)
        self.send_header("content-length", str(len(BODY)))
        self.end_headers()
        self.wfile.write(BODY)

    def log_message(self, *arguments):
        pass


def make_certificate(folder):
    subprocess.run(
        ["openssl", "req", "-x509", "-newkey", "ec", "-pkeyopt", "ec_paramgen_curve:P-256", "-nodes", "-days", "2",
         "-subj", "/CN=localhost", "-addext", "subjectAltName=DNS:localhost,IP:127.0.0.1",
         "-keyout", folder / "key.pem", "-out", folder / "cert.pem"],
        check=True, capture_output=True, timeout=LIMIT_S)


def start_origin(folder):
    server = http.server.ThreadingHTTPServer(("127.0.0.1", 0), Origin)
    context = ssl.SSLContext(ssl.PROTOCOL_TLS_SERVER)
    context.load_cert_chain(folder / "cert.pem", folder / "key.pem")
    server.socket = context.wrap_socket(server.socket, server_side=True, do_handshake_on_connect=False)
    threading.Thread(target=server.serve_forever, daemon=True).start()
    return server.server_address[1]


def closed_port():
    """A port that refuses: bound, so that nobody else gets it, but not listening."""
    bound = socket.socket()
    bound.bind(("127.0.0.1", 0))
    return bound, bound.getsockname()[1]


def curl(folder, proxy, url, key=KEY):
    return subprocess.Popen(
        ["curl", "--silent", "--max-time", str(LIMIT_S), "--cacert", folder / "cert.pem",
         "--proxy", proxy, "--proxy-cacert", folder / "cert.pem", "--noproxy", "",
         "--proxy-header", f"Proxy-Authorization: Preshared {key}",
         "--write-out", "%{stderr}%{http_connect} %{http_code}", url],
        stdout=subprocess.PIPE, stderr=subprocess.PIPE)


def answer(process):
    """The proxy's and the origin's status, and the body's digest."""
    body, status = process.communicate(timeout=LIMIT_S)
    return status.decode(), hashlib.sha256(body).hexdigest()


def check(name, got, expected):
    if got != expected:
        sys.exit(f"{name}: got {got}, expected {expected}")
    print(f"ok: {name}")


def ask_all(folder, proxy):
    origin = start_origin(folder)
    unused, refusing = closed_port()
    good = "200 200", hashlib.sha256(BODY).hexdigest()
    nothing = hashlib.sha256(b"").hexdigest()
    rows = [
        ("an address", f"https://127.0.0.1:{origin}/", KEY, good),
        ("a name", f"https://localhost:{origin}/", KEY, good),
        ("a wrong key", f"https://127.0.0.1:{origin}/", "wrong-" + KEY, ("403 000", nothing)),
        ("a closed port", f"https://127.0.0.1:{refusing}/", KEY, ("502 000", nothing)),
        ("the proxy itself", f"https://{proxy.removeprefix('https://')}/", KEY, ("403 000", nothing)),
    ]
    if not resolves("localhost"):
        # A machine without /etc/hosts; names are the resolver's matter then, not ours.
        rows = [row for row in rows if row[0] != "a name"]
    for name, url, key, expected in rows:
        check(name, answer(curl(folder, proxy, url, key)), expected)
    downloads = [curl(folder, proxy, f"https://127.0.0.1:{origin}/") for _ in range(PARALLEL)]
    check("parallel downloads", [answer(download) for download in downloads], [good] * PARALLEL)
    unused.close()


def receive(connection, wanted):
    data = b""
    while wanted not in data:
        data += connection.recv(4096)
    return data


def check_dead_client(folder, port):
    """A client whose target reads nothing is not read any more either; its reset is noticed all the same."""
    with socket.create_server(("127.0.0.1", 0)) as listener:
        listener.settimeout(LIMIT_S)
        context = ssl.create_default_context(cafile=folder / "cert.pem")
        raw = socket.create_connection(("127.0.0.1", port), LIMIT_S)
        client = context.wrap_socket(raw, server_hostname="localhost")
        authority = f"127.0.0.1:{listener.getsockname()[1]}"
        client.sendall(f"CONNECT {authority} HTTP/1.1\r\nHost: {authority}\r\n"
                       f"Proxy-Authorization: Preshared {KEY}\r\n\r\n".encode())
        receive(client, b"\r\n\r\n")
        target, _ = listener.accept()
        client.settimeout(1)
        try:
            while True:
                client.sendall(bytes(1 << 16))
        except TimeoutError:
            pass
        client.setsockopt(socket.SOL_SOCKET, socket.SO_LINGER, struct.pack("ii", 1, 0))
        client.close()
        # Polled for, not read: reading would let the proxy go on.
        poll = select.poll()
        poll.register(target, select.POLLERR | select.POLLHUP)
        check("a dead client's target is reset", bool(poll.poll(1000 * LIMIT_S)), True)
        target.close()


def main():
    if not shutil.which("curl") or not shutil.which("openssl"):
        print("skipped: needs curl and openssl")
        sys.exit(77)
    with tempfile.TemporaryDirectory() as name:
        folder = pathlib.Path(name)
        make_certificate(folder)
        example = subprocess.Popen([sys.argv[1], "0", folder / "cert.pem", folder / "key.pem", KEY, "127.0.0.0/8"],
                                   stdout=subprocess.PIPE, text=True)
        try:
            ready = example.stdout.readline()
            check("ready", ready.startswith("ready: 127.0.0.1:"), True)
            ask_all(folder, "https://" + ready.split()[1])
            check_dead_client(folder, int(ready.rsplit(":", 1)[1]))
            example.send_signal(signal.SIGTERM)
            check("drained", example.wait(timeout=LIMIT_S), 0)
        finally:
            if example.poll() is None:
                example.kill()
                example.wait()


main()
