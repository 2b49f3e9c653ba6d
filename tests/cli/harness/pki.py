"""Certificates of the tests, made once a run by the openssl program.
Goal: a CA that signs two server certificates, so that one can be swapped for the other.
"""
import atexit
import pathlib
import shutil
import subprocess
import tempfile

NAMES = ("localhost", "your-proxy.example.com", "example.com", "cloudflare.com", "target.test")
CURVE = ("-newkey", "ec", "-pkeyopt", "ec_paramgen_curve:prime256v1", "-nodes")
_shared = []


def openssl(*arguments):
    subprocess.run(["openssl", *arguments], check=True, capture_output=True, timeout=60)


class Pki:
    def __init__(self, folder):
        self.folder = folder
        self.ca = str(folder / "ca.pem")
        openssl("req", "-x509", *CURVE, "-keyout", self._path("ca.key"), "-out", self.ca, "-days", "2", "-subj",
                "/CN=CA of the tests", "-addext", "basicConstraints=critical,CA:TRUE", "-addext",
                "keyUsage=critical,keyCertSign,cRLSign")
        self.certificate, self.private_key = self.issue("server")
        self.second_certificate, self.second_private_key = self.issue("second")

    def _path(self, name):
        return str(self.folder / name)

    @property
    def expired_certificate(self):
        """Of the first server's key, until yesterday."""
        path = self._path("expired.pem")
        openssl("x509", "-req", "-in", self._path("server.csr"), "-CA", self.ca, "-CAkey", self._path("ca.key"), "-days",
                "-1", "-out", path)
        return path

    def issue(self, name, usage="serverAuth"):
        certificate, key, request = self._path(name + ".pem"), self._path(name + ".key"), self._path(name + ".csr")
        alternatives = ",".join(["IP:127.0.0.1", "IP:::1"] + [f"DNS:{n}" for n in NAMES])
        extensions = self.folder / (name + ".ext")
        extensions.write_text(f"subjectAltName={alternatives}\nextendedKeyUsage={usage}\n")
        openssl("req", "-new", *CURVE, "-keyout", key, "-out", request, "-subj", f"/CN={name}")
        openssl("x509", "-req", "-in", request, "-CA", self.ca, "-CAkey", self._path("ca.key"), "-CAcreateserial",
                "-out", certificate, "-days", "2", "-extfile", str(extensions))
        return certificate, key


def shared():
    if not _shared:
        folder = pathlib.Path(tempfile.mkdtemp(prefix="masque-pki-"))
        atexit.register(shutil.rmtree, folder, True)
        _shared.append(Pki(folder))
    return _shared[0]
