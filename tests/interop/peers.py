"""What every foreign client's tests share: where the clients are, an origin that serves HTTP/3, and the
four things each has to do: a page, a large page whole, the same through the other method, a wrong key."""
import hashlib
import os
import pathlib
import re
import subprocess

from harness.context import KEY, check, same
from harness.udp import UdpTarget  # noqa: F401, for the tests

SIZE = int(os.environ.get("MASQUE_INTEROP_SIZE_MIB", "1024")) << 20
SMALL = 100_000
WRONG_KEY = "not-the-key-0123456789"
LIMIT_S = 600


def folder():
    cache = os.environ.get("XDG_CACHE_HOME") or os.path.join(os.environ.get("HOME", "/root"), ".cache")
    return pathlib.Path(cache) / "masqueproxy" / "peers"


def find(t, name):
    """The program NAME of `dependencies.sh peers`."""
    path = folder() / name
    if not path.exists():
        check(not os.environ.get("CI"), f"{path} is missing: see `sh cmake/dependencies.sh peers`")
        t.skip(f"no {name}: `sh cmake/dependencies.sh peers` makes it")
    return str(path)


def digest(size):
    """Of the origin's page /size/SIZE, see go/main.go."""
    block = bytes((i * 131 >> 3) & 0xff for i in range(65521))
    whole = hashlib.sha256()
    while size > 0:
        whole.update(block[:size])
        size -= min(size, len(block))
    return whole.hexdigest()


class Origin:
    """HTTP/3, HTTP/2 and HTTP/1.1 on one port, by quic-go and net/http."""

    def __init__(self, t):
        self.port = t.free_port()
        command = [find(t, "interop-go"), "-listen", f"127.0.0.1:{self.port}", "-certificate", t.pki.certificate,
                   "-private-key", t.pki.private_key, "origin"]
        self.process = subprocess.Popen(command, stdout=subprocess.PIPE, stderr=subprocess.DEVNULL)
        t.defer(self.close)
        same(self.process.stdout.readline(), b"ready\n", "the origin's first line")

    def page(self, size):
        return f"https://127.0.0.1:{self.port}/size/{size}"  # a name might mean ::1 first, where it is not

    def close(self):
        self.process.terminate()
        self.process.wait(30)
        self.process.stdout.close()


def proxy(t):
    return t.proxy(limits={"auth-failures": 100, "requests-burst": 1000})


def run(command, seconds=LIMIT_S, **more):
    return subprocess.run(command, capture_output=True, timeout=seconds, **more)


def check_line(what, line, size, version):
    """LINE is "200 VERSION LENGTH SHA256"."""
    same(line.split(), ["200", version, str(size), digest(size)], what)


def go(t, proxy_port, *arguments, page, key=KEY):
    done = run([find(t, "interop-go"), "-proxy", f"localhost:{proxy_port}", "-key", key, "-ca", t.pki.ca, "-page", page,
                *arguments])
    check(done.returncode == 0, f"{arguments}: {done.stderr.decode()[-500:]}")
    return done.stdout.decode().strip()


def last_status(text):
    return re.findall(r"\b([1-5]\d\d)\b", text)[-1]
