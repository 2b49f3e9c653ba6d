"""Names, with a name server of our own. Goal: every answer is judged on each of its
addresses, each failure has its word, and a late AAAA doesn't hold an A.
"""
import subprocess

from harness import basics, targets
from harness.context import check, same
from harness.dns import NXDOMAIN, SERVFAIL, SILENT, Held, NameServer
from harness.h1 import H1, open_tunnel
from harness.h2 import H2
from harness.runner import namespaced


def ask(t, proxy, authority):
    """(status, Proxy-Status error)"""
    client = H1(t, proxy)
    head = client.connect(authority)
    client.close()
    return head.status, basics.error_of(head.get("proxy-status"))


# name, script, status, error; 127.0.0.1 and ::1 are allowed, all else of loopback is not
ANSWERS = [
    ("A only", {"A": [["127.0.0.1"]]}, 200, None),
    ("AAAA only", {"AAAA": [["::1"]]}, 200, None),
    ("both", {"A": [["127.0.0.1"]], "AAAA": [["::1"]]}, 200, None),
    ("several", {"A": [["127.0.0.1", "127.0.0.1"]]}, 200, None),
    ("no such name", {"A": [NXDOMAIN], "AAAA": [NXDOMAIN]}, 502, "dns_error"),
    ("no address", {}, 502, "dns_error"),
    ("failure", {"A": [SERVFAIL], "AAAA": [SERVFAIL]}, 502, "dns_error"),
    ("silence", {"A": [SILENT], "AAAA": [SILENT]}, 502, "dns_timeout"),
    ("A while AAAA fails", {"A": [["127.0.0.1"]], "AAAA": [SERVFAIL]}, 200, None),
    ("A while AAAA says no such name", {"A": [["127.0.0.1"]], "AAAA": [NXDOMAIN]}, 200, None),
    ("AAAA while A fails", {"A": [SERVFAIL], "AAAA": [["::1"]]}, 200, None),
    ("AAAA while A is silent", {"A": [SILENT], "AAAA": [["::1"]]}, 200, None),
    ("private A", {"A": [["127.0.0.2"]]}, 403, "destination_ip_prohibited"),
    ("private AAAA", {"AAAA": [["fd00::1"]]}, 403, "destination_ip_prohibited"),
    ("private both", {"A": [["10.0.0.1"]], "AAAA": [["fe80::1"]]}, 403, "destination_ip_prohibited"),
    ("metadata", {"A": [["169.254.169.254"]]}, 403, "destination_ip_prohibited"),
    ("unspecified", {"A": [["0.0.0.0"]], "AAAA": [["::"]]}, 403, "destination_ip_prohibited"),
    ("broadcast", {"A": [["255.255.255.255"]]}, 403, "destination_ip_prohibited"),
    ("NAT64 of private", {"AAAA": [["64:ff9b::a00:1"]]}, 403, "destination_ip_prohibited"),
    ("NAT64, local prefix", {"AAAA": [["64:ff9b:1::a00:1"]]}, 403, "destination_ip_prohibited"),
    ("6to4 of private", {"AAAA": [["2002:a00:1::1"]]}, 403, "destination_ip_prohibited"),
    ("private among allowed", {"A": [["127.0.0.2", "127.0.0.1", "10.0.0.1"]]}, 200, None),
    ("private AAAA, allowed A", {"A": [["127.0.0.1"]], "AAAA": [["fd00::1"]]}, 200, None),
]


def test_answers(t):
    target = targets.Target(t)
    targets.Target(t, address="::1", port=target.port)
    private = targets.Listener(t, "127.0.0.2", target.port)
    names = {f"n{number}.test": row[1] for number, row in enumerate(ANSWERS)}
    server = NameServer(t, names)
    proxy = t.proxy(dns={"servers": [server.endpoint]}, targets={"allow": ["127.0.0.1", "::1"]},
                    limits={"resolve-timeout-ms": 2000})
    for number, (name, _, status, error) in enumerate(ANSWERS):
        same(ask(t, proxy, f"n{number}.test:{target.port}"), (status, error), name)
    check(not private.was_called(), "a denied address was dialed")


