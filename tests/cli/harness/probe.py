"""The client program, masqueproxy, as its users run it, and a NAT between it and the proxy."""
import json
import os
import select
import socket
import subprocess
import threading

from harness.context import KEY

VERSIONS = (("--http3", "h3"), ("--http2", "h2"), ("--http1", "http/1.1"))
PATIENCE_S = 60


class Probe:
    """One run of it, to its end."""

    def __init__(self, t, proxy, *arguments, key=KEY, ca=None, port=None, given=b""):
        program = os.path.join(os.path.dirname(t.program), "masqueproxy")
        key_file = t.write("probe-key.txt", key + "\n")
        command = [program, *arguments, "--proxy", f"https://127.0.0.1:{port or proxy.port}", "--preshared-key-file",
                   key_file, *([] if "--insecure" in arguments else ["--ca", ca or t.pki.ca])]
        done = subprocess.run(command, input=given, capture_output=True, timeout=PATIENCE_S, env=t.environment(),
                              cwd=t.folder)
        self.status, self.out, self.err = done.returncode, done.stdout, done.stderr.decode()

    @property
    def report(self):
        return json.loads(self.out)


class Nat:
    """Carries UDP to PORT and back. The proxy sees another source port whenever `rebind` is called."""

    def __init__(self, context, port):
        self._port = port
        self._inside = socket.socket(socket.AF_INET, socket.SOCK_DGRAM)
        self._inside.bind(("127.0.0.1", 0))
        self.port = self._inside.getsockname()[1]
        self._outside, self._client, self._over = self._new(), None, False
        self._seen = 0
        self.rebind_each = 0  # packets of the client
        self.bindings = 1
        self.marks = set()  # ECN's bits (RFC 3168 5) of what the proxy sent
        self._thread = threading.Thread(target=self._run, daemon=True)
        self._thread.start()
        context.defer(self.close)

    def _new(self):
        outside = socket.socket(socket.AF_INET, socket.SOCK_DGRAM)
        outside.setsockopt(socket.IPPROTO_IP, socket.IP_RECVTOS, 1)
        outside.connect(("127.0.0.1", self._port))
        return outside

    def _from_proxy(self):
        data, control = self._outside.recvmsg(70000, 64)[:2]
        self.marks.update(value[0] & 3 for _, kind, value in control if kind == socket.IP_TOS)
        self._inside.sendto(data, self._client)

    def _from_client(self):
        data, self._client = self._inside.recvfrom(70000)
        self._seen += 1
        if self.rebind_each and self._seen > 12 and self._seen % self.rebind_each == 0:
            self._outside.close()
            self._outside = self._new()
            self.bindings += 1
        self._outside.send(data)

    def _run(self):
        while not self._over:
            for ready in select.select([self._inside, self._outside], [], [], 0.2)[0]:
                if ready is self._inside:
                    self._from_client()
                elif self._client:
                    self._from_proxy()

    def close(self):
        self._over = True
        self._thread.join(PATIENCE_S)
        self._inside.close()
        self._outside.close()
