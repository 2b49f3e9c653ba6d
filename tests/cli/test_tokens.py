"""Privacy Pass from account to tunnel: keys, issuer, attester, wallet and proxy as real processes; tokens in every
spelling; restarts, kills and a full disk; what each role refuses."""
import base64
import http.client
import json
import os
import signal
import ssl
import subprocess
import threading
import time
import urllib.error
import urllib.request

from harness import targets
from harness.context import check, same
from harness.h1 import H1
from harness.probe import VERSIONS
from harness.tokens import HASH, ISSUER, ORIGIN, PASSWORD, TYPES, Deployment, Keys, Run, show
from harness.udp import UdpTarget

REQUEST = "application/private-token-request"
DIRECTORY = "/.well-known/private-token-issuer-directory"


def client(t, proxy, *arguments):
    program = os.path.join(os.path.dirname(t.program), "masqueproxy")
    return subprocess.run([program, *arguments, "--proxy", f"https://127.0.0.1:{proxy.port}", "--ca", t.pki.ca],
                          capture_output=True, timeout=60, env=t.environment(), cwd=t.folder, input=b"")


def ask(t, port, path, body=None, fields=(), certificate=None):
    """Status and body of a request to a role."""
    context = ssl.create_default_context(cafile=t.pki.ca)
    if certificate:
        context.load_cert_chain(*certificate)
    request = urllib.request.Request(f"https://localhost:{port}{path}", data=body, headers=dict(fields))
    try:
        with urllib.request.urlopen(request, context=context, timeout=30) as answer:
            return answer.status, answer.read(), dict(answer.headers)
    except urllib.error.HTTPError as error:
        with error:
            return error.code, error.read(), dict(error.headers)


def await_status(t, proxy, target, token, wanted):
    """Workers take a new configuration a moment after the log says so."""
    end = time.monotonic() + 30
    while True:
        status = show(t, proxy, target.authority, f"PrivateToken token={token}")
        if status == wanted or time.monotonic() > end:
            return same(status, wanted, "the status in the end")


def test_from_account_to_tunnel(t):
    """Both types over every version, TCP and UDP; each token opens one tunnel."""
    d = Deployment(t)
    proxy, origin, udp = d.proxy(), targets.HttpsOrigin(t), UdpTarget(t)
    for kind in TYPES:
        got = d.get(kind, 2 * len(VERSIONS))
        same((got.status, got.out, got.err), (0, f"6 of type {kind} by {ISSUER}, in {d.wallet}\n", ""), "token get")
        for flag, name in VERSIONS:
            page = client(t, proxy, "get", f"https://localhost:{origin.port}/cdn-cgi/trace", flag, "--token-wallet",
                          d.wallet)
            same((page.returncode, page.stderr), (0, b""), f"type {kind}, {name}")
            check(b"ip=127.0.0.1" in page.stdout, f"type {kind}, {name}: {page.stdout!r}")
            lines = client(t, proxy, "udp", f"127.0.0.1:{udp.port}", flag, "--token-wallet", d.wallet)
            same((lines.returncode, lines.stderr), (0, b""), f"type {kind}, UDP over {name}")
        left = client(t, proxy, "get", f"https://localhost:{origin.port}/", "--token-wallet", d.wallet)
        same(left.returncode, 2, "the status without a token")
        check(b"no token is left" in left.stderr, f"without a token: {left.stderr!r}")


def test_spellings(t):
    """One token in any clothes is one token."""
    d = Deployment(t)
    proxy, target = d.proxy(limits={"auth-failures": 1000}), targets.Target(t)
    for kind in TYPES:
        token, other = d.tokens(2, kind)
        standard = base64.b64encode(base64.urlsafe_b64decode(token)).decode()
        spellings = [f"PrivateToken token={token}", f'PrivateToken token="{token}"', f"privatetoken TOKEN={token}",
                     f"PrivateToken token={token.rstrip('=')}", f'PrivateToken token="{standard}"',
                     f"PrivateToken a=b, token={token}", f'PrivateToken token={token}, extensions="x"',
                     f"PRIVATETOKEN   token = {token}"]
        same(show(t, proxy, target.authority, spellings[0]), 200, "the first time")
        for spelling in spellings:
            same(show(t, proxy, target.authority, spelling), 403, f"again as {spelling[:40]}")
        same(show(t, proxy, target.authority, f"PrivateToken token={token}, token={other}"), 403, "two of them")


