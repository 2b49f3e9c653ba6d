"""The program by itself: what it prints, its flags against its file, its log."""
import json
import os
import pwd
import re
import socket
import ssl
import subprocess
import warnings

from harness import targets
from harness.context import KEY, check, same
from harness.h1 import H1, open_tunnel
from harness.proxy import Proxy
from harness.tls import TlsStream

FLAGS = ("config", "quickstart", "listen", "certificate", "private-key", "preshared-key-file", "allow-target",
         "workers", "pools", "lenient", "explain-egress", "target", "check-pools", "publish-geofeed", "test-config",
         "log-level", "version", "help")
TIME = r"\d{4}-\d\d-\d\dT\d\d:\d\d:\d\d\.\d{3}Z"
TEXT_LINE = re.compile(
    rf'^{TIME} (error|warning|info|debug) [a-z-]+( worker=\d+)?( conn=[0-9a-f]+)?( tunnel=[0-9a-f]+)?( status=\d{{3}})?'
    r'( client="[0-9a-f.:]+")?( error="[^"]+")?( detail="[^"]+")?(: .+)?$')
LEVELS = ("error", "warning", "info", "debug")


def test_version(t):
    done = t.run("--version")
    same((done.returncode, done.stderr), (0, ""), "exit status and standard error")
    check(re.match(r"masqueproxyd \d+\.\d+\.\d+\n", done.stdout), done.stdout)
    for name in (r"wolfSSL [\d.]+ \(AES-GCM: .+\)", r"nghttp2 [\d.]+", r"ngtcp2 [\d.]+", r"nghttp3 [\d.]+",
                 r"libuv [\d.]+", r"c-ares [\d.]+"):
        check(re.search(rf"^  {name}$", done.stdout, re.M), f"{name} in {done.stdout}")


def test_help(t):
    done = t.run("--help")
    same((done.returncode, done.stderr), (0, ""), "exit status and standard error")
    same(tuple(re.findall(r"^  --([a-z-]+)", done.stdout, re.M)), FLAGS, "flags in --help")
    manual = open("cli/masqueproxyd.8", encoding="utf-8").read().replace("\\-", "-")
    same([f for f in FLAGS if f"--{f}" not in manual], [], "flags not in the manual")


def test_ready_line(t):
    ports = [t.free_port(), t.free_port()]
    proxy = t.proxy(listen=[{"address": f"127.0.0.1:{port}"} for port in ports])
    same(proxy.out.text(), f"ready: listening on 127.0.0.1:{ports[0]} 127.0.0.1:{ports[1]}\n", "standard output")
    target = targets.Target(t)
    for number in (0, 1):
        same(open_tunnel(t, proxy, target.authority, number=number).exchange(b"x"), b"x", f"listener {number}")


def test_protocols_of_a_listener(t):
    proxy = t.proxy(listen=[{"address": f"127.0.0.1:{t.free_port()}", "protocols": ["http/1.1"]},
                            {"address": f"127.0.0.1:{t.free_port()}", "protocols": ["h2"]}])
    for number, wanted in ((0, "http/1.1"), (1, "h2")):
        stream = t.keep(TlsStream(proxy.endpoint(number), t.pki.ca, ("h2", "http/1.1")))
        same(stream.protocol, wanted, f"listener {number}")


def test_tls_versions(t):
    """TLS 1.2 is the least (RFC 9113 9.2); who offers less is told protocol_version."""
    proxy = t.proxy()
    for version, taken in ((ssl.TLSVersion.TLSv1_2, True), (ssl.TLSVersion.TLSv1_1, False)):
        context = ssl.create_default_context(cafile=t.pki.ca)
        context.set_ciphers("DEFAULT:@SECLEVEL=0")
        with warnings.catch_warnings():
            warnings.simplefilter("ignore", DeprecationWarning)  # of TLS 1.1
            context.minimum_version = context.maximum_version = version
        with socket.create_connection(proxy.endpoint(), 30) as plain:
            try:
                with context.wrap_socket(plain, server_hostname="localhost") as stream:
                    result = stream.version()
            except ssl.SSLError as error:
                result = error.reason
        same(result, "TLSv1.2" if taken else "TLSV1_ALERT_PROTOCOL_VERSION", f"with {version.name}")


def test_flags_alone(t):
    """No file; the key from the environment, then from a file."""
    target = targets.Target(t)
    key_file = t.write("psk.txt", KEY + "\n")
    for arguments, environment in (([], {"MASQUE_PRESHARED_KEY": KEY}), (["--preshared-key-file", key_file], {})):
        path = t.write("empty.yaml", "")
        command = ["--listen", f"127.0.0.1:{t.free_port()}", "--certificate", t.pki.certificate, "--private-key",
                   t.pki.private_key, "--allow-target", "127.0.0.0/8", "--workers", "1", "--log-level", "warning"]
        proxy = Proxy(t, [t.program, "--config", path] + command + arguments, environment)
        check(proxy.await_ready(30), proxy.log())
        same(open_tunnel(t, proxy, target.authority).exchange(b"x"), b"x", "echo")
        same(proxy.log(), "", "the log at level warning")