def test_mapped_answers(t):
    """::ffff:a.b.c.d is the IPv4 address: denied or never used, but not a way around the rules."""
    private = targets.Listener(t, "127.0.0.2")
    server = NameServer(t, {"mapped.test": {"AAAA": [["::ffff:127.0.0.2", "::ffff:10.0.0.1"]]}})
    proxy = t.proxy(dns={"servers": [server.endpoint]}, targets={"allow": ["127.0.0.1", "::1"]})
    status, error = ask(t, proxy, f"mapped.test:{private.port}")
    check((status, error) in ((403, "destination_ip_prohibited"), (502, "dns_error")), f"{status} {error}")
    check(not private.was_called(), "a denied address was dialed")


def test_rebinding(t):
    """The second look-up gives a private address: asked again for each tunnel, judged each time."""
    target = targets.Target(t)
    private = targets.Listener(t, "127.0.0.2", target.port)
    script = {"A": [["127.0.0.1"], ["127.0.0.2"], ["127.0.0.2", "127.0.0.1"], ["127.0.0.1"]]}
    server = NameServer(t, {"rebind.test": script})
    proxy = t.proxy(dns={"servers": [server.endpoint]}, targets={"allow": ["127.0.0.1"]})
    connection = H2(t, proxy)
    authority = f"rebind.test:{target.port}"
    same([connection.connect(authority).await_answer() for _ in range(4)], [200, 403, 200, 200], "statuses")
    same(target.await_calls(3), 3, "calls of the allowed target")
    check(not private.was_called(), "a denied address was dialed")


@namespaced
def test_no_denied_address_is_called(t):
    """Every kind of denied address exists here and listens; public ones do too."""
    public = ["198.41.0.4", "2001:503:ba3e::2:30"]
    denied = ["10.0.0.1", "172.16.0.1", "192.168.0.1", "169.254.169.254", "100.64.0.1", "192.0.2.1", "198.18.0.1",
              "203.0.113.1", "fd00::1", "fd00:ec2::254", "2001:db8::1", "64:ff9b::a00:1", "2002:a00:1::1", "2001::1"]
    for address in public + denied:
        subprocess.run(["ip", "address", "add", address + ("/128" if ":" in address else "/32"), "dev", "lo"] +
                       (["nodad"] if ":" in address else []), check=True, timeout=20)
    good = [targets.Target(t, address=address, port=8080) for address in public]
    bad = {address: targets.Listener(t, address, 8080) for address in denied}
    kinds = {a: "AAAA" if ":" in a else "A" for a in public + denied}
    names = {f"n{i}.test": {kinds[a]: [[a]]} for i, a in enumerate(denied)}
    names["mixed.test"] = {"A": [denied[:8] + public[:1]], "AAAA": [denied[8:]]}
    server = NameServer(t, names)
    # The addresses are this machine's now, so the public ones, too, would be denied as own ones without a rule.
    proxy = t.proxy(listen=[{"address": "127.0.0.1:8443"}], dns={"servers": [server.endpoint]}, targets={"allow": public})
    for number, address in enumerate(denied):
        literal = f"[{address}]" if ":" in address else address
        for authority in (f"{literal}:8080", f"n{number}.test:8080"):
            same(ask(t, proxy, authority), (403, "destination_ip_prohibited"), authority)
    for authority in ("198.41.0.4:8080", "[2001:503:ba3e::2:30]:8080", "mixed.test:8080"):
        same(ask(t, proxy, authority)[0], 200, authority)
    same([target.await_calls(count) for target, count in zip(good, (2, 1))], [2, 1], "calls of the public targets")
    called = [address for address, listener in bad.items() if listener.was_called()]
    same(called, [], "denied addresses that were called")