def test_over_restarts(t):
    """A token that was allowed stays spent over reload, end and kill -9."""
    d = Deployment(t)
    target = targets.Target(t)
    spent = {"store": "memory", "file": os.path.join(t.folder, "spent.log")}
    proxy = d.proxy(spent)
    shown = d.tokens(4)
    for end in (None, signal.SIGHUP, signal.SIGTERM, signal.SIGKILL):
        token = shown.pop()
        same(show(t, proxy, target.authority, f"PrivateToken token={token}"), 200, f"before {end}")
        if end == signal.SIGHUP:
            same(proxy.reload()[0], "reload", "the reload")
        elif end:
            proxy.signal(end)
            proxy.wait()
            proxy = d.proxy(spent)
        same(show(t, proxy, target.authority, f"PrivateToken token={token}"), 403, f"after {end}")


def test_killed_while_writing(t):
    """Many tokens are under way when the process dies: what was answered 200 stays spent."""
    d = Deployment(t)
    target = targets.Target(t)
    spent = {"store": "memory", "file": os.path.join(t.folder, "spent.log")}
    proxy = d.proxy(spent)
    tokens, allowed, lock = d.tokens(60, 1), [], threading.Lock()
    enough = threading.Event()

    def spend(part):
        for token in part:
            try:
                if show(t, proxy, target.authority, f"PrivateToken token={token}") == 200:
                    with lock:
                        allowed.append(token)
                        if len(allowed) == 20:
                            enough.set()
            except (OSError, AssertionError, ssl.SSLError):
                return

    threads = [threading.Thread(target=spend, args=(tokens[i::4],)) for i in range(4)]
    for thread in threads:
        thread.start()
    check(enough.wait(60), "20 tokens were not allowed in time")
    proxy.signal(signal.SIGKILL)
    proxy.wait()
    for thread in threads:
        thread.join()
    proxy = d.proxy(spent, limits={"auth-failures": 1000})
    for token in allowed:
        same(show(t, proxy, target.authority, f"PrivateToken token={token}"), 403, "one that got 200 before")


def test_race(t):
    """64 connections show one token at a time: one tunnel."""
    d = Deployment(t)
    target = targets.Target(t)
    proxy = d.proxy({"store": "memory", "file": os.path.join(t.folder, "spent.log")}, workers=2,
                    limits={"auth-failures": 1000})
    token = d.tokens(1)[0]
    start, statuses = threading.Barrier(64), []

    def race():
        connection = H1(t, proxy)
        start.wait()
        statuses.append(show(t, proxy, target.authority, f"PrivateToken token={token}", connection))

    threads = [threading.Thread(target=race) for _ in range(64)]
    for thread in threads:
        thread.start()
    for thread in threads:
        thread.join()
    same((statuses.count(200), statuses.count(403)), (1, 63), "tunnels and refusals")


def test_full_disk(t):
    """Without room for the note nothing is allowed: 503. Nothing crashes, and the log says so once."""
    d = Deployment(t)
    target = targets.Target(t)
    auth = {"private-token": d.keys.for_proxy(),
            "spent-tokens": {"store": "memory", "file": os.path.join(t.folder, "spent.log")}}
    proxy = t.proxy(auth=auth, wrap=("prlimit", "--fsize=150"))
    tokens = d.tokens(6)
    statuses = [show(t, proxy, target.authority, f"PrivateToken token={token}") for token in tokens]
    same(statuses, [200, 200, 503, 503, 503, 503], "statuses")
    same(show(t, proxy, target.authority, f"PrivateToken token={tokens[0]}"), 403, "the first one again")
    same(proxy.log().count("can't be written"), 1, "lines about it")