def test_flags_win_or_add(t):
    """--log-level and --workers win; --listen and --allow-target add."""
    port = t.free_port()
    proxy = t.proxy(["--listen", f"127.0.0.1:{port}", "--allow-target", "127.0.0.1", "--log-level", "error",
                     "--workers", "1"], workers=2, targets={"allow": []})
    same(len(proxy.addresses), 2, "listening addresses")
    target = targets.Target(t)
    same(open_tunnel(t, proxy, target.authority, number=1).exchange(b"x"), b"x", "echo")
    same(proxy.log(), "", "the log at level error")


def status_of(proxy):
    with open(f"/proc/{proxy.pid}/status", encoding="ascii") as file:
        return dict(line.rstrip("\n").split(":\t", 1) for line in file if ":\t" in line)


def test_no_core_no_new_privileges(t):
    proxy = t.proxy()
    same(status_of(proxy)["NoNewPrivs"], "1", "no_new_privs")
    with open(f"/proc/{proxy.pid}/limits", encoding="ascii") as file:
        core = re.search(r"^Max core file size +(\d+) +(\d+)", file.read(), re.M)
    same((core[1], core[2]), ("0", "0"), "core size limits")


def test_becomes_a_user(t):
    if os.geteuid() != 0:
        t.skip("only root may change the user")
    nobody = pwd.getpwnam("nobody")
    proxy = t.proxy(user="nobody")
    status = status_of(proxy)
    same(status["Uid"].split(), [str(nobody.pw_uid)] * 4, "user")
    same(status["Gid"].split(), [str(nobody.pw_gid)] * 4, "group")
    same((status["Groups"].strip(), int(status["CapEff"], 16)), ("", 0), "groups and capabilities")
    same(open_tunnel(t, proxy, targets.Target(t).authority).exchange(b"x"), b"x", "echo")


def provoke(t, level, form):
    """The log of a proxy that met a success, refusals, a broken handshake and a reload of a bad file."""
    proxy = t.proxy(log={"level": level, "format": form})
    open_tunnel(t, proxy, targets.Target(t).authority).close()
    H1(t, proxy).connect("10.0.0.1:443")
    for _ in range(9):
        H1(t, proxy).connect("127.0.0.1:1", key="wrong-wrong")
    t.write_settings({**proxy.settings, "workers": 0}, proxy.config_path)
    proxy.reload()
    t.write_settings(proxy.settings, proxy.config_path)
    if level in ("info", "debug"):
        proxy.reload()
    proxy.signal(15)
    same(proxy.wait(), 0, "exit status")
    proxy.err.find("never", 30)  # to the end of the text
    return proxy.log().splitlines()


def levels_of(lines):
    return {line.split()[1] for line in lines}


def test_text_lines_and_levels(t):
    for number, level in enumerate(LEVELS):
        lines = provoke(t, level, "text")
        wrong = [line for line in lines if not TEXT_LINE.match(line)]
        same(wrong, [], f"lines of another shape at level {level}")
        same(levels_of(lines), set(LEVELS[:number + 1]), f"levels in the log at level {level}")


def test_json_lines(t):
    names = {"time", "level", "event", "worker", "conn", "tunnel", "client", "status", "error", "detail", "message"}
    events = set()
    for line in provoke(t, "debug", "json"):
        entry = json.loads(line)
        check(set(entry) <= names, f"members of {line}")
        check({"time", "level", "event"} <= set(entry), f"members of {line}")
        check(re.fullmatch(TIME, entry["time"]) and entry["level"] in LEVELS, line)
        check(isinstance(entry.get("status", 200), int), line)
        events.add(entry["event"])
    check({"start", "connection-open", "connection-end", "request", "reload", "reload-failed", "drain",
           "authentication-penalty"} <= events, f"events: {events}")


def test_closed_standard_error(t):
    """Nowhere to log to is no reason to fail."""
    path = t.write_settings(t.settings())
    process = subprocess.Popen(["sh", "-c", 'exec "$0" --config "$1" 2>&-', t.program, path], stdout=subprocess.PIPE,
                               stdin=subprocess.DEVNULL, env=t.environment(), text=True)
    t.defer(process.wait)
    t.defer(process.kill)
    check(process.stdout.readline().startswith("ready: "), "no ready line")
    process.stdout.close()
    process.send_signal(15)
    same(process.wait(30), 0, "exit status")
