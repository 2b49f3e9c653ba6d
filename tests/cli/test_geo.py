"""Where clients leave: what an origin sees is what --explain-egress said, over every version of HTTP and both families;
what operators are told of their pools; and what becomes of addresses that can't be used."""
import collections
import os
import subprocess
import sys
import xml.etree.ElementTree

from harness import mmdb, targets
from harness.context import KEY, check, same
from harness.h1 import H1, open_tunnel
from harness.h2 import H2
from harness.probe import VERSIONS, Probe
from harness.runner import limit, namespaced
from harness.udp import UdpEcho, UdpTarget, UdpTunnel

FEED = """# prefix,country,region,city,postal,geohash
127.1.0.0/28,JP,JP-13,Tokyo,,xn76c
127.1.1.1,JP,JP-27,Osaka,,xn0m7
127.1.2.1,DE,DE-BE,Berlin,,u33dc
127.1.9.1,,,,
"""
OWN = {"tokyo4": "198.51.100.1", "berlin4": "198.51.100.2", "tokyo6": "fd00:100::1", "berlin6": "fd00:100::2"}
SANITIZED = os.environ.get("MASQUE_CLI_SIZE_MIB", "1024") != "1024"


def settings(t, feed=FEED, **more):
    return {"pools": [t.write("egress.csv", feed)], **more}


def run(*command):
    subprocess.run(command, check=True, timeout=60, capture_output=True)


def seen(target):
    """By the target, of the connection that waits there."""
    connection = target.accept()
    connection.close()
    return target.peer[0]


def explained(t, proxy, place, family):
    """The address, and the line of the level."""
    done = t.run("--config", proxy.config_path, "--explain-egress", place, "--target", family)
    same((done.returncode, done.stderr), (0, ""), "--explain-egress")
    lines = dict(line.strip().split(":", 1) for line in done.stdout.split("\n") if ":" in line)
    return lines["address"].strip().split(",")[0], lines["level"].strip()


def place_field(place):
    return [("sec-ch-geohash", place)] if place else []


# --- what operators are told ----------------------------------------------------------------------


def test_explain(t):
    """Each level, and why; the file and the line that decided."""
    feed = t.write("egress.csv", FEED)
    rows = {
        "xn76c-JP": ["city: its geohash and the client's begin with the same 5", "Tokyo", f"{feed}:2"],
        "xn1-JP": ["country: the nearest pool of it", "Osaka", f"{feed}:3", "149 km"],
        "x-JP": ["country: no more than the country", f"{feed}:"],
        "u0-FR": ["default: there is no pool in FR", "no country", f"{feed}:5", "127.1.9.1\n"],
        "": ["default: the country is not known", "127.1.9.1\n"],
    }
    for place, parts in rows.items():
        done = t.run("--pools", feed, "--explain-egress", place)
        same((done.returncode, done.stderr), (0, ""), place)
        for part in parts + ["IPv6 target\n  there is no address of this family for it"]:
            check(part in done.stdout, f"{place}: no “{part}” in: {done.stdout}")
    same(t.run("--pools", feed, "--explain-egress", "xn76c-JP", "--target", "v4").stdout.count("target\n"), 1, "families")
    for arguments, part in (((feed, "--explain-egress", "xn76c-jp"), "is no place"),
                            ((feed, "--target", "v4"), "goes with --explain-egress"),
                            ((feed, "--explain-egress", "", "--target", "v5"), "expected v4 or v6")):
        done = t.run("--pools", *arguments)
        check(done.returncode == 1 and part in done.stderr, f"{arguments}: {done}")


