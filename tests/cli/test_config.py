"""Wrong configurations. Goal: the message says where, what, and what to do; the
same text from --test-config and from a start.
"""
import os
import re
import shutil
import subprocess

from harness import mmdb, targets
from harness.client_ca import ClientCa
from harness.context import check, same
from harness.tokens import HASH, Keys

LISTEN = 'listen:\n  - address: "127.0.0.1:8443"\n'  # lines 1 and 2
TLS = "tls:\n  certificate: server.crt\n  private-key: server.key\n"  # 3 to 5
AUTH = "auth:\n  preshared:\n    - { name: poc, key-file: psk.txt }\n"  # 6 to 8
GOOD = LISTEN + TLS + AUTH
KEYS_ARE_IN_THE_MANUAL = "; masqueproxyd(8) lists the keys there are"
ENDPOINT = "expected 192.0.2.1:443, [2001:db8::1]:443 or :443"
SERVERS = "expected at most 16 servers such as 9.9.9.9 or [2620:fe::fe]:53"
DURATION = "expected a number with ms, s, m or h, such as 30s"
NO_CERTIFICATE = ("no certificate: give tls.certificate and tls.private-key in the configuration file, or "
                  "--certificate and --private-key")
NO_LISTENER = "nowhere to listen: give `listen` in the configuration file, or --listen ADDR:PORT"
NO_AUTH = ("nobody could authenticate: give auth.preshared or another method in the configuration file, --preshared-key-file, or "
           "MASQUE_PRESHARED_KEY in the environment")


def unknown(line, key):
    return f"p.yaml:{line}: unknown key “{key}”" + KEYS_ARE_IN_THE_MANUAL


def at(line, key, text):
    return f"p.yaml:{line}: “{key}”: {text}"


def listen(address, more=""):
    return f'listen:\n  - address: "{address}"\n{more}' + TLS + AUTH


def no_number(text):
    return f"expected a whole number without a unit, not “{text}”"


def preshared(*rows):
    return LISTEN + TLS + "auth:\n  preshared:\n" + "".join(f"    - {row}\n" for row in rows)


QUIC_KEYS = "expected at most 3 keys, each with another id of 0 to 6"

# name, file, message
UNKNOWN_KEYS = [
    ("root", GOOD + "lsten: 1\n", unknown(9, "lsten")),
    ("listen", listen("127.0.0.1:1", "    protocol: [h2]\n"), unknown(3, "listen[0].protocol")),
    ("second listener", LISTEN + '  - address: "127.0.0.1:2"\n    x: 1\n' + TLS + AUTH, unknown(4, "listen[1].x")),
    ("tls", LISTEN + "tls:\n  certificate: server.crt\n  key: server.key\n" + AUTH, unknown(5, "tls.key")),
    ("auth", LISTEN + TLS + "auth:\n  password: x\n", unknown(7, "auth.password")),
    ("preshared", LISTEN + TLS + "auth:\n  preshared:\n    - name: poc\n      keyfile: psk.txt\n",
     unknown(9, "auth.preshared[0].keyfile")),
    ("targets", GOOD + "targets:\n  allow: []\n  permit: []\n", unknown(11, "targets.permit")),
    ("dns", GOOD + "dns:\n  server: [ 9.9.9.9 ]\n", unknown(10, "dns.server")),
    ("limits", GOOD + "limits:\n  tunnels: 5\n  header-field: 3\n", unknown(11, "limits.header-field")),
    ("log", GOOD + "log: { level: info, file: x }\n", unknown(9, "log.file")),
    ("quic", GOOD + "quic: { version: 2 }\n", unknown(9, "quic.version")),
]