def test_rotation(t):
    """Keys come and go by a reload: tokens of a key that is gone are refused, live tunnels stay."""
    d = Deployment(t)
    target = targets.Target(t)
    proxy = d.proxy()
    old, unused = d.tokens(2)
    live = H1(t, proxy)
    same(show(t, proxy, target.authority, f"PrivateToken token={old}", live), 200, "with the old key")
    fresh = Keys(t, "fresh")
    for process, part in ((d.issuer, {"issuer": {**d.issuer_settings, "keys": fresh.for_issuer()}}),
                          (proxy, {"auth": {"private-token": fresh.for_proxy()}})):
        t.write_settings({**process.settings, **part}, process.config_path)
        same(process.reload()[0], "reload", "the reload")
    same(live.exchange(b"still here"), b"still here", "the live tunnel")
    same(show(t, proxy, target.authority, f"PrivateToken token={unused}"), 403, "the old key's token")
    # The attester keeps the directory as long as the issuer said.
    same(d.attester.reload()[0], "reload", "the attester's reload")
    same(show(t, proxy, target.authority, f"PrivateToken token={d.tokens(1)[0]}"), 200, "with the new key")


def test_directory(t):
    """Keys of the issuer's directory: 503 until it can be read, then those that are in it, and new ones as they come."""
    d, target = Deployment(t), targets.Target(t)
    port, wallet = t.free_port(), os.path.join(t.folder, "open-wallet")
    issuer = {**d.issuer_settings, "listen": [{"address": f"127.0.0.1:{port}"}]}
    del issuer["client-ca"]
    row = {"issuer": ISSUER, "origin": ORIGIN, "directory-ca": t.pki.ca,
           "directory": f"https://localhost:{port}{DIRECTORY}"}
    proxy = d.proxy(keys=[row], limits={"auth-failures": 1000})
    token = d.tokens(1)[0]
    proxy.await_log("its tokens get 503 until it can be read")
    same(show(t, proxy, target.authority, f"PrivateToken token={token}"), 503, "before it could be read")
    opened = d.role(issuer=issuer)
    proxy.await_log("keys of a directory have changed")
    await_status(t, proxy, target, token, 200)
    # Another key takes the place; the proxy hears of it when it reads again, here by a start.
    fresh = Keys(t, "fresh")
    t.write_settings({**opened.settings, "issuer": {**issuer, "keys": fresh.for_issuer()}}, opened.config_path)
    same(opened.reload()[0], "reload", "the issuer's reload")
    other = d.proxy(keys=[row], limits={"auth-failures": 1000})
    other.await_log("keys of a directory have changed")
    got = Run(t, "get", "--issuer", f"https://localhost:{port}", "--issuer-name", ISSUER, "--origin", ORIGIN,
              "--token-wallet", wallet, "--ca", t.pki.ca)
    same((got.status, got.err), (0, ""), "with the new key")
    await_status(t, other, target, Run(t, "export", "--token-wallet", wallet).out.strip(), 200)
    same(show(t, other, target.authority, f"PrivateToken token={d.tokens(1)[0]}"), 403, "the old key's token")


def test_bounds(t):
    """not-before and not-after, another origin, and a redemption context."""
    d = Deployment(t)
    target = targets.Target(t)
    context = base64.urlsafe_b64encode(bytes(range(32))).decode()
    for name, keys, more, wanted in (
            ("before its time", {"not-before": "2100-01-01"}, {}, 403),
            ("after its time", {"not-after": "2020-01-01T00:00:00Z"}, {}, 403),
            ("in its time", {"not-before": 1700000000, "not-after": "2100-01-01"}, {}, 200),
            ("another origin", {}, {"origin": "other.example"}, 403),
            ("another issuer", {}, {"issuer-name": "other.example"}, 403),
            ("a context", {"redemption-context": context}, {"redemption-context": context}, 200),
            ("no context", {"redemption-context": context}, {}, 403)):
        proxy = d.proxy(keys=d.keys.for_proxy(**keys))
        for kind in TYPES:
            token = d.tokens(1, kind, **more)[0]
            same(show(t, proxy, target.authority, f"PrivateToken token={token}"), wanted, f"{name}, type {kind}")