def test_check_pools(t):
    """Every problem with file and line, not the first one alone."""
    feed = t.write("egress.csv", FEED)
    done = t.run("--pools", feed, "--check-pools")
    same((done.returncode, done.stdout), (0, "4 prefixes of 4 pools, 0 problems\n"), "what is good")
    wrong = t.write("wrong.csv", "127.1.0.0/24,JP,,Tokyo,,u33dc\n127.1.0.128/25,JP,,,\nnothing,JP\n192.0.2.0/24,DE,,,,u33d\n"
                                 "127.2.0.0/24,UK,,,,gcpv\n")
    done = t.run("--pools", wrong, "--check-pools")
    same(done.returncode, 1, "the status")
    for line in (f"{wrong}:2: the prefix overlaps another one, of {wrong}:1", f"{wrong}:3: no IP prefix",
                 f"{wrong}:1: 127.1.0.0/24: its geohash u33dc is at Europe/Berlin (DE)",
                 f"{wrong}:4: 192.0.2.0/24: this machine doesn't have it", f"{wrong}:5: 127.2.0.0/24: there is no country UK",
                 "3 prefixes of 3 pools, 5 problems"):
        check(line in done.stdout, f"no “{line}” in: {done.stdout}")


def test_publish(t):
    """What is printed is a geofeed that can be read again, without geohashes."""
    feed = t.write("egress.csv", FEED + '127.1.3.1,FR,,"Saint-Denis, ""le"" Vieux",,u09w\n')
    done = t.run("--pools", feed, "--publish-geofeed")
    lines = done.stdout.strip().split("\n")
    same((done.returncode, len(lines)), (0, 6), done.stderr)
    check("127.1.0.0/28,JP,JP-13,Tokyo," in lines, f"no Tokyo: {lines}")
    check("xn76c" not in done.stdout and "u09w" not in done.stdout, "a geohash is told")
    check('127.1.3.1/32,FR,,"Saint-Denis, ' in done.stdout, f"no quotes: {done.stdout}")
    again = t.run("--pools", t.write("again.csv", done.stdout), "--publish-geofeed")
    same(again.stdout.count("\n"), done.stdout.count("\n"), again.stderr)


def test_bad_files(t):
    """The first thing that is wrong, and where; a lenient reader goes on, and says so."""
    feed = t.write("feed.csv", "127.1.0.0/28,JP\n127.1.1.0/33,JP\n")
    rows = [({"pools": [feed]}, f"{feed}:2: no length of a prefix"),
            ({"pools": [t.write("empty.csv", "# nothing\n")]}, "geo.pools[0]”: there is no prefix in it"),
            ({"pools": ["/nowhere.csv"]}, "geo.pools[0]”: can't read /nowhere.csv"),
            ({"pools": []}, "which of our addresses"),
            ({"precision": "5"}, "which of our addresses"),
            ({"pools": [feed], "precision": "13"}, "geo.precision"),
            ({"pools": [feed], "city-precision": "2"}, "geo.city-precision"),
            ({"pools": [feed], "coarse": "city"}, "none of off, country and timezone"),
            ({"pools": [feed], "port-range": "9-8"}, "no range of ports"),
            ({"pools": [feed], "port-range": "1-65536"}, "no range of ports"),
            ({"pools": [feed], "default-pool": {"country": "JPN"}}, "no country; expected two capitals"),
            ({"pools": [feed], "lenient": "true", "cities": "/nowhere"}, "geo.cities”: can't read /nowhere"),
            ({"pools": [feed], "lenient": "true", "client-locations": t.write("x.mmdb", "x")}, "is no MaxMind database"),
            ({"pools": [feed], "lenient": "true", "client-locations": t.write("x.csv", "x")}, "geo.client-locations”")]
    for geo, part in rows:
        done = t.run("--config", t.write_settings(t.settings(geo=geo)), "--test-config")
        check(done.returncode == 1 and part in done.stderr, f"{geo}: no “{part}” in {done.stderr!r}")
    same(t.run("--pools", feed, "--publish-geofeed").returncode, 1, "without --lenient")
    same(t.run("--pools", feed, "--lenient", "--publish-geofeed").stdout.count("127.1.0.0/28"), 1, "with --lenient")
    proxy = t.proxy(geo={"pools": [feed], "lenient": "true"})
    check(f"{feed}:2: no length of a prefix" in proxy.log() and "passed over" in proxy.log(), proxy.log())


