"""The benchmark's driver, started by run.sh, which documents the options.

Takes every figure (figures.py) of every subject (subjects.py) in turn, run after run, prints the table.
"""

import argparse
import json
import os
import re
import shutil
import signal
import statistics
import subprocess
import sys
import tempfile

import figures
import probe
import subjects

ROOT = os.path.realpath(os.path.join(os.path.dirname(os.path.realpath(__file__)), "..", ".."))
RELEASE = os.path.join(ROOT, "build", "release")
PEER_SCRIPT = os.path.join(ROOT, "..", "shared", "tools", "peer-h2o.sh")
PROGRAMS = ("bench_client", "bench_engine", "bench_target", "bench_relay")


# One source asks for far more than a client of a service would: its rates are raised.
BENCH_LIMITS = {"connections-per-source": 100000, "requests-rate": 1000000, "requests-burst": 1000000,
                "resets-rate": 1000000, "resets-burst": 1000000}


def arguments():
    parser = argparse.ArgumentParser(prog="run.sh", description="measures masqueproxyd beside peers and a relay")
    parser.add_argument("--proxy")
    parser.add_argument("--baseline")
    parser.add_argument("--peer", action="append", default=[], metavar="h2o=DIR")
    parser.add_argument("--runs", type=int)
    parser.add_argument("--size-mib", type=int)
    parser.add_argument("--quick", action="store_true")
    parser.add_argument("--only", default="")
    parser.add_argument("--strace", action="store_true")
    parser.add_argument("--callgrind", action="store_true")
    parser.add_argument("--limits", type=json.loads, default=BENCH_LIMITS)
    parser.add_argument("--tools", default=os.path.join(RELEASE, "tests", "bench"))
    parser.add_argument("--json")
    options = parser.parse_args()
    options.runs = options.runs or (1 if options.quick else 5)
    options.size_mib = options.size_mib or (8 if options.quick else 1024)
    return options


def make_subjects(bench, options):
    """Ours if there is one, an earlier one of ours, the peers, the floor."""
    chosen = []
    built = os.path.join(RELEASE, "cli", "masqueproxyd")
    if options.proxy is None and not os.path.exists(built):
        print("bench: masqueproxyd isn't built: without it", file=sys.stderr)
        built = "none"
    for name, program in (("ours", options.proxy or built), ("baseline", options.baseline or "none")):
        if program == "none":
            continue
        if not os.access(program, os.X_OK):
            sys.exit(f"bench: {program} is no program")
        chosen.append(subjects.Ours(bench, name, os.path.realpath(program), options.limits))
    script = os.environ.get("MASQUE_PEER_H2O", PEER_SCRIPT)
    for peer in options.peer:
        name, _, folder = peer.partition("=")
        if not re.fullmatch(r"h2o[a-z0-9.-]*", name) or not os.access(os.path.join(folder, "h2o"), os.X_OK):
            sys.exit(f"bench: --peer {peer}: wants h2o=DIR with an h2o in it")
        if not os.path.exists(script):
            sys.exit("bench: --peer needs peer-h2o.sh: set MASQUE_PEER_H2O")
        chosen.append(subjects.Peer(bench, name, os.path.realpath(folder), script))
    return [*chosen, subjects.Relay(bench)]


def measure(bench, subject, figure, scale):
    """One sample; the subject runs before, and afterwards unless the figure says otherwise."""
    if getattr(figure, "restarts", False) or getattr(figure, "fresh", False):
        subject.stop()
    if not getattr(figure, "restarts", False) and not subject.alive():
        subject.start()
    return figure.measure(bench, subject, scale)


class Results:
    """The samples by figure and subject, and why there are none."""

    def __init__(self):
        self.samples = {}
        self.failures = {}

    def take(self, bench, subject, figure, scale):
        key = (figure.name, subject.name)
        if key in self.failures:
            return
        try:
            self.samples.setdefault(key, []).append(measure(bench, subject, figure, scale))
        except (subjects.Failure, RuntimeError, subprocess.SubprocessError) as failure:
            self.failures[key] = str(failure)
            print(f"bench: {figure.name}, {subject.name}: {failure}", file=sys.stderr)

    def values(self, figure, subject, row):
        return [sample[row] for sample in self.samples.get((figure.name, subject.name), []) if row in sample]


def run_all(bench, chosen, wanted, scale, runs):
    """Interleaved: within a run all subjects take each figure in turn, the order turned around every other run."""
    results = Results()
    for run in range(runs):
        order = chosen if run % 2 == 0 else chosen[::-1]
        for figure in wanted:
            if sys.stderr.isatty():
                print(f"\rrun {run + 1} of {runs}: {figure.name:<40}", end="", file=sys.stderr)
            for subject in order:
                # Callgrind doesn't vary, so once is enough; it isn't worth its time for the relay.
                is_relay = subject.protocols == ("direct",)
                if getattr(figure, "restarts", False) and (run > 0 or is_relay):
                    continue
                if getattr(figure, "proxies_only", False) and is_relay:
                    continue
                results.take(bench, subject, figure, scale)
    if sys.stderr.isatty():
        print("\r" + " " * 60 + "\r", end="", file=sys.stderr)
    return results


