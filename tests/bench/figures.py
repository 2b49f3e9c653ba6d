"""What the benchmark measures: how each figure is taken and which rows of the table come of it."""

import time

import probe
import subjects

GIB = 1 << 30
MIB = 1 << 20
SETTLE_SECONDS = 0.3  # for freed memory and closing sockets
# A tunnel's upload stays under 1 GiB: h2o resets one that is longer (its limit-request-body).
UPLOAD_MAX = 1000 * MIB


class Scale:
    """How much of everything a run moves."""

    def __init__(self, size_mib, quick):
        self.bulk = size_mib * MIB
        self.tunnels = 500 if quick else 20000
        self.handshakes = 50 if quick else 2000
        self.round_trips = 200 if quick else 5000
        self.idle_connections = 10 if quick else 1000
        self.idle_tunnels = 10
        self.datagram_seconds = 1 if quick else 5
        # Of the highest rate of datagrams: where to begin, how often to double, how often to halve what is left.
        self.peak_search = (1000, 1, 0) if quick else (40000, 8, 4)
        self.traced = min(self.bulk, 64 * MIB)
        self.callgrind = (2 * MIB, 6 * MIB) if quick else (8 * MIB, 40 * MIB)


def protocol_for(subject, protocol):
    """The relay has but one way; no way gives None."""
    if subject.protocols == ("direct",):
        return "direct"
    return protocol if protocol in subject.protocols else None


def timed(bench, subject, mode, protocol, role, **options):
    """Runs the client and gives its result with the subject's CPU seconds and what share of a CPU it kept busy."""
    with subjects.Client(bench, subject, mode, protocol, role, **options) as client:
        client.read()
        before = probe.cpu_times(subject.pid)
        result = client.finish()
        result["cpu_seconds"] = probe.cpu_seconds_since(subject.pid, before)
        if result["cpu_seconds"] <= 0:
            raise subjects.Failure("the subject used no CPU time: not the process that did the work, or it died")
        result["busy"] = result["cpu_seconds"] / result["seconds"]
        return result