def test_map(t):
    """The example draws what its file says; every city of it has a client."""
    picture = t.folder / "map.svg"
    run(sys.executable, "examples/egress-map/draw.py", "examples/egress-map/egress.csv", str(picture), "--masqueproxyd",
        t.program)
    drawn = "".join(xml.etree.ElementTree.parse(picture).getroot().itertext())
    for city in ("Tokyo", "Osaka", "Berlin", "Cape Town", "no pool in the country"):
        check(city in drawn, f"no {city} in the map")


# --- what origins see -------------------------------------------------------------------------------


def give_addresses():
    device = "egress0"
    try:
        run("ip", "link", "add", device, "type", "dummy")
        run("ip", "link", "set", device, "up")
    except subprocess.CalledProcessError:
        device = "lo"  # this kernel has no dummy interfaces
    for address in (*OWN.values(), "203.0.113.9", "fd00:9::9"):
        run("ip", "addr", "add", address + ("/128" if ":" in address else "/32"), "dev", device,
            *(["nodad"] if ":" in address else []))


@namespaced
def test_origin_sees_what_was_explained(t):
    """Real addresses on an interface; TCP and UDP, IPv4 and IPv6, HTTP/1.1, HTTP/2 and HTTP/3."""
    give_addresses()
    feed = (f"{OWN['tokyo4']},JP,,Tokyo,,xn76c\n{OWN['berlin4']},DE,,Berlin,,u33dc\n"
            f"{OWN['tokyo6']},JP,,Tokyo,,xn76c\n{OWN['berlin6']},DE,,Berlin,,u33dc\n")
    proxy = t.proxy(geo=settings(t, feed), targets={"allow": ["203.0.113.9", "fd00:9::9"]})
    for address, family in (("203.0.113.9", "v4"), ("fd00:9::9", "v6")):
        origin, datagrams = targets.HttpsOrigin(t, address), UdpEcho(t, address)
        udp = origin.authority.rsplit(":", 1)[0] + f":{datagrams.port}"
        for place, city in (("xn76c-JP", "tokyo"), ("u33d-DE", "berlin"), ("u-DE", "berlin")):
            wanted, _ = explained(t, proxy, place, family)
            same(wanted, OWN[city + family[1]], f"explained for {place}")
            for flag, name in VERSIONS:
                page = Probe(t, proxy, "get", f"https://{origin.authority}/cdn-cgi/trace", flag, "--geohash", place,
                             "--insecure")  # its certificate has other names
                check(f"ip={wanted}\n" in page.out.decode(), f"TCP over {name} from {place}: {page.out} {page.err}")
                datagrams.peer = None
                Probe(t, proxy, "udp", udp, flag, "--geohash", place, given=b"hello")
                same(datagrams.peer and datagrams.peer[0], wanted, f"UDP over {name} from {place}")


def test_levels(t):
    """City, nearest of the country, default; a place of every header."""
    proxy, target = t.proxy(geo=settings(t)), targets.Listener(t)
    for place, wanted in (("xn0m7-JP", "127.1.1.1"), ("xn0-JP", "127.1.1.1"), ("u-DE", "127.1.2.1"),
                          ("u0-FR", "127.1.9.1"), (None, "127.1.9.1")):
        open_tunnel(t, proxy, target.authority, fields=place_field(place))
        same(seen(target), wanted, f"the address for {place}")
    connection = H2(t, proxy)
    for place, wanted in (("xn0m7-JP", "127.1.1.1"), ("u-DE", "127.1.2.1")):
        connection.open_tunnel(target.authority, fields=place_field(place))
        same(seen(target), wanted, f"another place on one connection: {place}")
    for fields, what in (([("sec-ch-geohash", "tokyo")], "no place"),
                         ([("sec-ch-geohash", "xn7-JP")] * 2, "two places")):
        head = H1(t, proxy).connect(target.authority, fields=fields)
        same(head.status, 400, what)
        check("geohash" in head.get("proxy-status"), f"{what}: {head.text}")
    check("xn76c" not in proxy.log() and "xn0m7" not in proxy.log(), "a place is in the log")


