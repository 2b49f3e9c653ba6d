"""A deployment of Privacy Pass: issuer, attester and proxy, each a masqueproxyd of its own, and the client program that
fetches tokens. Goal: tests say what they want of it in a line."""
import os
import subprocess

from harness.context import PATIENCE_S, same
from harness.h1 import H1

ISSUER, ORIGIN = "issuer.example", "proxy.example"
# Of the password "wonderland", by bcrypt with its lowest cost.
PASSWORD = "wonderland"
HASH = "$2b$04$abcdefghijklmnopqrstuujZkTwHUiJ9XdZPwKfcfDo7dMp5DjlTu"
TYPES = (2, 1)


class Run:
    """One run of `masqueproxy token ...`."""

    def __init__(self, t, *arguments):
        program = os.path.join(os.path.dirname(t.program), "masqueproxy")
        done = subprocess.run([program, "token", *arguments], capture_output=True, timeout=PATIENCE_S,
                              env=t.environment(), cwd=t.folder)
        self.status, self.out, self.err = done.returncode, done.stdout.decode(), done.stderr.decode()


class Keys:
    """An issuer's two keys, made by `token keygen`."""

    def __init__(self, t, name="issuer"):
        self.files, self.public = {}, {}
        for kind in TYPES:
            self.files[kind] = os.path.join(t.folder, f"{name}-{kind}.key")
            made = Run(t, "keygen", "--token-type", str(kind), "--out", self.files[kind])
            same((made.status, made.err), (0, ""), "keygen")
            self.public[kind] = made.out.strip()

    def for_issuer(self):
        return [{"token-type": kind, "private-key-file": self.files[kind]} for kind in TYPES]

    def for_proxy(self, **more):
        rows = [{"issuer": ISSUER, "origin": ORIGIN, "public-key": self.public[kind], **more} for kind in TYPES]
        rows[TYPES.index(1)]["private-key-file"] = self.files[1]
        return rows


class Deployment:
    def __init__(self, t, allowance=1000, issuer=None, attester=None):
        self.t, self.keys = t, Keys(t)
        self.wallet, self.count = os.path.join(t.folder, "wallet"), 0
        role, key = t.pki.issue("role", "serverAuth,clientAuth")
        self.issuer_settings = {"listen": [{"address": f"127.0.0.1:{t.free_port()}"}], "certificate": role,
                                "private-key": key, "client-ca": t.pki.ca, "keys": self.keys.for_issuer(),
                                **(issuer or {})}
        self.issuer = self.role(issuer=self.issuer_settings)
        users = t.write("users.htpasswd", f"# accounts\nalice:{HASH}\nbob:{HASH}\n")
        self.attester_settings = {"listen": [{"address": f"127.0.0.1:{t.free_port()}"}], "certificate": role,
                                  "private-key": key, "issuer": f"https://localhost:{self.issuer.port}",
                                  "issuer-ca": t.pki.ca, "basic": {"file": users}, "tokens-per-account": allowance}
        self.attester = self.role(attester=self.attester_settings, **(attester or {}))

    def role(self, **settings):
        return self.t.proxy(listen=None, tls=None, auth=None, targets=None, workers=None, **settings)

    def proxy(self, spent=None, keys=None, **changes):
        auth = {"private-token": keys or self.keys.for_proxy()}
        if spent:
            auth["spent-tokens"] = spent
        return self.t.proxy(auth=auth, **changes)

    def get(self, kind=2, count=1, user="alice", password=PASSWORD, **more):
        """`token get` through the attester."""
        t = self.t
        arguments = {"attester": f"https://localhost:{self.attester.port}", "user": user, "issuer-name": ISSUER,
                     "origin": ORIGIN, "token-type": kind, "count": count, "token-wallet": self.wallet, "ca": t.pki.ca,
                     "password-file": t.write("password.txt", password + "\n"), **more}
        return Run(t, "get", *(part for name, value in arguments.items() for part in (f"--{name}", str(value))))

    def tokens(self, count, kind=2, **more):
        """So many tokens, in Base64."""
        got = self.get(kind, count, **more)
        same((got.status, got.err), (0, ""), "token get")
        return [self.export() for _ in range(count)]

    def export(self):
        taken = Run(self.t, "export", "--token-wallet", self.wallet)
        same((taken.status, taken.err), (0, ""), "token export")
        return taken.out.strip()


def show(t, proxy, authority, credential, connection=None):
    """The status that a request with this credential gets; of a connection of its own, which then ends, or of one that
    stays."""
    lines = [f"CONNECT {authority} HTTP/1.1", f"Host: {authority}", f"Proxy-Authorization: {credential}", "", ""]
    used = connection or H1(t, proxy)
    status = used.ask("\r\n".join(lines).encode()).status
    if not connection:
        used.close()
    return status
