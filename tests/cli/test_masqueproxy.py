"""The client program: a page through CONNECT and datagrams through CONNECT-UDP over each version of
HTTP, what it says, and what it returns when something is wrong."""
from harness import targets
from harness.context import check, same
from harness.probe import VERSIONS, Nat, Probe
from harness.udp import UdpEcho, UdpTarget


def test_get(t):
    proxy, origin = t.proxy(), targets.HttpsOrigin(t)
    url = f"https://localhost:{origin.port}/cdn-cgi/trace"
    for flag, name in VERSIONS:
        page = Probe(t, proxy, "get", url, flag)
        same((page.status, page.err), (0, ""), f"{name}: status and messages")
        check(b"ip=127.0.0.1" in page.out, f"{name}: no page: {page.out!r}")
        report = Probe(t, proxy, "get", url, flag, "--json").report
        same((report["result"], report["protocol"], report["status"], report["target-status"]), ("ok", name, 200, 200),
             f"{name}: the report")
        check("proxy;dur=" in report["server-timing"], f"{name}: {report['server-timing']}")
        stages = report["milliseconds"]
        same(sorted(stages.values()), [stages[k] for k in ("name", "connect", "open", "tunnel", "target", "first",
                                                           "done") if k in stages], f"{name}: order of stages")


def test_udp(t):
    proxy, echo = t.proxy(), UdpEcho(t)
    for flag, name in VERSIONS:
        answers = Probe(t, proxy, "udp", f"127.0.0.1:{echo.port}", flag, given=b"one\ntwo\n\nlast")
        same((answers.status, answers.out, answers.err), (0, b"one\ntwo\n\nlast\n", ""), name)


def test_fallback(t):
    """Where UDP is not served HTTP/2 is next, and the report says why."""
    port = t.free_port()
    proxy = t.proxy(listen=[{"address": f"127.0.0.1:{port}", "protocols": ["h2", "http/1.1"]}])
    origin = targets.HttpsOrigin(t)
    report = Probe(t, proxy, "get", f"https://localhost:{origin.port}/cdn-cgi/trace", "--json").report
    same((report["result"], report["protocol"]), ("ok", "h2"), "the report")
    same([a["protocol"] for a in report["failed-attempts"]], ["h3"], "failed attempts")


def test_exit_codes(t):
    proxy, origin = t.proxy(), targets.HttpsOrigin(t)
    good = f"https://localhost:{origin.port}/cdn-cgi/trace"
    closed = t.free_port()
    silent = targets.Listener(t)
    other_ca = t.write("other.pem", open(t.pki.certificate, encoding="ascii").read())
    rows = [
        ("wrong key", 4, "answered 403", dict(key="another-key"), ["get", good]),
        ("a target that is closed", 4, "answered 502", {}, ["get", f"https://127.0.0.1:{closed}/"]),
        ("a target without TLS", 5, "the target", {}, ["get", f"https://127.0.0.1:{plain(t)}/"]),
        ("a proxy that nobody signed", 3, "not trusted", dict(ca=other_ca), ["get", good]),
        ("no proxy", 3, "refused", dict(port=closed), ["get", good]),
        ("a silent target", 6, "not done in time", {},
         ["get", f"https://127.0.0.1:{silent.port}/", "--timeout", "500ms"]),
        ("a closed UDP port", 5, "reset", {}, ["udp", f"127.0.0.1:{udp_closed(t)}"]),
        ("no URL", 2, "no https URL", {}, ["get", "ftp://x/"]),
        ("no target", 2, "no target", {}, ["udp", "nowhere"]),
        ("an unknown flag", 2, "is no flag", {}, ["get", good, "--fast"]),
    ]
    for name, status, words, changes, arguments in rows:
        for flag, version in VERSIONS:
            done = Probe(t, proxy, *arguments, flag, given=b"a\nb\n", **changes)
            check(done.status == status and words in done.err,
                  f"{name} over {version}: status {done.status} instead of {status}, {done.err!r}")


def plain(t):
    """A server that greets before it is asked, and without TLS."""
    return targets.Target(t, lambda connection: connection.sendall(b"220 hello\r\n")).port


def udp_closed(t):
    target = UdpTarget(t)
    target.socket.close()
    return target.port


def test_large_page(t):
    """Every byte of a few megabytes, over each version; HTTP/3 also through a NAT that changes its mind, with
    two workers, so that packets come to the wrong one."""
    proxy = t.proxy(workers=2)
    origin = targets.HttpsOrigin(t)
    url = f"https://localhost:{origin.port}/size/5000000"
    wanted = b"".join(targets.pattern(5000000))
    for flag, name in VERSIONS:
        same(Probe(t, proxy, "get", url, flag).out == wanted, True, f"{name}: the page")
    nat = Nat(t, proxy.port)
    nat.rebind_each = 15
    page = Probe(t, proxy, "get", url, "--http3", port=nat.port)
    same((page.status, page.out == wanted, page.err), (0, True, ""), "the page through a NAT")
    check(nat.bindings > 2, f"{nat.bindings} bindings")