@limit(400)
def test_clients_of_one_city(t):
    """Spread evenly over its addresses; each connection keeps its own."""
    proxy, target = t.proxy(geo=settings(t), limits={"requests-burst": 1000000, "requests-rate": 1000000}), targets.Listener(t)
    count = 1000 if SANITIZED else 10000
    counts = collections.Counter()
    for _ in range(count):
        client = H1(t, proxy)
        head = client.connect(target.authority, fields=place_field("xn76c-JP"))
        check(head.status == 200, f"a client after {counts}: {head.text}")
        counts[seen(target)] += 1
        client.close()
    same(len(counts), 16, "addresses")
    expected = count / 16
    square = sum((n - expected) ** 2 / expected for n in counts.values())
    check(square < 45, f"χ² of 15 degrees of freedom is {square:.1f}: {counts}")  # 1 in 13,000
    connection = H2(t, proxy)
    addresses = set()
    for _ in range(20):
        connection.open_tunnel(target.authority, fields=place_field("xn76c-JP"))
        addresses.add(seen(target))
    same(len(addresses), 1, "addresses of one connection")


# --- addresses that can't be used -------------------------------------------------------------------


def test_missing_address(t):
    """One that this machine doesn't have is passed over; where there is no other, 503."""
    feed = "192.0.2.7,JP,,Tokyo,,xn76c\n127.1.0.1,JP,,Tokyo,,xn76c\n192.0.2.8,DE\n"
    proxy, target = t.proxy(geo=settings(t, feed)), targets.Listener(t)
    for _ in range(10):
        open_tunnel(t, proxy, target.authority, fields=place_field("xn76c-JP"))
        same(seen(target), "127.1.0.1", "the address")
    other = t.proxy(geo=settings(t, "192.0.2.8,DE\n"))
    for what in ("at first", "while it rests"):
        head = H1(t, other).connect(target.authority, fields=place_field("u3-DE"))
        same((head.status, "egress" in head.get("proxy-status")), (503, True), what)
    udp = UdpTarget(t)
    same(UdpTunnel(t, other, udp.host, udp.port).status, 503, "UDP")
    check(not target.was_called(), "the target was called all the same")


@namespaced
def test_freebind(t):
    """A prefix that is routed here, though no interface has its addresses: AnyIP."""
    run("ip", "-6", "route", "add", "local", "fd00:5::/64", "dev", "lo")
    run("ip", "route", "add", "local", "198.51.100.0/24", "dev", "lo")
    feed = "fd00:5::/64,JP,,,\n198.51.100.0/24,JP,,,\n"
    proxy = t.proxy(geo=settings(t, feed, freebind="true"), targets={"allow": ["::1", "127.0.0.1"]})
    for target, network in ((targets.Listener(t, "::1"), "fd00:5:"), (targets.Listener(t), "198.51.100.")):
        addresses = set()
        for _ in range(8):
            open_tunnel(t, proxy, target.authority)
            addresses.add(seen(target))
        check(len(addresses) > 4 and all(a.startswith(network) for a in addresses), f"addresses: {addresses}")
    without = t.proxy(geo=settings(t, "fd00:5::/64,JP,,,\n"), targets={"allow": ["::1"]})
    same(H1(t, without).connect(targets.Listener(t, "::1").authority).status, 503, "without freebind")
    done = t.run("--config", proxy.config_path, "--check-pools")
    check(done.returncode == 0 and "are they routed to this machine?" in done.stdout, done.stdout)