WRONG_VALUES = [
    ("limit too small", GOOD + "limits:\n  header-fields: 3\n", at(10, "limits.header-fields", "must be 4 to 1000")),
    ("limit too large", GOOD + "limits:\n  header-fields: 1001\n", at(10, "limits.header-fields", "must be 4 to 1000")),
    *[(f"limit {text}", GOOD + f"limits:\n  tunnels: {text}\n", at(10, "limits.tunnels", no_number(text)))
      for text in ("-1", "20k", "1e3", "1_000", "5 000", "1.5", "0x10", "010", "+5", "9" * 30)],
    *[(f"workers {text}", GOOD + f"workers: {text}\n", at(9, "workers", no_number(text))) for text in ("2x", "1.5")],
    ("limits that don't fit", GOOD + "limits:\n  tunnels-per-connection: 1000\n  connection-buffer: 100000\n",
     at(11, "limits.connection-buffer", "is too small for 1000 tunnels-per-connection; expected 1024000 or more")),
    ("no workers", GOOD + "workers: 0\n", at(9, "workers", "must be 1 to 256")),
    ("too many workers", GOOD + "workers: 257\n", at(9, "workers", "must be 1 to 256")),
    ("address without a port", listen("127.0.0.1"),
     at(2, "listen[0].address", "“127.0.0.1” is no address with a port; " + ENDPOINT)),
    ("port 0", listen("127.0.0.1:0"),
     at(2, "listen[0].address", "“127.0.0.1:0” is no address with a port; " + ENDPOINT)),
    ("port 65536", listen("127.0.0.1:65536"),
     at(2, "listen[0].address", "“127.0.0.1:65536” is no address with a port; " + ENDPOINT)),
    ("a name for an address", listen("localhost:443"),
     at(2, "listen[0].address", "“localhost:443” is no address with a port; " + ENDPOINT)),
    ("IPv6 without brackets", listen("::1:443"),
     at(2, "listen[0].address", "“::1:443” is no address with a port; " + ENDPOINT)),
    ("unknown protocol", listen("127.0.0.1:1", "    protocols: [h2, spdy]\n"),
     at(3, "listen[0].protocols[1]", "“spdy” is no protocol of this version; expected h3, h2 or http/1.1")),
    ("rule with host bits", GOOD + "targets:\n  allow:\n    - 192.0.2.1/24\n",
     at(11, "targets.allow[0]", "“192.0.2.1/24” is no target rule: the address has bits behind the prefix length; they "
        "must be 0")),
    ("rule with a wrong port", GOOD + 'targets:\n  deny:\n    - 192.0.2.0/24\n    - "port:99999"\n',
     at(12, "targets.deny[1]", "“port:99999” is no target rule: expected a port or a range of 0 to 65535, as in port:25 "
        "or port:8000-8999")),
    ("rule with a name", GOOD + "targets:\n  deny: [ example.com ]\n",
     at(10, "targets.deny[0]", "“example.com” is no target rule: expected an IP address or a prefix such as 192.0.2.0/24 "
        "or 2001:db8::/32")),
    ("name server", GOOD + "dns:\n  servers: [ 9.9.9 ]\n",
     at(10, "dns.servers[0]", "“9.9.9” can't be used; " + SERVERS)),
    ("name server without address", GOOD + 'dns:\n  servers: [ ":53" ]\n',
     at(10, "dns.servers[0]", "“:53” can't be used; " + SERVERS)),
    ("duration", GOOD + "drain-timeout: soon\n", at(9, "drain-timeout", "“soon” is no duration; " + DURATION)),
    ("duration with a space", GOOD + "drain-timeout: 30 s\n",
     at(9, "drain-timeout", "“30 s” is no duration; " + DURATION)),
    ("log level", GOOD + "log:\n  level: verbose\n",
     at(10, "log.level", "“verbose” is no log level; expected error, warning, info or debug")),
    ("log format", GOOD + "log:\n  format: xml\n",
     at(10, "log.format", "“xml” is no log format; expected text or json")),
    ("congestion", GOOD + "quic:\n  congestion: reno\n", at(10, "quic.congestion", "“reno” is neither cubic nor bbr")),
    ("migration", GOOD + "quic:\n  migration: yes\n", at(10, "quic.migration", "“yes” is neither false nor true")),
    ("server number", GOOD + "quic:\n  server-number: 16777216\n",
     at(10, "quic.server-number", "must be 0 to 16777215")),
    ("a key's id", GOOD + "quic:\n  keys:\n    - { id: 7, key-file: psk.txt }\n", at(11, "quic.keys[0].id", QUIC_KEYS)),
    ("a key's id twice", GOOD + "quic:\n  keys:\n    - { id: 1, key-file: a }\n    - { id: 1, key-file: b }\n",
     at(12, "quic.keys[1].id", QUIC_KEYS)),
    ("a key that is none", GOOD + "quic:\n  keys:\n    - { id: 1, key-file: psk.txt }\n",
     at(11, "quic.keys[0].key-file", "no key in psk.txt; expected 64 hexadecimal digits, as `openssl rand -hex 32` makes "
        "them")),
    ("a template", GOOD + "udp-template: /masque\n",
     "udp-template: “/masque” can't be used; expected off, or a path with {target_host} and {target_port} such as "
     "/.well-known/masque/udp/{target_host}/{target_port}/"),
]

