"""Spent tokens in a Redis that proxies share. Goal: whatever happens to it, no token opens two tunnels."""
import base64
import hashlib
import signal
import threading
import time

from harness import targets
from harness.context import check, same
from harness.h1 import H1
from harness.redis import Redis
from harness.tokens import Deployment, show

FAILURES = {"auth-failures": 1000}
ENOUGH_S = 30


def proxies(d, redis, count, **more):
    """So many that share it, each of which has reached it."""
    made = [d.proxy({"store": "redis", "url": redis.url, **more}, limits=FAILURES) for _ in range(count)]
    return made


def status(d, proxy, target, token):
    return show(d.t, proxy, target.authority, f"PrivateToken token={token}")


def await_service(d, proxy, target):
    """Until a token is taken: the proxy connects to Redis by itself, and again after it was away."""
    end = time.monotonic() + ENOUGH_S
    while True:
        token = d.tokens(1)[0]
        got = status(d, proxy, target, token)
        if got == 200:
            return token
        same(got, 503, "the status without Redis")
        check(time.monotonic() < end, "Redis is not used: " + proxy.log()[-500:])


def race(d, these, target, token, threads):
    """The statuses that all of THESE give for one token at a time, THREADS connections to each."""
    start, statuses = threading.Barrier(len(these) * threads), []

    def run(proxy):
        connection = H1(d.t, proxy)
        start.wait()
        statuses.append(show(d.t, proxy, target.authority, f"PrivateToken token={token}", connection))

    workers = [threading.Thread(target=run, args=(proxy,)) for proxy in these for _ in range(threads)]
    for worker in workers:
        worker.start()
    for worker in workers:
        worker.join()
    return statuses


def test_fleet(t):
    """Two proxies, one Redis: each token exactly once."""
    d, target, redis = Deployment(t), targets.Target(t), Redis(t)
    both = proxies(d, redis, 2)
    for proxy in both:
        await_service(d, proxy, target)
    for number, token in enumerate(d.tokens(20, 1) + d.tokens(20)):
        first, second = both[number % 2], both[1 - number % 2]
        same([status(d, p, target, token) for p in (first, second, first)], [200, 403, 403], f"token {number}")


test_fleet.namespaced = True


def test_race(t):
    """Eight processes, eight connections to each, one token."""
    d, target, redis = Deployment(t), targets.Target(t), Redis(t)
    these = proxies(d, redis, 8)
    for proxy in these:
        await_service(d, proxy, target)
    for _ in range(3):
        statuses = race(d, these, target, d.tokens(1)[0], 8)
        same((statuses.count(200), statuses.count(403)), (1, 63), "tunnels and refusals")


def test_restart(t):
    """With its data kept, a restart costs a moment of 503; what was spent stays so."""
    d, target, redis = Deployment(t), targets.Target(t), Redis(t, durable=True)
    both = proxies(d, redis, 2)
    spent = [await_service(d, proxy, target) for proxy in both]
    redis.kill()
    same(status(d, both[0], target, d.tokens(1)[0]), 503, "without Redis")
    redis.start()
    for proxy in both:
        await_service(d, proxy, target)
    for token in spent:
        for proxy in both:
            same(status(d, proxy, target, token), 403, "one that was spent before")
    check("answers again" in both[0].log(), "the log says that it is back")


def test_stopped(t):
    """A Redis that hangs: 503 in time, and later never a second 200."""
    d, target, redis = Deployment(t), targets.Target(t), Redis(t)
    both = proxies(d, redis, 2)
    for proxy in both:
        await_service(d, proxy, target)
    tokens = d.tokens(6)
    redis.process.send_signal(signal.SIGSTOP)
    first = [status(d, both[0], target, token) for token in tokens[:3]]
    same(first, [503] * 3, "while it hangs")
    redis.process.send_signal(signal.SIGCONT)
    for proxy in both:
        await_service(d, proxy, target)
    for token in tokens:
        answers = [status(d, proxy, target, token) for proxy in (*both, *both)]
        check(answers.count(200) <= 1 and set(answers) <= {200, 403}, f"afterwards: {answers}")