@namespaced
def test_port_range(t):
    """Ports of a slice alone, whether the kernel chooses or we do; one more connection to the same target has none, one to
    another target has; so have datagrams."""
    for first in (23456, 50000):  # within the system's range, and not
        feed = "127.1.0.1,JP\n"
        proxy = t.proxy(geo=settings(t, feed, **{"port-range": f"{first}-{first + 2}"}))
        target, other, udp = targets.Listener(t), targets.Listener(t), UdpTarget(t)
        wanted, ports = {first, first + 1, first + 2}, set()
        for _ in range(3):
            open_tunnel(t, proxy, target.authority)
            t.keep(target.accept())
            ports.add(target.peer[1])
        same(ports, wanted, "the ports")
        open_tunnel(t, proxy, other.authority)
        other.accept()
        check(other.peer[1] in wanted, f"the port to another target: {other.peer}")
        tunnel = UdpTunnel(t, proxy, udp.host, udp.port)
        tunnel.send(b"hello")
        udp.recv()
        check(udp.peer[1] in wanted, f"the port of datagrams: {udp.peer}")
        same(H1(t, proxy).connect(target.authority).status, 503, "a fourth one")


# --- reloads, and clients that don't say where they are -------------------------------------------------


def test_reload(t):
    """Pools are renewed, tunnels live on; a file that can't be used keeps those before."""
    proxy, target = t.proxy(geo=settings(t, "127.1.0.1,JP\n")), targets.Target(t)
    caller = targets.Listener(t)
    connection = H2(t, proxy)
    tunnel = connection.open_tunnel(target.authority)
    connection.open_tunnel(caller.authority)
    same(seen(caller), "127.1.0.1", "before")
    t.write("egress.csv", "127.1.0.1,JP\n127.1.0.0/24,JP\n")
    event, line = proxy.reload()
    same((event, "overlaps" in line), ("reload-failed", True), line)
    open_tunnel(t, proxy, caller.authority)
    same(seen(caller), "127.1.0.1", "after a bad file")
    t.write("egress.csv", "127.1.7.7,JP\n")
    same(proxy.reload()[0], "reload", "a good file")
    open_tunnel(t, proxy, caller.authority)
    same(seen(caller), "127.1.7.7", "a new connection")
    same(connection.connect(caller.authority).await_answer(), 200, "a new tunnel of an old connection")
    seen(caller)
    same(tunnel.exchange(b"live"), b"live", "the tunnel")


def test_client_locations(t):
    """From a MaxMind database, or a geofeed; the header wins."""
    target = targets.Listener(t)
    database = mmdb.database({"127.0.0.0/8": mmdb.place("JP", 34.69, 135.50), "127.5.0.0/16": mmdb.place("DE")})
    path = t.folder / "city.mmdb"
    path.write_bytes(database)
    feed = t.write("clients.csv", "127.0.0.0/16,JP,,Osaka,,xn0m7\n127.5.0.0/16,DE\n")
    for locations in (str(path), feed):
        proxy = t.proxy(geo=settings(t, **{"client-locations": locations}))
        for source, place, wanted in (("127.0.0.1", None, "127.1.1.1"), ("127.5.0.1", None, "127.1.2.1"),
                                      ("127.5.0.1", "xn0m7-JP", "127.1.1.1")):
            open_tunnel(t, proxy, target.authority, source=source, fields=place_field(place))
            same(seen(target), wanted, f"{locations}: from {source} with {place}")
        # Replaced in place, and cut: what runs has its own copy.
        if locations.endswith(".mmdb"):
            path.write_bytes(b"")
            open_tunnel(t, proxy, target.authority)
            same(seen(target), "127.1.1.1", "the database is gone")
            event, line = proxy.reload()
            same((event, "no MaxMind database" in line), ("reload-failed", True), line)


# --- as the documentation has it ------------------------------------------------------------------------


