"""Account credentials at the proxy (RFC 7617): right and wrong ones over every version, a slow hash that holds up nobody
else, and what is remembered."""
import base64

from harness import targets
from harness.context import KEY, check, same
from harness.h1 import H1
from harness.h2 import H2
from harness.tokens import HASH, PASSWORD, show

# Of the same password: bcrypt with cost 13, scrypt, yescrypt.
SLOW = "$2b$13$abcdefghijklmnopqrstuuGgztVgBa6HM3kWxNtAyAgKonTKnmxda"
SCRYPT = "$7$CU..../....abcdefghijklmnop$avfp4ll3iswIMqNVgiV06LQ9KpusaXgSq5RKmt5otH3"
YESCRYPT = "$y$j9T$abcdefghijklmnop$TEjqn/axP6s2k870Y8qmsWKT4abEwlBzgTkuGZBqaR6"


def basic(name, password):
    return "Basic " + base64.b64encode(f"{name}:{password}".encode()).decode()


def basic_proxy(t, users, **auth):
    path = t.write("users.htpasswd", users)
    return t.proxy(auth={"basic": {"file": path}, **auth}, limits={"auth-failures": 1000})


def test_accounts(t):
    """Each kind of hash; the wrong ones get one answer."""
    proxy = basic_proxy(t, f"alice:{HASH}\nscrypt:{SCRYPT}\nyescrypt:{YESCRYPT}\n")
    target = targets.Target(t)
    for name in ("alice", "scrypt", "yescrypt"):
        for _ in range(2):  # computed, and then known
            same(show(t, proxy, target.authority, basic(name, PASSWORD)), 200, name)
        same(show(t, proxy, target.authority, basic(name, PASSWORD + "x")), 403, f"{name}, wrong password")
    for credential in (basic("nobody", PASSWORD), basic("", PASSWORD), basic("alice", ""), "Basic", "Basic !!!",
                       "Basic " + base64.b64encode(b"alice").decode(), basic("alice", PASSWORD)[:-3],
                       basic("alice\0x", PASSWORD), basic("a" * 300, PASSWORD), basic("alice", "p" * 300)):
        same(show(t, proxy, target.authority, credential), 403, credential[:40])
    h2 = H2(t, proxy)
    for name, wanted in (("alice", "200"), ("bob", "403")):
        stream = h2.request([(":method", "CONNECT"), (":authority", target.authority),
                             ("proxy-authorization", basic(name, PASSWORD))])
        stream.await_answer()
        same(stream.get(":status"), wanted, f"HTTP/2, {name}")


def test_slow_hash_holds_up_nobody(t):
    """While a password is computed others are served by the same thread."""
    key = t.write("psk.txt", KEY + "\n")
    proxy = basic_proxy(t, f"alice:{SLOW}\n", preshared=[{"name": "poc", "key-file": key}])
    target = targets.Target(t)
    slow, fast = H1(t, proxy), H1(t, proxy)
    head = f"CONNECT {target.authority} HTTP/1.1\r\nHost: x\r\nProxy-Authorization: {basic('alice', PASSWORD)}\r\n\r\n"
    slow.send(head.encode())
    same(fast.connect(target.authority).status, 200, "another one's tunnel")
    check(b" 200 " in slow.recv(), "the slow one")
    answered = [line.split("conn=")[1].split()[0] for line in proxy.log().splitlines() if " status=200" in line]
    opened = [line.split("conn=")[1].split()[0] for line in proxy.log().splitlines() if "connection-open" in line]
    same(answered, opened[::-1], "the order of answers: the later connection's first")


def test_many_at_once(t):
    """A client that begins with many tunnels waits for one computation, not for as many."""
    proxy, target = basic_proxy(t, f"alice:{SLOW}\n"), targets.Target(t)
    h2 = H2(t, proxy)
    fields = [(":method", "CONNECT"), (":authority", target.authority), ("proxy-authorization", basic("alice", PASSWORD))]
    begun = proxy.cpu_seconds()
    streams = [h2.request(fields) for _ in range(40)]
    for stream in streams:
        stream.await_answer()
        same(stream.get(":status"), "200", "the status")
    all_of_them = proxy.cpu_seconds() - begun
    same(show(t, proxy, target.authority, basic("alice", PASSWORD + "x")), 403, "a wrong one, computed as well")
    one = proxy.cpu_seconds() - begun - all_of_them
    check(all_of_them < 20 * one, f"{all_of_them} s of CPU for 40 requests, {one} s for one")


def test_challenge(t):
    proxy = basic_proxy(t, f"alice:{HASH}\n", challenge="true")
    head = H1(t, proxy).ask(b"CONNECT 127.0.0.1:1 HTTP/1.1\r\nHost: x\r\n\r\n")
    same((head.status, head.get("proxy-authenticate")), (407, 'Basic realm="proxy", charset="UTF-8"'), "the challenge")
    head = H1(t, basic_proxy(t, f"alice:{HASH}\n")).ask(b"CONNECT 127.0.0.1:1 HTTP/1.1\r\nHost: x\r\n\r\n")
    same((head.status, head.get("proxy-authenticate")), (403, None), "unless told")


def test_reload(t):
    """An account that is taken out is refused at once, though it was known; its tunnel stays."""
    proxy, target = basic_proxy(t, f"alice:{HASH}\nbob:{HASH}\n"), targets.Target(t)
    live = H1(t, proxy)
    same(show(t, proxy, target.authority, basic("alice", PASSWORD), live), 200, "before")
    t.write("users.htpasswd", f"bob:{HASH}\n")
    same(proxy.reload()[0], "reload", "the reload")
    same(show(t, proxy, target.authority, basic("alice", PASSWORD)), 403, "after")
    same(show(t, proxy, target.authority, basic("bob", PASSWORD)), 200, "the other one")
    same(live.exchange(b"still here"), b"still here", "the live tunnel")


def test_messages(t):
    rows = [("alice\n", ":1: expected NAME:HASH"), (f"alice:{HASH}\nbob:plain\n", ":2: the hash is of no kind"),
            (f"alice:{HASH}\nalice:{HASH}\n", "the account “alice” is there twice"), ("# none\n", "there is no account"),
            ("alice:$6$abcdefgh$" + "x" * 86 + "\n", ":1: the hash is of no kind"), (f":{HASH}\n", ":1: expected NAME")]
    for users, wanted in rows:
        path = t.write("bad.htpasswd", users)
        done = t.run("--config", t.write_settings(t.settings(auth={"basic": {"file": path}})), "--test-config")
        check(done.returncode == 1 and wanted in done.stderr, f"{users!r}: {done.stderr}")
    path = t.write("open.htpasswd", f"alice:{HASH}\n", 0o644)
    done = t.run("--config", t.write_settings(t.settings(auth={"basic": {"file": path}})), "--test-config")
    check("auth.basic.file" in done.stderr and "its mode is 0644" in done.stderr, done.stderr)
