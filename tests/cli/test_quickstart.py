"""--quickstart. Goal: what it prints works when it is pasted, and what it writes is private."""
import os
import re
import socket
import stat
import subprocess

from harness import targets
from harness.context import check, same
from harness.proxy import Proxy

PORTS = (4433, 4434)


def start(t, state, *arguments):
    for port in PORTS:
        try:
            socket.create_server(("127.0.0.1", port)).close()
        except OSError as error:
            t.skip(f"port {port} is taken: {error}")
    proxy = Proxy(t, [t.program, "--quickstart", *arguments], {"XDG_STATE_HOME": str(state)})
    check(proxy.await_ready(60), "no ready line: " + proxy.log())
    check(proxy.out.find(r"^Ctrl-C stops it\.\n", 30), "the commands are not printed: " + proxy.out.text())
    return proxy


def commands(text):
    """The printed commands, their continued lines with them."""
    return re.findall(r"^  (curl (?:.*\\\n)*.*)\n", text, re.M)


def shell(t, command):
    environment = {k: v for k, v in t.environment().items() if k != "XDG_STATE_HOME"}
    return subprocess.run(["sh", "-c", command], capture_output=True, text=True, timeout=60, env=environment,
                          cwd=t.folder)


def stop(proxy):
    proxy.signal(2)
    same(proxy.wait(), 0, "exit status")


def test_printed_command(t):
    proxy = start(t, t.folder / "state")
    printed = commands(proxy.out.text())
    same(len(printed), 2, "printed commands")
    check("127.0.0.1:4434/cdn-cgi/trace" in printed[0] and "https://example.com" in printed[1], f"{printed}")
    for _ in range(3):
        done = shell(t, printed[0])
        same(done.returncode, 0, f"curl's exit status; {done.stderr}")
        fields = dict(line.split("=", 1) for line in done.stdout.splitlines())
        same((fields.get("h"), fields.get("ip"), fields.get("visit_scheme")),
             ("127.0.0.1:4434", "127.0.0.1", "https"), f"the trace {fields}")
        check(re.search(r"server-timing: proxy;dur=", done.stderr, re.I), f"no Server-Timing: {done.stderr}")
    check("\n< HTTP/1.1 200" in done.stderr, "no CONNECT answer")


def test_pools(t):
    """The documentation's third step: the origin shows the address and the place of who says where it is."""
    feed = t.write("egress.csv", "127.1.0.0/28,JP,,Tokyo,,xn76c\n127.1.2.1,DE\n")
    proxy = start(t, t.folder / "state", "--pools", feed)
    command = commands(proxy.out.text())[0]
    for place, country, network in (("xn76c-JP", "JP", "127.1.0."), ("u33d-DE", "DE", "127.1.2.1")):
        done = shell(t, command.replace("curl -v", f"curl -v --proxy-header 'sec-ch-geohash: {place}'"))
        fields = dict(line.split("=", 1) for line in done.stdout.splitlines())
        same((fields.get("loc"), fields.get("ip", "").startswith(network)), (country, True), f"{place}: {fields}")
    stop(proxy)


def test_only_its_own_origin(t):
    """The command with another port of this machine: 403."""
    other = targets.Target(t)
    command = commands(start(t, t.folder / "state").out.text())[0]
    done = shell(t, command.replace("127.0.0.1:4434", other.authority))
    same(done.returncode, 56, f"curl's exit status; {done.stderr}")
    check("HTTP/1.1 403" in done.stderr and "destination_ip_prohibited" in done.stderr, done.stderr)
    same(other.calls, 0, "calls of the other port")


def test_wrong_key(t):
    command = commands(start(t, t.folder / "state").out.text())[0]
    done = shell(t, re.sub(r"\$\(cat [^)]*\)", "not-the-key", command))
    check("HTTP/1.1 403" in done.stderr and "http_request_denied" in done.stderr, done.stderr)


def test_files_are_private(t):
    state = t.folder / "deep" / "state"
    os.umask(0)
    try:
        start(t, state)
    finally:
        os.umask(0o022)
    folder = state / "masqueproxy"
    names = sorted(path.name for path in folder.iterdir())
    same(names, ["ca.crt", "psk.txt", "server.crt", "server.key"], "files")
    for path in folder.iterdir():
        same(oct(stat.S_IMODE(path.stat().st_mode)), "0o600", f"mode of {path.name}")
    for path in (folder, state, t.folder / "deep"):
        same(oct(stat.S_IMODE(path.stat().st_mode)), "0o700", f"mode of {path}")


def test_second_start_keeps_everything(t):
    state = t.folder / "state"
    stop(start(t, state))
    folder = state / "masqueproxy"
    before = {path.name: path.read_bytes() for path in folder.iterdir()}
    again = start(t, state)
    same({path.name: path.read_bytes() for path in folder.iterdir()}, before, "files after the second start")
    same(shell(t, commands(again.out.text())[0]).returncode, 0, "curl's exit status")


def test_path_with_blanks(t):
    """What is printed is for a shell."""
    proxy = start(t, t.folder / "a place 'of mine'")
    same(shell(t, commands(proxy.out.text())[0]).returncode, 0, "curl's exit status")


def test_certificate_that_ended(t):
    """Made anew, with its CA; the key stays."""
    state = t.folder / "state"
    stop(start(t, state))
    folder = state / "masqueproxy"
    before = {path.name: path.read_bytes() for path in folder.iterdir()}
    with open(t.pki.expired_certificate, "rb") as file:
        (folder / "server.crt").write_bytes(file.read())
    again = start(t, state)
    changed = {name for name, content in before.items() if (folder / name).read_bytes() != content}
    same(changed, {"ca.crt", "server.crt", "server.key"}, "files that were made anew")
    same(shell(t, commands(again.out.text())[0]).returncode, 0, "curl's exit status")


def test_two_starts_differ(t):
    """The key and the CA are random, not built in."""
    stop(start(t, t.folder / "one"))
    stop(start(t, t.folder / "two"))
    for name in ("ca.crt", "psk.txt", "server.crt", "server.key"):
        one, two = ((t.folder / which / "masqueproxy" / name).read_bytes() for which in ("one", "two"))
        check(one != two, f"{name} is the same in two installations")
    key = (t.folder / "one" / "masqueproxy" / "psk.txt").read_text()
    check(re.fullmatch(r"[0-9a-f]{48}\n", key), f"the key has another form than 24 bytes in hexadecimal: {len(key)}")


def test_key_is_not_printed(t):
    """A terminal's scroll-back is no place for it; the command reads it from its file."""
    proxy = start(t, t.folder / "state", "--log-level", "debug")
    shell(t, commands(proxy.out.text())[0])
    key = (t.folder / "state" / "masqueproxy" / "psk.txt").read_text().strip()
    check(key not in proxy.out.text() + proxy.log(), "the key was printed")


def test_home_without_xdg(t):
    for port in PORTS:
        try:
            socket.create_server(("127.0.0.1", port)).close()
        except OSError as error:
            t.skip(f"port {port} is taken: {error}")
    proxy = Proxy(t, [t.program, "--quickstart"])
    check(proxy.await_ready(60), "no ready line: " + proxy.log())
    check((t.folder / ".local/state/masqueproxy/psk.txt").exists(), "no state folder below HOME")
    stop(proxy)


def test_state_that_cant_be_made(t):
    blocker = t.write("file", "")
    done = t.run("--quickstart", environment={"XDG_STATE_HOME": blocker})
    same(done.returncode, 1, "exit status")
    check("can't make the state folder" in done.stderr and "set XDG_STATE_HOME" in done.stderr, done.stderr)