MISSING = [
    ("no listener", TLS + AUTH, NO_LISTENER),
    ("empty list of listeners", "listen: []\n" + TLS + AUTH, NO_LISTENER),
    ("empty file", "", NO_LISTENER),
    ("no authentication", LISTEN + TLS, NO_AUTH),
    ("no keys", LISTEN + TLS + "auth:\n  preshared: []\n", NO_AUTH),
    ("no tls", LISTEN + AUTH, NO_CERTIFICATE),
    ("certificate without key", LISTEN + "tls:\n  certificate: server.crt\n" + AUTH,
     NO_CERTIFICATE.replace("no certificate", "no private key")),
]

RELATIVE = "No such file or directory (relative to the working directory)"
MAPPING = "expected keys with values, such as { key: value }"
KEY_RULE = "expected 8 to 256 visible ASCII characters on one line"


def tls(certificate, private_key):
    return LISTEN + f"tls:\n  certificate: {certificate}\n  private-key: {private_key}\n" + AUTH


def bad_key(file, why):
    return at(8, "auth.preshared[0].key-file", f"no pre-shared key in {file}; " + KEY_RULE + ", but " + why)


TYPES = [
    ("listen is a text", 'listen: "127.0.0.1:1"\n' + TLS + AUTH, at(1, "listen", "expected a list, such as [ a, b ]")),
    ("listener is a text", 'listen:\n  - "127.0.0.1:1"\n' + TLS + AUTH, at(2, "listen[0]", MAPPING)),
    ("address is a list", "listen:\n  - address: [1]\n" + TLS + AUTH, at(2, "listen[0].address", "expected one value; one that begins with [ needs quotes")),
    ("workers is a word", GOOD + "workers: many\n", at(9, "workers", no_number("many"))),
    ("workers is empty", GOOD + "workers:\n", at(9, "workers", "is empty")),
    ("a limit is a word", GOOD + "limits:\n  tunnels: lots\n",
     at(10, "limits.tunnels", no_number("lots"))),
    ("limits is a word", GOOD + "limits: none\n", at(9, "limits", MAPPING)),
    ("no protocols", listen("127.0.0.1:1", "    protocols: []\n"), at(3, "listen[0].protocols", "is empty")),
    ("tls is a list", LISTEN + "tls: []\n" + AUTH, at(3, "tls", MAPPING)),
    ("targets is a list", GOOD + "targets: [ 192.0.2.0/24 ]\n", at(9, "targets", MAPPING)),
    ("listener without address", "listen:\n  - protocols: [h2]\n" + TLS + AUTH,
     at(2, "listen[0]", "this key is missing: address")),
    ("key without file", preshared("{ name: poc }"), at(8, "auth.preshared[0]", "this key is missing: key-file")),
    ("key without name", preshared("{ key-file: psk.txt }"), at(8, "auth.preshared[0]", "this key is missing: name")),
    ("a key twice", GOOD + "workers: 1\nworkers: 2\n", at(9, "workers", "this key is there twice: workers")),
    ("a list for a file", "- a\n", "p.yaml:1: " + MAPPING),
    ("no text", "\0\1", "p.yaml:1: no YAML: control characters are not allowed"),
    ("a tab", GOOD + "limits:\n\ttunnels: 5\n", "p.yaml:10: no YAML: found character that cannot start any token; a line "
     "is indented with spaces, never a tab"),
    ("two documents", GOOD + "---\nworkers: 2\n", "p.yaml:9: a second document begins; only one is read, so take the “---” "
     "out"),
]