def test_allowance(t):
    """An account gets so many tokens in a period; a wrong name and a wrong password get the same answer."""
    d = Deployment(t, allowance=5)
    same(d.get(count=3).status, 0, "three of five")
    got = d.get(count=3)
    same((got.status, "fewer tokens left" in got.err), (4, True), f"six of five: {got.err}")
    same(d.get(count=2).status, 0, "the last two")
    same(d.get(count=1, user="bob").status, 0, "another account")
    for user, password in (("alice", "wrong"), ("nobody", PASSWORD), ("alice", "")):
        got = d.get(user=user, password=password)
        same((got.status, "answered 401" in got.err), (4, True), f"{user} with a wrong password: {got.err}")


def token_request(t, d, password, source="127.0.0.1"):
    """The status that one more request for a token gets; of a body that is none, so 400 for whom is known."""
    connection = http.client.HTTPSConnection("localhost", d.attester.port, timeout=30, source_address=(source, 0),
                                             context=ssl.create_default_context(cafile=t.pki.ca))
    name = base64.b64encode(f"alice:{password}".encode()).decode()
    connection.request("POST", "/token-request", b"", {"Content-Type": REQUEST, "Authorization": "Basic " + name})
    status = connection.getresponse().status
    connection.close()
    return status


def test_guesses(t):
    """Whoever guesses at the attester is denied for a while, also what would be right; nobody else is."""
    d = Deployment(t, attester={"limits": {"auth-failures": 3, "penalty-first-ms": 86400000,
                                           "penalty-last-ms": 86400000}})
    same([token_request(t, d, PASSWORD) for _ in range(5)], 5 * [400], "who is known")
    same([token_request(t, d, guess, "127.0.0.2") for guess in ("a", "b", "c")], 3 * [401], "guesses")
    same(token_request(t, d, PASSWORD, "127.0.0.2"), 401, "the right one behind them")
    same(token_request(t, d, PASSWORD, "127.0.0.3"), 400, "from elsewhere")
    d.attester.await_log(r"authentication-penalty.*127\.0\.0\.2")
    check("alice" not in d.attester.log(), f"the log: {d.attester.log()}")
    same(d.attester.reload()[0], "reload", "a reload")
    same(token_request(t, d, PASSWORD, "127.0.0.2"), 401, "after a reload")


def test_guesses_hold_up_nobody(t):
    """Of one source only few passwords are checked at a time, so that others get their turn."""
    d = Deployment(t, attester={"limits": {"auth-failures": 1000}})
    guesses = []
    threads = [threading.Thread(target=lambda: guesses.append(token_request(t, d, "wrong", "127.0.0.2")))
               for _ in range(30)]
    for thread in threads:
        thread.start()
    same([token_request(t, d, PASSWORD) for _ in range(5)], 5 * [400], "who is known, between guesses")
    for thread in threads:
        thread.join()
    check(401 in guesses and set(guesses) <= {401, 503}, f"the guesses: {guesses}")


def test_issuer_signs_for_attesters_alone(t):
    d = Deployment(t)
    request = bytes([0, 1, 7]) + bytes(49)
    fields = {"Content-Type": REQUEST}
    role = (d.issuer_settings["certificate"], d.issuer_settings["private-key"])
    server_only = t.pki.issue("client-without-usage")
    for name, certificate, wanted in (("nobody", None, 403), ("a server's certificate", server_only, 403),
                                      ("an attester", role, 422)):
        same(ask(t, d.issuer.port, "/token-request", request, fields, certificate)[0], wanted, f"tokens for {name}")
    same(ask(t, d.issuer.port, DIRECTORY)[0], 403, "the directory for nobody")
    same(d.get(count=1).status, 0, "through the attester")