class TraceOrigin:
    """masqueproxy trace-origin, on a free port of each address."""

    def __init__(self, t, geofeed, *addresses):
        program = os.path.join(os.path.dirname(t.program), "masqueproxy")
        command = [program, "trace-origin", "--certificate", t.pki.certificate, "--private-key", t.pki.private_key,
                   "--geofeed", geofeed]
        for address in addresses:
            command += ["--listen", f"{address}:{t.free_port(address.strip('[]'))}"]
        self._process = subprocess.Popen(command, stdout=subprocess.PIPE, text=True, env=t.environment(), cwd=t.folder)
        t.defer(self._end)
        self.urls = [self._process.stdout.readline().strip() for _ in addresses]

    def _end(self):
        self._process.terminate()
        self._process.wait(20)
        self._process.stdout.close()


def curl(t, proxy, *arguments):
    """The documentation's command, with the tests' names and CA; the trace's lines."""
    command = ["curl", "-sS", "--proxy", f"https://localhost:{proxy.port}", "--proxy-header",
               f"Proxy-Authorization: Preshared {KEY}", "--proxy-cacert", t.pki.ca, "--cacert", t.pki.ca, *arguments]
    done = subprocess.run(command, capture_output=True, text=True, timeout=30, env=t.environment())
    check(done.returncode == 0, f"curl: {done.stderr}")
    return dict(line.split("=", 1) for line in done.stdout.strip().split("\n"))


@namespaced
def test_documentation(t):
    """Get started, 1 to 3: through the proxy; its address, not ours; the place that was asked for. Then of IPv6."""
    run("ip", "-6", "route", "add", "local", "fd00:5::/64", "dev", "lo")
    feed = FEED + "fd00:5::/64,JP,,Tokyo,,xn76c\n"
    proxy = t.proxy(geo=settings(t, feed, freebind="true"))
    published = t.write("published.csv", t.run("--pools", str(t.folder / "egress.csv"), "--publish-geofeed").stdout)
    origin = TraceOrigin(t, published, "127.0.0.1", "[::1]")
    trace = curl(t, proxy, origin.urls[0])
    same((trace["ip"], trace["loc"]), ("127.1.9.1", "XX"), "a client of an unknown place")
    for place, country, network in (("xn76c-JP", "JP", "127.1.0."), ("u33d-DE", "DE", "127.1.2.1")):
        trace = curl(t, proxy, "--proxy-header", f"sec-ch-geohash: {place}", origin.urls[0])
        same((trace["loc"], trace["ip"].startswith(network), trace["visit_scheme"], trace["http"], trace["tls"]),
             (country, True, "https", "http/1.1", "TLSv1.3"), f"the trace for {place}: {trace}")
        check({"fl", "h", "ts", "uag", "colo"} <= set(trace), f"what is missing: {trace}")
    trace = curl(t, proxy, "--proxy-header", "sec-ch-geohash: xn76c-JP", origin.urls[1], "--insecure")
    same((trace["loc"], trace["ip"].startswith("fd00:5:")), ("JP", True), f"IPv6: {trace}")


def test_trace_origin_refuses(t):
    """What can't be served is said before it serves."""
    program = os.path.join(os.path.dirname(t.program), "masqueproxy")
    good = ["--listen", f"127.0.0.1:{t.free_port()}", "--certificate", t.pki.certificate, "--private-key", t.pki.private_key]
    rows = [([], "mandatory"), (good[:4], "mandatory"), (good + ["x"], "nothing but flags"),
            (good + ["--geofeed", "/nowhere"], "can't read /nowhere"),
            (good + ["--geofeed", t.write("bad.csv", "127.0.0.1,JP\nx\n")], "bad.csv:2: no IP prefix"),
            (good[:3] + [t.pki.ca] + good[4:], "can't use the certificate"), (good + ["--listen", "x"], "x"),
            (good + ["--what"], "unknown flag"), (["--listen"], "needs a value")]
    for arguments, part in rows:
        done = subprocess.run([program, "trace-origin", *arguments], capture_output=True, text=True, timeout=30)
        check(done.returncode == 2 and part in done.stderr, f"{arguments}: {done}")