FILES = [
    ("missing certificate", tls("none.crt", "server.key"),
     at(4, "tls.certificate", "can't read none.crt: " + RELATIVE)),
    ("missing private key", tls("server.crt", "none.key"),
     at(5, "tls.private-key", "can't read none.key: " + RELATIVE)),
    ("certificate is no PEM", tls("bad.pem", "server.key"),
     at(4, "tls.certificate", "bad.pem: the certificate chain can't be used; expected PEM, server certificate first")),
    ("private key is no PEM", tls("server.crt", "bad.pem"),
     at(5, "tls.private-key", "bad.pem: the private key can't be used; expected PEM without a pass phrase")),
    ("key of another certificate", tls("server.crt", "other.key"),
     at(5, "tls.private-key", "other.key: the private key does not belong to the certificate")),
    ("missing key file", preshared("{ name: poc, key-file: none.txt }"),
     at(8, "auth.preshared[0].key-file", "can't read none.txt: " + RELATIVE)),
    ("key file is a folder", preshared("{ name: poc, key-file: . }"),
     at(8, "auth.preshared[0].key-file", ". is not a regular file of at most 4 MiB")),
    ("key file is a pipe", preshared("{ name: poc, key-file: pipe }"),
     at(8, "auth.preshared[0].key-file", "pipe is not a regular file of at most 4 MiB")),
    ("key too short", preshared("{ name: poc, key-file: short.txt }"), bad_key("short.txt", "the line has 7")),
    ("key too long", preshared("{ name: poc, key-file: long.txt }"), bad_key("long.txt", "the line has 257")),
    ("key with a space", preshared("{ name: poc, key-file: space.txt }"), bad_key("space.txt", "there is a blank, or another character")),
    ("two keys in a file", preshared("{ name: poc, key-file: two.txt }"), bad_key("two.txt", "there is more than one line")),
    ("no key in a file", preshared("{ name: poc, key-file: empty.txt }"), bad_key("empty.txt", "the line has 0")),
    ("two keys of one name", preshared("{ name: poc, key-file: psk.txt }", "{ name: poc, key-file: psk2.txt }"),
     at(9, "auth.preshared[1].name", "there are two pre-shared keys with the name “poc”; each needs its own")),
    ("an address twice", LISTEN + '  - address: "127.0.0.1:8443"\n' + TLS + AUTH,
     at(3, "listen[1].address", "“127.0.0.1:8443” is listened on already")),
]

# Their words are a library's: only the place is ours.
PLACES = [
    ("name too long", preshared("{ name: " + "n" * 64 + ", key-file: psk.txt }"),
     r"^p\.yaml:8: “auth\.preshared\[0\]\.name”: .*too long"),
    ("a limit is a list", GOOD + "limits:\n  tunnels: [1]\n", r"^p\.yaml:10: “limits\.tunnels”: "),
    ("unfinished list", GOOD + "targets:\n  allow: [ 192.0.2.0/24\n", r"^p\.yaml:\d+: "),
    ("a tab", "listen:\n\t- address: x\n", r"^p\.yaml:\d: .*no YAML"),
]

# arguments, pattern in the message
FLAGS = [
    (["--bogus"], "^--bogus: unknown flag; --help lists the flags$"),
    (["-x"], "^-x: unknown flag; --help lists the flags$"),
    (["--listen"], "^--listen: needs a value; --help lists the flags$"),
    (["--config"], "^--config: needs a value; --help lists the flags$"),
    (["--listen", "x"], "^--listen: “x” is no address with a port; " + re.escape(ENDPOINT)),
    (["--workers", "0"], "^--workers: “0” is no number of workers; expected 1 to 256$"),
    (["--workers", "2x"], "^--workers: “2x” is no number of workers; expected 1 to 256$"),
    (["--log-level", "loud"], "^--log-level: “loud” is no log level; expected error, warning, info or debug$"),
    (["--allow-target", "all"], "^--allow-target: “all” is no target rule: expected an IP address"),
    (["--config", "none.yaml"], "^can't read none.yaml: " + re.escape(RELATIVE) + "$"),
    (["--config", "."], r"^\. is not a regular file of at most 4 MiB$"),
    (["--config", "good.yaml", "--config", "other.yaml"],
     "^--config: there can be one configuration file; good.yaml was given already$"),
    (["--conf", "none.yaml"], "^can't read none.yaml: "),
    (["--quickstart", "--config", "good.yaml"], "^--quickstart makes its own certificate and takes no file; leave --config, "
     "--certificate and --private-key out$"),
    (["--quickstart", "--certificate", "server.crt"], "^--quickstart makes its own certificate"),
    (["--quickstart", "--test-config"], "^--quickstart has no configuration to test$"),
    (["--config", ""], "^can't read a file without a name: "),
    (["--quickstart=1"], "^--quickstart=1: "),
    (["stray"], "^stray: unexpected argument; --help lists the flags$"),
    (["--", "stray"], "^stray: unexpected argument; --help lists the flags$"),
    ([], "^" + re.escape(NO_LISTENER) + "$"),
    (["--listen", "127.0.0.1:1"], "^" + re.escape(NO_CERTIFICATE) + "$"),
    (["--listen", "127.0.0.1:1", "--certificate", "server.crt", "--private-key", "server.key"],
     "^" + re.escape(NO_AUTH) + "$"),
    (["--config", "good.yaml", "--preshared-key-file", "long.txt"],
     "^--preshared-key-file: no pre-shared key in long.txt; " + KEY_RULE + ", but the line has 257$"),
]