def test_what_roles_refuse(t):
    d = Deployment(t)
    role = (d.issuer_settings["certificate"], d.issuer_settings["private-key"])
    basic = {"Authorization": "Basic " + base64.b64encode(f"alice:{PASSWORD}".encode()).decode()}
    rows = [
        ("/", None, {}, 404, 404),
        ("/token-request", None, {}, 405, 405),
        (DIRECTORY, b"x", {}, 405, 405),
        ("/token-request", b"", {"Content-Type": REQUEST}, 400, 400),
        ("/token-request", bytes(51), {"Content-Type": REQUEST}, 422, 400),
        ("/token-request", bytes(51), {"Content-Type": REQUEST + "; x=y"}, 422, 400),
        ("/token-request", bytes([0, 2, 0]) + bytes(256), {"Content-Type": "text/plain"}, 415, 400),
        ("/token-request", bytes(30000), {"Content-Type": REQUEST}, 413, 413),
    ]
    for path, body, fields, of_issuer, of_attester in rows:
        same(ask(t, d.issuer.port, path, body, fields, role)[0], of_issuer, f"issuer: {path} {fields}")
        same(ask(t, d.attester.port, path, body, {**fields, **basic})[0], of_attester, f"attester: {path} {fields}")
    status, _, fields = ask(t, d.attester.port, "/token-request", b"x", {"Content-Type": REQUEST})
    same((status, fields["WWW-Authenticate"].split()[0]), (401, "Basic"), "without a name")
    status, body, fields = ask(t, d.attester.port, DIRECTORY)
    same((status, fields["Content-Type"]), (200, "application/private-token-issuer-directory"), "the directory")
    same(json.loads(body)["issuer-request-uri"], "/token-request", "where requests go")


def test_issuer_down(t):
    """The attester says so, and takes no tokens off the account."""
    d = Deployment(t, allowance=2)
    same(d.get(count=1).status, 0, "while it is there")
    d.issuer.signal(signal.SIGINT)
    d.issuer.wait()
    got = d.get(count=1)
    same((got.status, "answered 502" in got.err), (4, True), f"while it is not: {got.err}")
    same(d.get(count=1).status, 4, "and still not")
    d.issuer = d.role(issuer=d.issuer_settings)
    d.attester.await_log("nobody gets tokens")
    same(d.get(count=1).status, 0, "again")
    d.attester.await_log("it answers again")
    same(d.attester.log().count("nobody gets tokens"), 1, "lines of a failing issuer")
    same(d.get(count=1).status, 4, "the third of two")


def test_privacy(t):
    """No log holds a name, a password, a token or an address together with a target."""
    d = Deployment(t)
    proxy, target = d.proxy(), targets.Target(t)
    token = d.tokens(1)[0]
    same(show(t, proxy, target.authority, f"PrivateToken token={token}"), 200, "the token")
    same(show(t, proxy, target.authority, f"PrivateToken token={token}"), 403, "again")
    for process in (d.issuer, d.attester, proxy):
        for word in ("alice", PASSWORD, HASH, token[:40], target.authority):
            check(word not in process.log(), f"the log has “{word}”: {process.log()}")


def test_wallet(t):
    """Each token once, whoever takes it; a file that others may read, or that is none, is refused."""
    d = Deployment(t)
    same(d.get(count=40).status, 0, "token get")
    shown = Run(t, "show", "--token-wallet", d.wallet)
    same((shown.status, shown.out), (0, f"40 of type 2 by {ISSUER} for {ORIGIN}\n"), "token show")
    taken, lock = [], threading.Lock()

    def take():
        for _ in range(5):
            token = d.export()
            with lock:
                taken.append(token)

    threads = [threading.Thread(target=take) for _ in range(8)]
    for thread in threads:
        thread.start()
    for thread in threads:
        thread.join()
    same((len(taken), len(set(taken))), (40, 40), "tokens taken, and different ones")
    same(Run(t, "show", "--token-wallet", d.wallet).out, "none\n", "what is left")
    os.chmod(d.wallet, 0o644)
    refused = Run(t, "show", "--token-wallet", d.wallet)
    same(refused.status, 2, "an open file")
    check("its mode is 0644; make it 0600" in refused.err, refused.err)
    other = t.write("other.txt", "masqueproxy: token wallet, version 1\n2 a b !!!\n")
    check(":2: no token" in Run(t, "export", "--token-wallet", other).err, "a line that is none")
    missing = Run(t, "export", "--token-wallet", os.path.join(t.folder, "none"))
    check("can't use the wallet" in missing.err, missing.err)


