"""What one test is given: a folder, ports, processes that end with it, and checks.
Goal: whatever a test did, nothing of it is left when it is over.
"""
import json
import os
import pathlib
import shutil
import socket
import subprocess
import tempfile

from harness import pki
from harness.proxy import Proxy

KEY = "a-key-of-the-tests-0123456789"
PATIENCE_S = 30


class Skip(Exception):
    """The test can't run here; its text says why."""


def check(condition, what):
    if not condition:
        raise AssertionError(what)


def same(got, wanted, what):
    if got != wanted:
        raise AssertionError(f"{what}: got {got!r}, wanted {wanted!r}")


class Context:
    def __init__(self, program, name):
        self.program = program
        self.name = name
        self.folder = pathlib.Path(tempfile.mkdtemp(prefix="masque-cli-"))
        self._ends, self._proxies = [], 0

    def close(self):
        """Ends what was begun, last first; the first complaint is raised when all is done."""
        complaint = None
        while self._ends:
            function, arguments = self._ends.pop()
            try:
                function(*arguments)
            except Exception as error:  # pylint: disable=broad-except
                complaint = complaint or error
        shutil.rmtree(self.folder, ignore_errors=True)
        if complaint:
            raise complaint

    def defer(self, function, *arguments):
        self._ends.append((function, arguments))

    def keep(self, thing):
        self.defer(thing.close)
        return thing

    def skip(self, why):
        raise Skip(why)

    def write(self, name, text, mode=0o600):
        path = self.folder / name
        path.write_text(text)
        path.chmod(mode)
        return str(path)

    def free_port(self, address="127.0.0.1"):
        family = socket.AF_INET6 if ":" in address else socket.AF_INET
        with socket.socket(family, socket.SOCK_STREAM) as probe:
            probe.bind((address, 0))
            return probe.getsockname()[1]

    @property
    def pki(self):
        return pki.shared()

    def settings(self, **changes):
        """A configuration as a dictionary; CHANGES replace its parts, None leaves one out."""
        key_file = self.write("psk.txt", KEY + "\n")
        settings = {
            "listen": [{"address": f"127.0.0.1:{self.free_port()}"}],
            "tls": {"certificate": self.pki.certificate, "private-key": self.pki.private_key},
            "auth": {"preshared": [{"name": "poc", "key-file": key_file}]},
            "targets": {"allow": ["127.0.0.0/8", "::1"]},
            "log": {"level": "debug"},
            "workers": 1,
        }
        settings.update(changes)
        return {key: value for key, value in settings.items() if value is not None}

    def write_settings(self, settings, name="proxy.yaml"):
        return self.write(name, json.dumps(settings, indent=1))  # JSON is YAML too

    def proxy(self, arguments=(), environment=None, wrap=(), files=(), **changes):
        """A running proxy that said it is ready. Another program may take the port between our
        choosing it and the proxy's binding, so that is tried again."""
        for attempt in range(5):
            settings = self.settings(**changes)
            path = self.write_settings(settings, f"proxy{self._proxies or ''}.yaml")
            command = list(wrap) + [self.program, "--config", path] + list(arguments)
            proxy = Proxy(self, command, environment, files)
            if proxy.await_ready(PATIENCE_S):
                proxy.settings, proxy.config_path = settings, path
                self._proxies += 1
                return proxy
            if "Address already in use" not in proxy.log() or "listen" in changes:
                raise AssertionError("the proxy did not start: " + proxy.log())
        raise AssertionError(f"no free port in {attempt + 1} attempts")

    def run(self, *arguments, environment=None, seconds=PATIENCE_S):
        """Runs the program to its end."""
        return subprocess.run([self.program] + list(arguments), capture_output=True, text=True, timeout=seconds,
                              env=self.environment(environment), cwd=self.folder)

    def environment(self, extra=None):
        """The caller's, without what would steer the program."""
        kept = {k: v for k, v in os.environ.items()
                if not k.startswith(("MASQUE_", "LISTEN_", "NOTIFY_", "XDG_", "CURL_", "SSL_")) and
                not k.lower().endswith("_proxy")}
        kept["HOME"] = str(self.folder)
        return {**kept, **(extra or {})}