def prepare(t):
    shutil.copy(t.pki.certificate, t.folder / "server.crt")
    shutil.copy(t.pki.private_key, t.folder / "server.key")
    shutil.copy(t.pki.second_private_key, t.folder / "other.key")
    for name, text in (("psk.txt", "12345678\n"), ("psk2.txt", "abcdefgh\n"), ("short.txt", "1234567\n"),
                       ("long.txt", "x" * 257), ("space.txt", "1234 5678\n"), ("two.txt", "12345678\nabcdefgh\n"),
                       ("empty.txt", ""), ("bad.pem", "no PEM\n"), ("good.yaml", GOOD)):
        t.write(name, text)
    os.mkfifo(t.folder / "pipe")


def complaint(t, arguments):
    """The one line a run ends with."""
    done = t.run(*arguments)
    same((done.returncode, done.stdout), (1, ""), f"{arguments}: exit status and standard output; {done.stderr}")
    check(done.stderr.startswith("masqueproxyd: ") and done.stderr.count("\n") == 1,
          f"{arguments}: not one line: {done.stderr!r}")
    return done.stderr[len("masqueproxyd: "):-1]


def check_table(t, rows):
    """A message is a whole text; of PLACES a pattern in it."""
    prepare(t)
    wrong = []
    for name, text, message in rows:
        t.write("p.yaml", text)
        for arguments in (["--config", "p.yaml", "--test-config"], ["--config", "p.yaml"]):
            got = complaint(t, arguments)
            good = re.search(message, got) if rows is PLACES else got == message
            if not good:
                wrong.append(f"{name}: got {got!r}, wanted {message!r}")
    check(not wrong, "\n".join(wrong))


def test_good_file(t):
    prepare(t)
    t.write("p.yaml", GOOD)
    done = t.run("--config", "p.yaml", "--test-config")
    same((done.returncode, done.stdout, done.stderr), (0, "the configuration is good\n", ""), "a good file")


def manual_limits(manual):
    """Key, default, least and most of each."""
    part = re.search(r"^\.SH LIMITS\n(.*?)^\.SH ", manual, re.S | re.M)[1]
    return re.findall(r'^\.BR ([a-z0-9-]+) "  (\d+)"\n\((\d+)-(\d+)\) ', part, re.M)


def make_manual_files(t):
    """What the manual's example names; returns it with real keys in the place of cut ones."""
    ca, keys = ClientCa(t), Keys(t)
    shutil.copy(ca.ca, t.folder / "clients.crt")
    shutil.copy(ca.revoke(), t.folder / "crl.pem")
    for kind, name in ((2, "rsa.pem"), (1, "voprf.key")):
        shutil.copy(keys.files[kind], t.folder / name)
    for name in ("issuer", "attester"):
        shutil.copy(t.pki.certificate, t.folder / f"{name}.crt")
        shutil.copy(t.pki.private_key, t.folder / f"{name}.key")
    shutil.copy(ca.ca, t.folder / "attesters.crt")
    shutil.copy(ca.ca, t.folder / "ca.crt")
    t.write("users.htpasswd", f"alice:{HASH}\n")
    shutil.copy(t.pki.private_key, t.folder / "link.key")
    hint = os.path.join(os.path.dirname(t.program), "masqueproxy")
    done = subprocess.run([hint, "hint", "keygen", "--out", str(t.folder / "location.key")], capture_output=True,
                          text=True, check=True, timeout=30)
    t.write("location.pub", done.stdout)
    t.write("egress.csv", "127.0.0.1,JP,,Tokyo\n")
    t.write("cities.csv", "JP,,Tokyo,xn76c\n")
    (t.folder / "city.mmdb").write_bytes(mmdb.database({"127.0.0.0/8": mmdb.place("JP")}))
    t.write("quic.key", "0123456789abcdef" * 4 + "\n")
    return {"MIIBUj…": keys.public[2], "A9ud…": keys.public[1]}