def test_late_aaaa_does_not_hold_a(t):
    """The tunnel stands while the AAAA answer is still held back."""
    late = Held(["::1"])
    target = targets.Target(t)
    server = NameServer(t, {"late.test": {"A": [["127.0.0.1"]], "AAAA": [late]}})
    proxy = t.proxy(dns={"servers": [server.endpoint]})
    tunnel = open_tunnel(t, proxy, f"late.test:{target.port}")
    check(late.is_asked.is_set(), "AAAA was not asked")
    same(tunnel.exchange(b"before"), b"before", "echo before the late answer")
    late.release()
    same(tunnel.exchange(b"after"), b"after", "echo after it")
    same(target.await_calls(1), 1, "calls")


def test_ipv6_is_preferred(t):
    """Both answers at once: AAAA is dialed first (RFC 8305 5)."""
    six = targets.Target(t, address="::1")
    four = targets.Target(t, port=six.port)
    server = NameServer(t, {"both.test": {"A": [["127.0.0.1"]], "AAAA": [["::1"]]}})
    proxy = t.proxy(dns={"servers": [server.endpoint]}, limits={"resolution-delay-ms": 1000})
    same(ask(t, proxy, f"both.test:{six.port}")[0], 200, "status")
    same((six.await_calls(1), four.calls), (1, 0), "calls by IPv6 and IPv4")


def test_falls_back_to_ipv4(t):
    """Nobody listens on ::1: refused there, so 127.0.0.1 is next."""
    target = targets.Target(t)
    server = NameServer(t, {"both.test": {"A": [["127.0.0.1"]], "AAAA": [["::1"]]}})
    proxy = t.proxy(dns={"servers": [server.endpoint]})
    same(ask(t, proxy, f"both.test:{target.port}")[0], 200, "status")


def test_silent_names_hold_nobody(t):
    """Names that are never answered wait alone; others resolve meanwhile, on the same connection too."""
    target = targets.Target(t)
    server = NameServer(t, {"silent.test": {"A": [SILENT], "AAAA": [SILENT]}, "quick.test": {"A": [["127.0.0.1"]]}})
    proxy = t.proxy(dns={"servers": [server.endpoint]})
    connection = H2(t, proxy)
    waiting = [connection.connect("silent.test:443") for _ in range(60)]
    same(connection.open_tunnel(f"quick.test:{target.port}").exchange(b"x"), b"x", "the same connection")
    same(open_tunnel(t, proxy, f"quick.test:{target.port}").exchange(b"x"), b"x", "another connection")
    check(not any(stream.status for stream in waiting), "a silent name was answered")


def test_absolute_names(t):
    """No search domain is tried: the question is the name alone."""
    server = NameServer(t, {})
    proxy = t.proxy(dns={"servers": [server.endpoint]})
    for name in ("inside", "www.inside.test"):
        same(ask(t, proxy, f"{name}:443"), (502, "dns_error"), name)
    same({name for name, _ in server.questions}, {"inside", "www.inside.test"}, "questions")


def test_second_server(t):
    """The first name server is dead."""
    target = targets.Target(t)
    server = NameServer(t, {"n.test": {"A": [["127.0.0.1"]]}})
    proxy = t.proxy(dns={"servers": [f"127.0.0.1:{basics.refused_port(t)}", server.endpoint]})
    same(ask(t, proxy, f"n.test:{target.port}")[0], 200, "status")


def test_localhost(t):
    """This machine (RFC 6761 6.3), so denied like its address unless that is allowed; no server is asked."""
    server = NameServer(t, {})
    target = targets.Target(t)
    for allow, wanted in (([], (403, "destination_ip_prohibited")), (["127.0.0.1"], (200, None))):
        proxy = t.proxy(dns={"servers": [server.endpoint]}, targets={"allow": allow})
        same(ask(t, proxy, f"localhost:{target.port}"), wanted, f"localhost, allowed: {allow}")
    same(server.questions, [], "questions")