def test_wallet_before_purchase(t):
    """A wallet that can't be used is found before the account is charged for tokens that would be lost."""
    d = Deployment(t, allowance=5)
    good, d.wallet = d.wallet, os.path.join(t.folder, "none", "wallet")
    refused = d.get(count=2)
    same((refused.status, refused.out), (2, ""), "a wallet that can't be made")
    check("can't use the wallet" in refused.err, refused.err)
    d.wallet = t.write("other.txt", "masqueproxy: token wallet, version 1\n2 a b !!!\n")
    same((d.get(count=2).status, d.get(count=2).out), (2, ""), "a file that is none")
    d.wallet = good
    same([d.get(count=5).status, d.get(count=1).status], [0, 4], "all of the allowance is there, then none")


def test_help(t):
    shown = Run(t, "--help")
    same(shown.status, 0, "token --help")
    check("token keygen" in shown.out and "--token-wallet FILE" in shown.out, shown.out)
    wrong = Run(t, "mint")
    same((wrong.status, "expected keygen, account, get, show or export" in wrong.err), (2, True), wrong.err)


def test_keygen(t):
    keys = Keys(t)
    for kind in TYPES:
        same(os.stat(keys.files[kind]).st_mode & 0o777, 0o600, "the key's mode")
        again = Run(t, "keygen", "--token-type", str(kind), "--out", keys.files[kind])
        same((again.status, "File exists" in again.err), (2, True), f"over a key: {again.err}")
    out = subprocess.run(["openssl", "rsa", "-in", keys.files[2], "-noout", "-text"], capture_output=True, check=True)
    check(b"2048 bit" in out.stdout, "openssl reads it")


def test_messages(t):
    """What is wrong with a role's configuration is said with place and remedy."""
    keys = Keys(t)
    role, key = t.pki.certificate, t.pki.private_key
    users = t.write("users.htpasswd", f"alice:{HASH}\n")
    issuer = {"listen": [{"address": "127.0.0.1:8443"}], "certificate": role, "private-key": key,
              "keys": keys.for_issuer()}
    attester = {"listen": [{"address": "127.0.0.1:8444"}], "certificate": role, "private-key": key,
                "issuer": "https://localhost:8443", "basic": {"file": users}}
    other = t.pki.issue("other", "serverAuth")[1]
    weak = t.write("weak.htpasswd", "alice:$apr1$abcdefgh$012345678901234567890\n")
    open_key = t.write("open.key", open(keys.files[1], encoding="ascii").read(), 0o644)
    rows = [
        ({"issuer": issuer}, None),
        ({"attester": attester}, None),
        ({"issuer": {**issuer, "listen": [{"address": "0.0.0.0:8443"}]}}, "would sign for everybody who reaches it"),
        ({"issuer": {**issuer, "keys": []}}, "has no keys; `masqueproxy token keygen` makes one"),
        ({"issuer": {**issuer, "keys": 2 * keys.for_issuer()[:1]}}, "its ID ends with the same byte as another's"),
        ({"issuer": {**issuer, "keys": [{"token-type": 3, "private-key-file": "x"}]}}, "“3” is no token type"),
        ({"issuer": {**issuer, "keys": [{"token-type": 2, "private-key-file": keys.files[1]}]}},
         "no PEM of an RSA private key in"),
        ({"issuer": {**issuer, "keys": [{"token-type": 1, "private-key-file": open_key}]}}, "its mode is 0644"),
        ({"attester": {**attester, "issuer": "http://localhost"}}, "attester.issuer”: expected https://"),
        ({"attester": {**attester, "tokens-per-account": 0}}, "attester.tokens-per-account”: must be 1 or more"),
        ({"attester": {**attester, "issuer-ca": "nowhere.pem"}}, "attester.issuer-ca”: can't read nowhere.pem"),
        ({"attester": {**attester, "issuer-ca": users}}, "attester.issuer-ca”: "),
        ({"issuer": {**issuer, "client-ca": users}}, "there is no certificate in it; expected PEM"),
        ({"issuer": {**issuer, "client-ca": "nowhere.pem"}}, "issuer.client-ca”: can't read nowhere.pem"),
        ({"issuer": {**issuer, "private-key": other}}, "issuer.private-key”: the private key does not belong to"),
        ({"attester": {**attester, "basic": None}}, None),
        ({"attester": {**attester, "basic": {"file": weak}}}, "weak.htpasswd:1: the hash is of no kind that is taken"),
        ({"attester": {**attester, "period": "0s"}}, "must be 1s to 8784h"),
        ({"attester": {k: v for k, v in attester.items() if k != "private-key"}},
         "needs certificate and private-key for its HTTPS"),
    ]
    for settings, wanted in rows:
        if settings.get("attester", {"basic": 1})["basic"] is None:
            del settings["attester"]["basic"]
            wanted = "knows nobody: give basic.file"
        path = t.write_settings(settings, "roles.yaml")
        done = t.run("--config", path, "--test-config")
        message = done.stderr if isinstance(done.stderr, str) else done.stderr.decode()
        same(done.returncode, 1 if wanted else 0, f"{settings}: {message}")
        check(not wanted or wanted in message, f"{wanted!r} is not in {message!r}")