def test_emptied(t):
    """Restarted without its data nobody knows what was spent: nothing is allowed any more, and the log says why."""
    d, target, redis = Deployment(t), targets.Target(t), Redis(t)
    both = proxies(d, redis, 2)
    spent = [await_service(d, proxy, target) for proxy in both]
    redis.kill()
    redis.start()
    for proxy in both:
        proxy.await_log("has lost its data")
    for token in (*spent, *d.tokens(2)):
        for proxy in both:
            check(status(d, proxy, target, token) in (403, 503), "a token after the loss")
    redis.call("FLUSHALL")
    check(status(d, both[0], target, d.tokens(1)[0]) == 503, "and it stays so")


def test_flushed(t):
    """Emptied while proxies are connected: the very next token is refused, and all that follow."""
    d, target, redis = Deployment(t), targets.Target(t), Redis(t)
    both = proxies(d, redis, 2)
    spent = [await_service(d, proxy, target) for proxy in both]
    fresh = d.tokens(1)[0]
    redis.call("FLUSHALL")
    same(status(d, both[1], target, spent[0]), 503, "one that the other proxy took")
    same(status(d, both[0], target, fresh), 503, "a new one")
    check("has lost its data" in both[0].log(), "the log says why")


def spent_key(token):
    raw = base64.urlsafe_b64decode(token)
    return "masque:spent:" + hashlib.sha256(raw[66:98] + raw[2:34]).digest()[:16].hex()


def test_what_it_stores(t):
    """A hash of nonce and key alone, with an end; a key of another type is as good as spent; no memory is 503."""
    d, target, redis = Deployment(t), targets.Target(t), Redis(t)
    proxy = d.proxy({"store": "redis", "url": redis.url}, keys=d.keys.for_proxy(**{"not-after": "2100-01-01"}),
                    limits=FAILURES)
    token = await_service(d, proxy, target)
    check(int(redis.call("PTTL", spent_key(token)).strip(":")) > 1000, "its end")
    odd, late = d.tokens(2)
    redis.call("LPUSH", spent_key(odd), "x")
    same(status(d, proxy, target, odd), 403, "a key of another type")
    redis.call("CONFIG", "SET", "maxmemory", "1")
    same(status(d, proxy, target, late), 503, "no memory")
    check("OOM" in proxy.log(), "the log says why: " + proxy.log()[-300:])
    redis.call("CONFIG", "SET", "maxmemory", "0")
    same(status(d, proxy, target, late), 200, "memory again")


def test_password(t):
    d, target, redis = Deployment(t), targets.Target(t), Redis(t, "--requirepass", "looking-glass")
    right = t.write("right.txt", "looking-glass\n")
    proxy = proxies(d, redis, 1, **{"password-file": right})[0]
    await_service(d, proxy, target)
    check("maxmemory-policy" not in proxy.log() and "has appendonly no" in proxy.log(), "what the log says of settings")
    wrong = t.write("wrong.txt", "humpty-dumpty\n")
    proxy = proxies(d, redis, 1, **{"password-file": wrong})[0]
    proxy.await_log("WRONGPASS|invalid")
    same(status(d, proxy, target, d.tokens(1)[0]), 503, "with a wrong password")
    check("humpty" not in proxy.log(), "the log has the password")


def test_messages(t):
    d = Deployment(t)
    for url, wanted in (("http://localhost", "expected redis://HOST"), ("redis://:secret@localhost", "expected redis://"),
                        ("redis://localhost:99999", "expected redis://HOST"), ("redis://", "expected redis://HOST")):
        path = t.write_settings(t.settings(auth={"private-token": d.keys.for_proxy(),
                                                 "spent-tokens": {"store": "redis", "url": url}}), "redis.yaml")
        done = t.run("--config", path)
        same(done.returncode, 1, f"{url}: {done.stderr}")
        check(wanted in done.stderr and "secret@" not in done.stderr, f"{url}: {done.stderr}")


def test_away_from_the_start(t):
    """Nobody has to show a token before the log says that there is no Redis."""
    d = Deployment(t)
    proxy = d.proxy(spent={"store": "redis", "url": f"redis://127.0.0.1:{t.free_port()}"})
    proxy.await_log("spent-tokens.*requests with tokens get 503 until it answers")