def number(value):
    """Three digits that count."""
    if abs(value) >= 100:
        return f"{value:.0f}"
    return f"{value:.1f}" if abs(value) >= 10 else f"{value:.2f}"


def cell(values, failed):
    if failed:
        return "FAILED"
    if not values:
        return "-"
    if len(values) == 1:
        return number(values[0])
    return f"{number(statistics.median(values))} ({number(min(values))}-{number(max(values))})"


def ratio(ours, theirs):
    """Run by run, because the machine's own speed drifts from run to run."""
    if len(ours) != len(theirs) or 0 in theirs:
        return "-"
    return cell([mine / other for mine, other in zip(ours, theirs)], False)


def table(chosen, wanted, results):
    """Rows of cells, the heading first."""
    others = [subject for subject in chosen[1:] if subject.name != "relay"] if chosen[0].name == "ours" else []
    rows = [["figure", "", "unit", "better", *(subject.name for subject in chosen),
             *(f"ours/{other.name}" for other in others)]]
    for figure in wanted:
        for index, (name, unit, better) in enumerate(figure.rows):
            columns = {subject.name: results.values(figure, subject, name) for subject in chosen}
            rows.append([figure.name if index == 0 else "", name, unit, better,
                         *(cell(columns[subject.name], (figure.name, subject.name) in results.failures)
                           for subject in chosen),
                         *(ratio(columns["ours"], columns[other.name]) for other in others)])
    return rows


def print_table(rows):
    widths = [max(len(row[i]) for row in rows) for i in range(len(rows[0]))]
    for row in rows:
        print("  ".join(text.ljust(width) for text, width in zip(row, widths)).rstrip())


def machine():
    """One line on what the numbers were measured on."""
    found = re.search(r"^model name\s*: (.*)$", probe.contents("/proc/cpuinfo"), re.MULTILINE)
    model = found.group(1) if found else "unknown CPU"
    return f"{model}, {os.cpu_count()} CPUs, {os.uname().sysname} {os.uname().release}"


def write_json(path, chosen, wanted, results, options):
    document = {"machine": machine(), "runs": options.runs, "size_mib": options.size_mib, "quick": options.quick,
                "subjects": [subject.name for subject in chosen], "figures": []}
    for figure in wanted:
        entry = {"figure": figure.name,
                 "rows": [{"name": name, "unit": unit, "better": better} for name, unit, better in figure.rows],
                 "samples": {}, "medians": {}, "failures": {}}
        for subject in chosen:
            key = (figure.name, subject.name)
            entry["samples"][subject.name] = results.samples.get(key, [])
            entry["medians"][subject.name] = {
                name: statistics.median(values) for name, _, _ in figure.rows
                if (values := results.values(figure, subject, name))}
            if key in results.failures:
                entry["failures"][subject.name] = results.failures[key]
        document["figures"].append(entry)
    with open(path, "w", encoding="utf-8") as file:
        json.dump(document, file, indent=1)
        file.write("\n")


def bench_in(folder, options):
    """Everything between the making of the work folder and its removal; the exit status."""
    wanted = [figure for figure in figures.figures(options.strace, options.callgrind) if options.only in figure.name]
    if not wanted:
        sys.exit(f"bench: no figure has {options.only!r} in its name")
    bench = subjects.Bench(folder, os.path.realpath(options.tools))
    chosen = []
    try:
        chosen = make_subjects(bench, options)
        results = run_all(bench, chosen, wanted, figures.Scale(options.size_mib, options.quick), options.runs)
    finally:
        for subject in chosen:
            subject.stop()
        bench.stop()
    print(f"{machine()}; {options.size_mib} MiB, {options.runs} run(s): median (least-most); ratios run by run")
    print_table(table(chosen, wanted, results))
    if options.json:
        write_json(options.json, chosen, wanted, results, options)
    return 1 if results.failures else 0


def main():
    options = arguments()
    for program in PROGRAMS:
        if not os.access(os.path.join(options.tools, program), os.X_OK):
            sys.exit(f"bench: no {program} in {options.tools}: build it (CMakeLists.txt here) or say --tools DIR")
    for tool, wanted in (("strace", options.strace), ("valgrind", options.callgrind)):
        if wanted and shutil.which(tool) is None:
            sys.exit(f"bench: --{'callgrind' if tool == 'valgrind' else tool} needs {tool}")
    for signal_number in (signal.SIGTERM, signal.SIGINT):
        signal.signal(signal_number, lambda *unused: sys.exit(130))
    with tempfile.TemporaryDirectory(prefix="masque-bench-") as folder:
        sys.exit(bench_in(folder, options))


if __name__ == "__main__":
    main()