class Bulk:
    """A transfer through one tunnel or several."""

    def __init__(self, name, mode, protocol, tunnels):
        self.name, self.mode, self.protocol, self.tunnels = name, mode, protocol, tunnels
        self.role = "source" if mode == "down" else "sink"

    rows = (("CPU", "s/GiB", "less"), ("throughput", "Gbit/s", "more"), ("CPU busy", "%", ""))

    def options(self, size, protocol):
        connections = 1 if protocol == "h2" else self.tunnels
        return {"tunnels": self.tunnels, "connections": connections, "size": size // self.tunnels}

    def measure(self, bench, subject, scale):
        protocol = protocol_for(subject, self.protocol)
        size = min(scale.bulk, UPLOAD_MAX) if self.mode == "up" else scale.bulk
        result = timed(bench, subject, self.mode, protocol, self.role, **self.options(size, protocol))
        return {"CPU": result["cpu_seconds"] / (result["bytes"] / GIB),
                "throughput": result["bytes"] * 8 / result["seconds"] / 1e9,
                "CPU busy": 100 * result["busy"]}


class Churn:
    """Tunnels in a warm connection, or whole connections with one."""

    def __init__(self, name, mode, protocol, concurrency):
        self.name, self.mode, self.protocol, self.concurrency = name, mode, protocol, concurrency

    rows = (("CPU each", "us", "less"), ("rate", "1/s", "more"), ("CONNECT p50", "us", "less"),
            ("CONNECT p99", "us", "less"), ("CPU busy", "%", ""))

    def measure(self, bench, subject, scale):
        protocol = protocol_for(subject, self.protocol)
        # The relay has nothing but connections.
        mode = "handshakes" if protocol == "direct" else self.mode
        count = scale.tunnels if mode == "tunnels" else scale.handshakes
        result = timed(bench, subject, mode, protocol, "echo", count=count, concurrency=self.concurrency)
        if result["unclean"]:
            raise subjects.Failure(f"{result['unclean']} of {count} connections were reset instead of closed")
        return {"CPU each": result["cpu_seconds"] / count * 1e6, "rate": count / result["seconds"],
                "CONNECT p50": result["p50_us"], "CONNECT p99": result["p99_us"], "CPU busy": 100 * result["busy"]}


class Latency:
    """Echoes through an open tunnel, one at a time."""

    def __init__(self, name, protocol, size):
        self.name, self.protocol, self.size = name, protocol, size

    rows = (("round trip p50", "us", "less"), ("round trip p99", "us", "less"), ("CPU each", "us", "less"))

    def measure(self, bench, subject, scale):
        result = timed(bench, subject, "latency", protocol_for(subject, self.protocol), "echo", size=self.size,
                       count=scale.round_trips)
        return {"round trip p50": result["p50_us"], "round trip p99": result["p99_us"],
                "CPU each": result["cpu_seconds"] / scale.round_trips * 1e6}


class Idle:
    """Memory for connections and tunnels that do nothing, of a process that has done nothing else."""

    fresh = True  # the subject is started anew for it

    def __init__(self, name, protocol):
        self.name, self.protocol = name, protocol

    @property
    def rows(self):
        if self.protocol == "h2":
            return (("connection", "KiB", "less"), ("tunnel", "KiB", "less"))
        return (("connection and tunnel", "KiB", "less"),)

    def measure(self, bench, subject, scale):
        protocol = protocol_for(subject, self.protocol)
        connections = scale.idle_connections
        tunnels = scale.idle_tunnels if protocol == "h2" else 1
        # What is set up once, at the first connection, is not what a connection costs.
        timed(bench, subject, "handshakes", protocol, "echo", count=2, concurrency=1)
        time.sleep(SETTLE_SECONDS)
        memory = [probe.resident_kib(subject.pid)]
        with subjects.Client(bench, subject, "idle", protocol, "echo", connections=connections,
                             tunnels=tunnels) as client:
            for _ in range(2):
                client.read()
                time.sleep(SETTLE_SECONDS)
                memory.append(probe.resident_kib(subject.pid))
                if len(memory) < 3:
                    client.go()
            client.finish()
        if self.protocol == "h2" and protocol == "h2":
            return {"connection": (memory[1] - memory[0]) / connections,
                    "tunnel": (memory[2] - memory[1]) / (connections * tunnels)}
        name = "connection and tunnel" if self.protocol != "h2" else "tunnel"
        return {name: (memory[2] - memory[0]) / connections}


class EngineBulk:
    """A transfer over HTTP/3 through one tunnel, by the library's client."""

    proxies_only = True

    def __init__(self, name, mode):
        self.name, self.mode = name, mode

    rows = Bulk.rows

    def measure(self, bench, subject, scale):
        result = timed(bench, subject, self.mode, "h3", "echo", program="bench_engine",
                       size=min(scale.bulk, UPLOAD_MAX))
        return {"CPU": result["cpu_seconds"] / (result["bytes"] / GIB),
                "throughput": result["bytes"] * 8 / result["seconds"] / 1e9,
                "CPU busy": 100 * result["busy"]}


class Datagrams:
    """Datagrams of 1,150 bytes through CONNECT-UDP, so many a second."""

    proxies_only = True

    def __init__(self, name, mode, protocol, rate):
        self.name, self.mode, self.protocol, self.rate = name, mode, protocol, rate

    rows = (("CPU each", "us", "less"), ("CPU", "s/GiB", "less"), ("arrived", "1/s", "more"), ("lost", "%", "less"),
            ("CPU busy", "%", ""))

    def measure(self, bench, subject, scale):
        result = timed(bench, subject, self.mode, self.protocol, "echo", program="bench_engine", rate=self.rate,
                       count=self.rate * scale.datagram_seconds)
        if result["received"] == 0:
            raise subjects.Failure("no datagram arrived")
        return {"CPU each": result["cpu_seconds"] / result["received"] * 1e6,
                "CPU": result["cpu_seconds"] / (result["bytes"] / GIB),
                "arrived": result["received"] / result["seconds"],
                "lost": 100 - 100 * result["received"] / result["sent"], "CPU busy": 100 * result["busy"]}


class DatagramPeak:
    """The highest rate at which less than 1 % is lost, and what a datagram costs there."""

    proxies_only = True
    rows = (("arrived", "1/s", "more"), ("CPU each", "us", "less"), ("CPU", "s/GiB", "less"), ("CPU busy", "%", ""))
    seconds = 2  # its congestion window opens in the first milliseconds, and that loses some
    attempts = 3

    def __init__(self, name, mode, protocol):
        self.name, self.mode, self.protocol = name, mode, protocol

    def attempt(self, bench, subject, rate):
        """A machine that stalls for a moment loses datagrams, too: three times must be enough to tell."""
        for _ in range(self.attempts):
            result = timed(bench, subject, self.mode, self.protocol, "echo", program="bench_engine", rate=rate,
                           count=self.seconds * rate)
            # For what was lost the client waits a while at the end; longer, and it didn't reach the rate itself.
            if result["received"] >= 0.99 * result["sent"] and result["seconds"] < self.seconds + 0.4:
                return result
        return None

    def measure(self, bench, subject, scale):
        high, doublings, bisections = scale.peak_search
        best, low = None, 0
        while doublings > 0 and (result := self.attempt(bench, subject, high)) is not None:
            best, low, high, doublings = result, high, 2 * high, doublings - 1
        for _ in range(bisections):
            rate = (low + high) // 2
            result = self.attempt(bench, subject, rate)
            if result is not None:
                best, low = result, rate
            else:
                high = rate
        if best is None:
            raise subjects.Failure(f"more than 1 % was lost at {high} a second")
        return {"arrived": best["received"] / best["seconds"],
                "CPU each": best["cpu_seconds"] / best["received"] * 1e6,
                "CPU": best["cpu_seconds"] / (best["bytes"] / GIB), "CPU busy": 100 * best["busy"]}


class EngineHandshakes:
    """Connections over HTTP/3 with a tunnel each, one after the other. The client offers X25519MLKEM768
    first: who has it pays for it."""

    proxies_only = True
    rows = (("CPU each", "us", "less"), ("rate", "1/s", "more"))

    def __init__(self, name):
        self.name = name

    def measure(self, bench, subject, scale):
        count = min(scale.handshakes, 500)
        result = timed(bench, subject, "handshakes", "h3", "echo", program="bench_engine", count=count)
        return {"CPU each": result["cpu_seconds"] / count * 1e6, "rate": count / result["seconds"]}


class EngineIdle:
    """Memory of a connection over HTTP/3 with a tunnel."""

    fresh = True
    proxies_only = True
    rows = (("connection and tunnel", "KiB", "less"),)

    def __init__(self, name):
        self.name = name

    def measure(self, bench, subject, scale):
        count = min(scale.idle_connections, 500)
        with subjects.Client(bench, subject, "handshakes", "h3", "echo", program="bench_engine", count=2) as client:
            client.read()
            client.finish()
        time.sleep(SETTLE_SECONDS)
        before = probe.resident_kib(subject.pid)
        with subjects.Client(bench, subject, "idle", "h3", "echo", program="bench_engine", count=count) as client:
            client.read()
            client.go()
            client.read()
            time.sleep(SETTLE_SECONDS)
            memory = probe.resident_kib(subject.pid)
            client.finish()
        return {"connection and tunnel": (memory - before) / count}


class DatagramCalls:
    """System calls a datagram, under strace."""

    proxies_only = True
    rows = (("system calls", "1/datagram", "less"),)

    def __init__(self, name, datagrams):
        self.name, self.datagrams = name, datagrams

    def measure(self, bench, subject, scale):
        load = self.datagrams
        with subjects.Client(bench, subject, load.mode, load.protocol, "echo", program="bench_engine", rate=load.rate,
                             count=load.rate * scale.datagram_seconds) as client:
            client.read()
            trace = probe.SystemCalls(subject.pid, bench.folder)
            try:
                result = client.finish()
            finally:
                counts = trace.stop()
        return {"system calls": sum(counts.values()) / result["received"], "detail": counts}


class SystemCalls:
    """How many system calls a MiB takes; apart, because strace slows what it counts."""

    def __init__(self, name, bulk):
        self.name, self.bulk = name, bulk

    rows = (("system calls", "1/MiB", "less"),)

    def measure(self, bench, subject, scale):
        protocol = protocol_for(subject, self.bulk.protocol)
        with subjects.Client(bench, subject, self.bulk.mode, protocol, self.bulk.role,
                             **self.bulk.options(scale.traced, protocol)) as client:
            client.read()
            trace = probe.SystemCalls(subject.pid, bench.folder)
            try:
                result = client.finish()
            finally:
                counts = trace.stop()
        return {"system calls": sum(counts.values()) / (result["bytes"] / MIB), "detail": counts}


class Instructions:
    """Instructions per byte: two transfers under callgrind that differ in size alone."""

    restarts = True  # starts and stops the subject itself

    def __init__(self, name, bulk):
        self.name, self.bulk = name, bulk

    rows = (("instructions", "1/byte", "less"),)

    def count(self, bench, subject, size):
        subject.callgrind_file = f"{bench.folder}/callgrind-{subject.name}-{self.bulk.mode}-{size}.%p"
        protocol = protocol_for(subject, self.bulk.protocol)
        try:
            subject.start()
            pid = subject.pid
            with subjects.Client(bench, subject, self.bulk.mode, protocol, self.bulk.role, timeout=300,
                                 **self.bulk.options(size, protocol)) as client:
                client.read()
                client.finish()
            subject.stop()
            return probe.callgrind_total(subject.callgrind_file.replace("%p", str(pid)))
        finally:
            subject.stop()
            subject.callgrind_file = None

    def measure(self, bench, subject, scale):
        small, large = scale.callgrind
        difference = self.count(bench, subject, large) - self.count(bench, subject, small)
        return {"instructions": difference / (large - small)}


def figures(strace, callgrind):
    """All figures, in the table's order."""
    bulks = [Bulk("h2 down, 1 tunnel", "down", "h2", 1), Bulk("h2 up, 1 tunnel", "up", "h2", 1),
             Bulk("h2 down, 16 tunnels", "down", "h2", 16), Bulk("h2 up, 16 tunnels", "up", "h2", 16),
             Bulk("h1 down, 1 connection", "down", "h1", 1), Bulk("h1 up, 1 connection", "up", "h1", 1),
             Bulk("h1 down, 16 connections", "down", "h1", 16), Bulk("h1 up, 16 connections", "up", "h1", 16)]
    datagrams = [Datagrams(f"{protocol} datagrams {'up' if mode == 'udp-up' else 'down'}, {rate} a second", mode,
                           protocol, rate)
                 for protocol in ("h3", "h2") for mode in ("udp-up", "udp-down") for rate in (10000, 80000)]
    peaks = [DatagramPeak(f"{protocol} datagrams {'up' if mode == 'udp-up' else 'down'}, highest rate", mode, protocol)
             for protocol in ("h3", "h2") for mode in ("udp-up", "udp-down")]
    wanted = [*bulks, EngineBulk("h3 down, 1 tunnel", "down"), EngineBulk("h3 up, 1 tunnel", "up"), *datagrams, *peaks,
              EngineHandshakes("h3 handshake and CONNECT"), EngineIdle("h3 idle"),
              Churn("h2 tunnels, 16 at a time", "tunnels", "h2", 16),
              Churn("h2 handshake and CONNECT", "handshakes", "h2", 4),
              Churn("h1 handshake and CONNECT", "handshakes", "h1", 4),
              Latency("h2 echo of 64 bytes", "h2", 64), Latency("h1 echo of 64 bytes", "h1", 64),
              Idle("h2 idle", "h2"), Idle("h1 idle", "h1")]
    if strace:
        wanted += [SystemCalls(f"{bulk.name} (strace)", bulk) for bulk in bulks]
        wanted += [DatagramCalls(f"{load.name} (strace)", load) for load in datagrams]
    if callgrind:
        wanted += [Instructions(f"{bulk.name} (callgrind)", bulk) for bulk in bulks[:2]]
    return wanted