def test_manual_example(t):
    """The manual's configuration is taken as it stands, and so is every limit's default."""
    prepare(t)
    manual = open("cli/masqueproxyd.8", encoding="utf-8").read().replace("\\-", "-")
    example = re.search(r"\.SH CONFIGURATION\n\.nf\n(.*?)\.fi\n", manual, re.S)[1]
    limits = [(key, standard) for key, standard, _, _ in manual_limits(manual)]
    for cut, key in make_manual_files(t).items():
        check(cut in example, f"{cut} is not in the manual")
        example = example.replace(cut, key)
    check(len(limits) > 25, f"limits in the manual: {limits}")
    for name, text in (("the example", re.sub(r"^user: .*\n", "", example, flags=re.M)),
                       ("the limits", GOOD + "limits:\n" + "".join(f"  {key}: {value}\n" for key, value in limits))):
        t.write("p.yaml", text)
        done = t.run("--config", "p.yaml", "--test-config")
        same((done.returncode, done.stderr), (0, ""), f"{name} of the manual")


def test_limits_in_manual_are_the_headers(t):
    header = open("include/masqueproxy/limits.h", encoding="utf-8").read()
    manual = open("cli/masqueproxyd.8", encoding="utf-8").read().replace("\\-", "-")
    wanted = re.findall(r'X\(\w+, "([a-z0-9-]+)", (\d+), (\d+), (\d+)\)', header)
    same(manual_limits(manual), wanted, "limits of the manual")


def test_unknown_keys(t):
    check_table(t, UNKNOWN_KEYS)


def test_wrong_values(t):
    check_table(t, WRONG_VALUES)


def test_missing_parts(t):
    check_table(t, MISSING)


def test_types(t):
    check_table(t, TYPES)


def test_files(t):
    check_table(t, FILES)


def test_places(t):
    check_table(t, PLACES)


def test_flags(t):
    prepare(t)
    wrong = []
    for arguments, pattern in FLAGS:
        got = complaint(t, arguments)
        if not re.search(pattern, got):
            wrong.append(f"{arguments}: got {got!r}, wanted {pattern!r}")
    check(not wrong, "\n".join(wrong))


def test_port_in_use(t):
    prepare(t)
    other = targets.Listener(t)
    t.write("p.yaml", GOOD.replace("127.0.0.1:8443", other.authority))
    got = complaint(t, ["--config", "p.yaml"])
    wanted = f"can't listen on {other.authority}: Address already in use; another program listens there"
    check(got.startswith(wanted), got)


def test_second_proxy_on_the_port(t):
    """SO_REUSEPORT between workers must not let another masqueproxyd in."""
    proxy = t.proxy()
    got = complaint(t, ["--config", proxy.config_path])
    check("Address already in use" in got, got)


def test_foreign_address(t):
    prepare(t)
    t.write("p.yaml", GOOD.replace("127.0.0.1:8443", "192.0.2.1:8443"))
    got = complaint(t, ["--config", "p.yaml"])
    same(got, "can't listen on 192.0.2.1:8443: Cannot assign requested address; this machine doesn't have that address",
         "an address of another machine")


def test_no_such_user(t):
    if os.geteuid() != 0:
        t.skip("only root may change the user")
    settings = t.settings(user="no-such-user-of-the-tests")
    path = t.write_settings(settings)
    for arguments in (["--config", path], ["--config", path, "--test-config"]):
        got = complaint(t, arguments)
        check(got.endswith("“user”: there is no user with the name “no-such-user-of-the-tests”; make one, or leave the key "
                           "out"), got)


def test_expired_certificate(t):
    settings = t.settings()
    settings["tls"]["certificate"] = t.pki.expired_certificate
    done = t.run("--config", t.write_settings(settings), "--test-config")
    same(done.returncode, 0, "exit status")
    check("warning: " in done.stdout and "ended on 20" in done.stdout, done.stdout)


def test_environment(t):
    prepare(t)
    for value, message in (("", "MASQUE_PRESHARED_KEY is empty: unset it, or give it a key"),
                           ("short", "MASQUE_PRESHARED_KEY")):
        done = t.run("--config", "good.yaml", environment={"MASQUE_PRESHARED_KEY": value})
        same(done.returncode, 1, f"{value!r}: exit status")
        check(message in done.stderr, f"{value!r}: {done.stderr!r}")
        check(not value or value not in done.stderr, f"the key is in the message: {done.stderr!r}")


def test_one_key_by_two_names(t):
    """Whose quota would it be? A key that is rotated gets another name with the new key."""
    names = [{"name": name, "key-file": t.write(f"{name}.txt", "correct-horse-battery\n")} for name in ("old", "new")]
    done = t.run("--config", t.write_settings(t.settings(auth={"preshared": names})), "--test-config")
    check(done.returncode == 1 and "auth.preshared[1].key-file" in done.stderr and
          "another name has that key already" in done.stderr, done.stderr)
