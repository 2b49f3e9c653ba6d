"""Quotas of identities over every version of HTTP, workers and reloads; and identities that are revoked at once."""
import base64
import json

from harness import targets
from harness.context import KEY, check, same
from harness.h1 import H1
from harness.tokens import HASH, PASSWORD, Deployment, show

OTHER = "another-key-of-somebody"


def preshared(t, **keys):
    return [{"name": name, "key-file": t.write(f"{name}.txt", key + "\n")} for name, key in keys.items()]


def basic(name):
    return "Basic " + base64.b64encode(f"{name}:{PASSWORD}".encode()).decode()


def is_over(connection):
    """It ends, by a reset: what was on its way is lost."""
    try:
        return connection.read_to_end() == b""
    except ConnectionResetError:
        return True


def test_tunnels(t):
    """An account has so many tunnels at once, whichever worker they came to."""
    users = t.write("users.htpasswd", f"alice:{HASH}\nbob:{HASH}\n")
    proxy = t.proxy(workers=3, auth={"basic": {"file": users}}, quotas=[
        {"method": "basic", "tunnels": 4}, {"method": "basic", "identity": "bob", "tunnels": 1}])
    target = targets.Target(t)
    open_ones = [H1(t, proxy) for _ in range(4)]
    for connection in open_ones:
        same(show(t, proxy, target.authority, basic("alice"), connection), 200, "within the quota")
    same(show(t, proxy, target.authority, basic("alice")), 503, "one too many")
    same(show(t, proxy, target.authority, basic("bob")), 200, "somebody else")
    head = H1(t, proxy).ask((f"CONNECT {target.authority} HTTP/1.1\r\nHost: x\r\nProxy-Authorization: "
                             f"{basic('alice')}\r\n\r\n").encode())
    same(head.get("proxy-status"), 'masqueproxy; error=connection_limit_reached; details="quota"', "what it says")
    check("alice" not in proxy.log(), f"the log: {proxy.log()}")
    same(proxy.reload()[0], "reload", "a reload")
    same(show(t, proxy, target.authority, basic("alice")), 503, "still one too many")
    for connection in open_ones:
        connection.close()


def test_issuers(t):
    """Tokens are anonymous, so their quota is the issuer's."""
    d = Deployment(t)
    proxy, target = d.proxy(quotas=[{"method": "private-token", "identity": "issuer.example", "tunnels": 1}]), None
    target = targets.Target(t)
    first, second = d.tokens(2)
    live = H1(t, proxy)
    same(show(t, proxy, target.authority, f"PrivateToken token={first}", live), 200, "the first")
    same(show(t, proxy, target.authority, f"PrivateToken token={second}"), 503, "the second")
    live.close()


def test_bytes(t):
    """A tunnel beyond the bytes of an hour ends, and there is no other."""
    proxy = t.proxy(quotas=[{"method": "preshared", "identity": "poc", "bytes-per-hour": 200000}])
    target, live = targets.Target(t), H1(t, proxy)
    same(show(t, proxy, target.authority, f"Preshared {KEY}", live), 200, "at first")
    ended = False
    for _ in range(50):
        try:
            live.exchange(bytes(10000))
        except (OSError, AssertionError, EOFError):
            ended = True
            break
    check(ended, "the tunnel goes on")
    same(show(t, proxy, target.authority, f"Preshared {KEY}"), 503, "another one")


def test_revoke_now(t):
    """Unless told a tunnel outlives its key; told so it ends with the reload."""
    target = targets.Target(t)
    for now in (False, True):
        keys = preshared(t, first=KEY, second=OTHER)
        proxy = t.proxy(auth={"preshared": keys, "revoke-now": now})
        first, second = H1(t, proxy), H1(t, proxy)
        same(show(t, proxy, target.authority, f"Preshared {KEY}", first), 200, "the first")
        same(show(t, proxy, target.authority, f"Preshared {OTHER}", second), 200, "the second")
        t.write(proxy.config_path, json.dumps({**proxy.settings,
                                               "auth": {"preshared": keys[1:], "revoke-now": now}}))
        same(proxy.reload()[0], "reload", "the reload")
        same(second.exchange(b"still here"), b"still here", "whose key stays")
        if now:
            check(is_over(first), "whose key went: it goes on")
        else:
            same(first.exchange(b"still here"), b"still here", "whose key went, unless told")
        same(show(t, proxy, target.authority, f"Preshared {KEY}"), 403, "a new one")


def test_revoked_accounts(t):
    """Another password ends an account's tunnels, too."""
    users, target = t.write("users.htpasswd", f"alice:{HASH}\nbob:{HASH}\n"), targets.Target(t)
    proxy = t.proxy(auth={"basic": {"file": users}, "revoke-now": True})
    alice, bob = H1(t, proxy), H1(t, proxy)
    same(show(t, proxy, target.authority, basic("alice"), alice), 200, "alice")
    same(show(t, proxy, target.authority, basic("bob"), bob), 200, "bob")
    t.write("users.htpasswd", f"alice:{HASH[:-1]}A\nbob:{HASH}\n")
    same(proxy.reload()[0], "reload", "the reload")
    check(is_over(alice), "alice's tunnel goes on")
    same(bob.exchange(b"still here"), b"still here", "bob's stays")


def test_messages(t):
    rows = [
        ([{"method": "password", "tunnels": 1}], "quotas[0].method”: “password” is no method"),
        ([{"method": "basic"}], "quotas[0].method”: bounds nothing"),
        ([{"method": "basic", "tunnels": 0}], "quotas[0].tunnels”: expected a whole number from 1 on, not “0”"),
        ([{"method": "basic", "bytes-per-hour": "1G"}], "quotas[0].bytes-per-hour”: expected a whole number"),
        ([{"method": "basic", "tunnels": 1}, {"method": "basic", "tunnels": 2}], "quotas[1].method”: a second quota"),
        ([{"method": "mtls", "identity": "gateway", "tunnels": 1}], "quotas[0].method”: a second quota"),
        ([{"method": "basic", "tunnels": 1, "speed": 2}], "quotas"),
    ]
    for quotas, wanted in rows:
        done = t.run("--config", t.write_settings(t.settings(quotas=quotas)), "--test-config")
        check(done.returncode == 1 and wanted in done.stderr, f"{quotas}: {done.stderr}")
