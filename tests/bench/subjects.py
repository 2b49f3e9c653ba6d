"""The processes of a benchmark: target, subjects (our proxy, peers, the floor relay), load client.

All listen on 127.0.0.1. Each is pinned to a CPU and ended by its own process id.
"""

import json
import os
import resource
import signal
import socket
import subprocess

import probe

READY_SECONDS = 20
CALLGRIND = ["valgrind", "--tool=callgrind", "--quiet"]


class Failure(Exception):
    """A measurement that did not come about, with its reason."""


def pinned(cpu):
    """For Popen's preexec_fn: on that CPU, and with as many descriptors as the machine allows."""
    def prepare():
        os.sched_setaffinity(0, {cpu})
        hard = resource.getrlimit(resource.RLIMIT_NOFILE)[1]
        resource.setrlimit(resource.RLIMIT_NOFILE, (hard, hard))
    return prepare


def free_port():
    """A port of 127.0.0.1 that was free a moment ago, for TCP and UDP."""
    with socket.socket() as tcp:
        tcp.bind(("127.0.0.1", 0))
        return tcp.getsockname()[1]


class Bench:
    """What all subjects of a run share: folder, CPUs, tools, certificate, key."""

    def __init__(self, folder, tools):
        cpus = sorted(os.sched_getaffinity(0))
        self.folder = folder
        self.tools = tools
        self.proxy_cpu, self.load_cpu = cpus[0], cpus[-1]
        self.certificate = os.path.join(folder, "certificate.pem")
        self.private_key = os.path.join(folder, "key.pem")
        self.preshared_key = os.urandom(24).hex()
        subprocess.run(["openssl", "req", "-x509", "-newkey", "ec", "-pkeyopt", "ec_paramgen_curve:P-256", "-nodes",
                        "-keyout", self.private_key, "-out", self.certificate, "-days", "2", "-subj", "/CN=localhost"],
                       check=True, stdout=subprocess.DEVNULL, stderr=subprocess.DEVNULL)
        self.target = self.start_tool(["bench_target"], self.load_cpu)
        self.targets = {}
        for _ in range(3):
            role, ports = self.target.stdout.readline().split()
            self.targets[role] = ports

    def start_tool(self, command, cpu):
        """One of our own programs, whose standard output the caller reads."""
        return subprocess.Popen([os.path.join(self.tools, command[0]), *command[1:]], stdin=subprocess.DEVNULL,
                                stdout=subprocess.PIPE, text=True, preexec_fn=pinned(cpu))

    def stop(self):
        probe.stop(self.target)


class Client:
    """A run of bench_client, or of bench_engine: stages as they come, then the result."""

    def __init__(self, bench, subject, mode, protocol, role, timeout=60, program="bench_client", **options):
        port = subject.port
        if protocol == "direct":
            port = subject.ports[role]
        command = [os.path.join(bench.tools, program), mode, "--hold", "--protocol", protocol,
                   "--port", str(port), "--targets", bench.targets[role], "--timeout", str(timeout)]
        for name, value in options.items():
            command += [f"--{name}", str(value)]
        environment = dict(os.environ, MASQUE_PRESHARED_KEY=bench.preshared_key)
        self.process = subprocess.Popen(command, stdin=subprocess.PIPE, stdout=subprocess.PIPE, stderr=subprocess.PIPE,
                                        text=True, env=environment, preexec_fn=pinned(bench.load_cpu))

    def read(self):
        """The next JSON object; bounded in time because the client bounds its own."""
        line = self.process.stdout.readline()
        if not line:
            raise Failure(self.process.stderr.read().strip() or f"client ended with {self.process.wait()}")
        return json.loads(line)

    def go(self):
        """Lets the client leave the stage it waits in."""
        self.process.stdin.write("go\n")
        self.process.stdin.flush()

    def finish(self):
        """The result; the client has ended then, and well."""
        self.go()
        result = self.read()
        if self.process.wait(10) != 0:
            raise Failure(f"client ended with {self.process.returncode}")
        return result

    def __enter__(self):
        return self

    def __exit__(self, *unused):
        probe.stop(self.process)
        for pipe in (self.process.stdin, self.process.stdout, self.process.stderr):
            try:
                pipe.close()
            except OSError:
                pass


class Subject:
    """Something to measure. start() and stop() may be called again and again."""

    protocols = ("h2", "h1")

    def __init__(self, bench, name):
        self.bench = bench
        self.name = name
        self.pid = None
        self.port = None
        self.callgrind_file = None  # set: the next start is under callgrind, writing there

    def alive(self):
        return self.pid is not None and os.path.exists(f"/proc/{self.pid}")

    def log_path(self):
        return os.path.join(self.bench.folder, f"{self.name}.log")

    def callgrind(self):
        return [] if self.callgrind_file is None else [*CALLGRIND, f"--callgrind-out-file={self.callgrind_file}"]


