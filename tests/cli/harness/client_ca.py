"""A CA for clients' certificates, with a list of revoked ones. By the openssl program."""
import hashlib
import subprocess

from harness.pki import CURVE, openssl

CONFIG = """[ca]
default_ca = one
[one]
database = {folder}/index.txt
default_md = sha256
default_crl_days = 2
"""


class ClientCa:
    def __init__(self, t, name="clients"):
        self.folder = t.folder / name
        self.folder.mkdir()
        self.key, self.ca = self._path("ca.key"), self._path("ca.pem")
        openssl("req", "-x509", *CURVE, "-keyout", self.key, "-out", self.ca, "-days", "2", "-subj", f"/CN=CA of {name}",
                "-addext", "basicConstraints=critical,CA:TRUE", "-addext", "keyUsage=critical,keyCertSign,cRLSign")
        self._config = self.folder / "ca.cnf"
        self._config.write_text(CONFIG.format(folder=self.folder))
        (self.folder / "index.txt").write_text("")

    def _path(self, name):
        return str(self.folder / name)

    def issue(self, name, subject=None, names="DNS:client.test", usage="clientAuth", days=2):
        """(certificate, key), which --certificate and --private-key take."""
        certificate, key, request = (self._path(name + end) for end in (".pem", ".key", ".csr"))
        extensions = self.folder / (name + ".ext")
        extensions.write_text(f"subjectAltName={names}\nextendedKeyUsage={usage}\n")
        openssl("req", "-new", *CURVE, "-keyout", key, "-out", request, "-subj", subject or f"/CN={name}")
        openssl("x509", "-req", "-in", request, "-CA", self.ca, "-CAkey", self.key, "-CAcreateserial", "-out",
                certificate, "-days", str(days), "-extfile", str(extensions))
        return certificate, key

    def revoke(self, *certificates):
        """The list of those that are revoked."""
        for certificate in certificates:
            openssl("ca", "-config", str(self._config), "-revoke", certificate, "-keyfile", self.key, "-cert", self.ca)
        path = self._path("crl.pem")
        openssl("ca", "-config", str(self._config), "-gencrl", "-keyfile", self.key, "-cert", self.ca, "-out", path)
        return path


def key_hash(certificate):
    """SHA-256 of its SubjectPublicKeyInfo, in hexadecimal."""
    pem = subprocess.run(["openssl", "x509", "-in", certificate, "-noout", "-pubkey"], check=True, capture_output=True)
    der = subprocess.run(["openssl", "pkey", "-pubin", "-outform", "DER"], input=pem.stdout, check=True,
                         capture_output=True)
    return hashlib.sha256(der.stdout).hexdigest()