def test_what_test_config_finds(t):
    """Files that are opened at the start are looked at before, too; and what is over is said."""
    keys = Keys(t)
    rows = [
        ({"file": "/nowhere/spent.log"}, "auth.spent-tokens.file”: can't write /nowhere"),
        ({"store": "redis", "url": "http://x"}, "auth.spent-tokens.url”: expected redis://"),
        ({"store": "redis", "url": "redis://x", "password-file": "nowhere"}, "can't read nowhere"),
        ({"file": "spent.log"}, None),
    ]
    for spent, wanted in rows:
        settings = t.settings(auth={"private-token": keys.for_proxy(), "spent-tokens": spent})
        done = t.run("--config", t.write_settings(settings), "--test-config")
        same(done.returncode, 1 if wanted else 0, f"{spent}: {done.stderr}")
        check(not wanted or wanted in done.stderr, f"{wanted!r} is not in {done.stderr!r}")
    check(not os.path.exists(t.folder / "spent.log"), "it made the file")
    settings = t.settings(auth={"private-token": keys.for_proxy(**{"not-after": "2020-01-01"})})
    done = t.run("--config", t.write_settings(settings), "--test-config")
    check(done.returncode == 0 and "warning: " in done.stdout and "its not-after is past" in done.stdout, done.stdout)


def test_reload_of_roles_is_whole(t):
    """An issuer and attester in one process: when one of both can't be renewed, neither is."""
    keys, fresh = Keys(t), Keys(t, "fresh")
    role, key = t.pki.issue("role", "serverAuth,clientAuth")
    users = t.write("users.htpasswd", f"alice:{HASH}\n")
    ports = t.free_port(), t.free_port()
    issuer = {"listen": [{"address": f"127.0.0.1:{ports[0]}"}], "certificate": role, "private-key": key,
              "keys": keys.for_issuer()}
    attester = {"listen": [{"address": f"127.0.0.1:{ports[1]}"}], "certificate": role, "private-key": key,
                "issuer": f"https://localhost:{ports[0]}", "issuer-ca": t.pki.ca, "basic": {"file": users}}
    both = t.proxy(listen=None, tls=None, auth=None, targets=None, workers=None, issuer=issuer, attester=attester)

    def served():
        return [row["token-key"].rstrip("=") for row in json.loads(ask(t, ports[0], DIRECTORY)[1])["token-keys"]]

    before = served()
    t.write("users.htpasswd", "nonsense\n")
    t.write(both.config_path, json.dumps({**both.settings, "issuer": {**issuer, "keys": fresh.for_issuer()}}))
    what, line = both.reload()
    check(what == "reload-failed" and "attester.basic.file" in line, line)
    same(served(), before, "the issuer's keys behind a reload that failed")
    t.write("users.htpasswd", f"alice:{HASH}\n")
    same(both.reload()[0], "reload", "one that is good")
    check(not set(served()) & set(before), "the issuer's keys behind it")