class Ours(Subject):
    """masqueproxyd, this tree's or an earlier one."""

    def __init__(self, bench, name, program, limits):
        super().__init__(bench, name)
        self.program = program
        self.limits = limits
        self.process = None

    def arguments(self):
        """How masqueproxyd is told what to do: by flags, or by a file when limits are to be raised."""
        if self.limits is None:
            return ["--listen", f"127.0.0.1:{self.port}", "--certificate", self.bench.certificate,
                    "--private-key", self.bench.private_key, "--allow-target", "127.0.0.0/8", "--workers", "1"]
        key_file = os.path.join(self.bench.folder, f"{self.name}-psk.txt")
        with open(key_file, "w", encoding="ascii", opener=lambda path, flags: os.open(path, flags, 0o600)) as file:
            file.write(self.bench.preshared_key + "\n")
        configuration = {
            "listen": [{"address": f"127.0.0.1:{self.port}"}],
            "tls": {"certificate": self.bench.certificate, "private-key": self.bench.private_key},
            "auth": {"preshared": [{"name": "bench", "key-file": key_file}]},
            "targets": {"allow": ["127.0.0.0/8"]},
            "limits": self.limits,
            "workers": 1,
        }
        path = os.path.join(self.bench.folder, f"{self.name}.yaml")
        with open(path, "w", encoding="ascii") as file:
            json.dump(configuration, file, indent=1)  # JSON is YAML
        return ["--config", path]

    def start(self):
        self.port = free_port()
        environment = dict(os.environ)
        if self.limits is None:
            environment["MASQUE_PRESHARED_KEY"] = self.bench.preshared_key
        with open(self.log_path(), "wb") as log:
            self.process = subprocess.Popen([*self.callgrind(), self.program, *self.arguments()], env=environment,
                                            stdin=subprocess.DEVNULL, stdout=log, stderr=log,
                                            preexec_fn=pinned(self.bench.proxy_cpu))
        self.pid = self.process.pid
        probe.wait_for(lambda: "ready:" in probe.contents(self.log_path()) or self.process.poll() is not None,
                       READY_SECONDS)
        if self.process.poll() is not None or "ready:" not in probe.contents(self.log_path()):
            self.stop()
            raise Failure("masqueproxyd did not become ready: " + probe.contents(self.log_path())[-500:])

    def alive(self):
        return self.process is not None and self.process.poll() is None

    def stop(self):
        if self.process is not None:
            probe.stop(self.process, 45)
        self.pid = None


class Peer(Subject):
    """h2o, as the script that knows it starts it."""

    def __init__(self, bench, name, folder, script):
        super().__init__(bench, name)
        self.folder = folder
        self.script = script

    def program_folder(self):
        """The peer's own folder, or one that puts callgrind before its program."""
        if self.callgrind_file is None:
            return self.folder
        wrapper = os.path.join(self.bench.folder, f"{self.name}-callgrind")
        os.makedirs(wrapper, exist_ok=True)
        share = os.path.join(wrapper, "share")
        if not os.path.islink(share):
            os.symlink(os.path.join(self.folder, "share"), share)
        program = os.path.join(wrapper, "h2o")
        with open(program, "w", encoding="ascii") as file:
            words = " ".join(f"'{word}'" for word in [*self.callgrind(), os.path.join(self.folder, "h2o")])
            file.write(f"#!/bin/sh\nexec {words} \"$@\"\n")
        os.chmod(program, 0o755)
        return wrapper

    def start(self):
        self.port = free_port()
        out = subprocess.run(["sh", self.script, "run", self.program_folder(), self.bench.certificate,
                              self.bench.private_key, str(self.port), self.bench.folder], stdin=subprocess.DEVNULL,
                             stdout=subprocess.PIPE, stderr=subprocess.STDOUT, text=True, timeout=60,
                             preexec_fn=pinned(self.bench.proxy_cpu), check=False)
        words = out.stdout.split()
        if out.returncode != 0 or len(words) != 2 or words[0] != "ready":
            raise Failure(f"{self.name} did not start: {out.stdout.strip()}")
        self.pid = int(words[1])

    def stop(self):
        """It is the script's child, not ours, so it is watched through /proc."""
        for number in (signal.SIGTERM, signal.SIGKILL):
            if not self.alive():
                break
            os.kill(self.pid, number)
            probe.wait_for(lambda: not self.alive(), 15)
        self.pid = None


class Relay(Subject):
    """The floor: a plain TCP relay."""

    protocols = ("direct",)

    def __init__(self, bench):
        super().__init__(bench, "relay")
        self.process = None
        self.ports = {}

    def start(self):
        roles = list(self.bench.targets)
        self.process = self.bench.start_tool(["bench_relay", ",".join(self.bench.targets[role].split(",")[0]
                                                                      for role in roles)], self.bench.proxy_cpu)
        self.pid = self.process.pid
        ports = self.process.stdout.readline().split()[1].split(",")
        self.ports = dict(zip(roles, ports))

    def alive(self):
        return self.process is not None and self.process.poll() is None

    def stop(self):
        if self.process is not None:
            probe.stop(self.process)
            self.process.stdout.close()
        self.pid = None
