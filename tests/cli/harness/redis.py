"""A Redis of the test's own, which can be stopped, killed and emptied."""
import os
import shutil
import signal
import socket
import subprocess
import time

from harness.context import PATIENCE_S


def program(name):
    """Where dependencies.sh unpacked it, or the system's."""
    cache = os.environ.get("XDG_CACHE_HOME") or os.path.expanduser("~/.cache")
    unpacked = os.path.join(cache, "masqueproxy", "redis", "usr", "bin", name)
    return unpacked if os.path.exists(unpacked) else shutil.which(name)


class Redis:
    def __init__(self, t, *arguments, durable=False):
        self.path = program("redis-server")
        if not self.path:
            t.skip("no redis-server; `sh cmake/dependencies.sh test` gets one")
        self.folder, self.port = t.folder / "redis", t.free_port()
        self.folder.mkdir(exist_ok=True)
        self.arguments = ["--port", str(self.port), "--bind", "127.0.0.1", "--dir", str(self.folder), "--save", "",
                          "--daemonize", "no", *arguments]
        if durable:
            self.arguments += ["--appendonly", "yes", "--appendfsync", "always"]
        self.process = None
        self.start()
        t.defer(self.kill)

    @property
    def url(self):
        return f"redis://127.0.0.1:{self.port}"

    def start(self):
        self.process = subprocess.Popen([self.path, *self.arguments], stdout=subprocess.DEVNULL,
                                        stderr=subprocess.DEVNULL)
        end = time.monotonic() + PATIENCE_S
        while True:  # it has no other sign of being ready
            try:
                socket.create_connection(("127.0.0.1", self.port), 1).close()
                return
            except OSError:
                if time.monotonic() > end:
                    raise
                time.sleep(0.02)

    def kill(self):
        if self.process.poll() is None:
            self.process.send_signal(signal.SIGCONT)
            self.process.kill()
        self.process.wait()

    def call(self, *words):
        """One command by hand: its answer's first line."""
        with socket.create_connection(("127.0.0.1", self.port), PATIENCE_S) as connection:
            connection.sendall(f"*{len(words)}\r\n".encode() +
                               b"".join(f"${len(w.encode())}\r\n{w}\r\n".encode() for w in words))
            return connection.makefile("rb").readline().decode().strip()
