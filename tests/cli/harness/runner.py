"""Finds test_*.py files in a folder and test_* functions in them, runs each in a
bounded time with its own folder and processes, and prints one line for each.
Goal: the tests need nothing but Python's standard library.
"""
import argparse
import importlib
import inspect
import os
import pathlib
import re
import signal
import subprocess
import sys
import traceback

from harness.context import Context, Skip

LIMIT_S = 120
WHY_MAX = 1500
NAMESPACE_MARK = "MASQUE_CLI_NAMESPACE"


def limit(seconds):
    """A test that may take longer than others."""

    def mark(function):
        function.limit_s = seconds
        return function

    return mark


def namespaced(function):
    """A test that runs in a network namespace of its own, with nothing but a loopback interface."""
    function.namespaced = True
    return function


def on_alarm(number, frame):
    raise TimeoutError("the test's time is over")


def reason(error):
    where = [frame for frame in traceback.extract_tb(error.__traceback__) if "test_" in frame.filename]
    place = f" ({os.path.basename(where[-1].filename)}:{where[-1].lineno})" if where else ""
    text = str(error) if isinstance(error, AssertionError) else f"{type(error).__name__}: {error}"
    line = " / ".join(text.split("\n"))
    return (line if len(line) < WHY_MAX or os.environ.get("MASQUE_CLI_TRACE") else line[:WHY_MAX] + " …") + place


def run_here(function, program, name):
    """("ok" | "FAIL" | "skip", why)"""
    context = Context(program, name)
    signal.setitimer(signal.ITIMER_REAL, getattr(function, "limit_s", LIMIT_S))
    try:
        try:
            function(context)
        finally:
            context.close()
        return "ok", ""
    except Skip as skip:
        return "skip", str(skip)
    except Exception as error:  # pylint: disable=broad-except
        if os.environ.get("MASQUE_CLI_TRACE"):
            traceback.print_exc()
        return "FAIL", reason(error)
    finally:
        signal.setitimer(signal.ITIMER_REAL, 0)


def run_in_namespace(function, program, name):
    user = [] if os.geteuid() == 0 else ["--user", "--map-root-user"]
    unshare = ["unshare", "--net"] + user
    try:
        probe = subprocess.run(unshare + ["ip", "link", "set", "lo", "up"], capture_output=True, text=True, timeout=20)
    except FileNotFoundError as error:
        return "skip", f"{error.filename} is missing"
    if probe.returncode != 0:
        return "skip", "no network namespace: " + probe.stderr.strip().split("\n")[-1]
    command = unshare + [sys.executable, sys.argv[0], "--proxy", program, name]
    child = subprocess.Popen(command, stdout=subprocess.PIPE, text=True, env={**os.environ, NAMESPACE_MARK: "1"})
    try:
        out, _ = child.communicate(timeout=getattr(function, "limit_s", LIMIT_S) + 30)
    except subprocess.TimeoutExpired:
        child.kill()
        child.wait()
        return "FAIL", "the namespace's time is over"
    found = re.search(rf"^(ok|FAIL|skip) {re.escape(name)}(?:: (.*))?$", out, re.M)
    return (found[1], found[2] or "") if found else ("FAIL", "no verdict from the namespace: " + out)


def run_one(function, program, name):
    if not getattr(function, "namespaced", False):
        return run_here(function, program, name)
    if os.environ.get(NAMESPACE_MARK):
        subprocess.run(["ip", "link", "set", "lo", "up"], check=True, timeout=20)
        return run_here(function, program, name)
    return run_in_namespace(function, program, name)


def discover(folder):
    """Yields (name, function): NAME is FILE:FUNCTION without the two "test_"."""
    sys.path.insert(0, str(folder))
    for path in sorted(folder.glob("test_*.py")):
        module = importlib.import_module(path.stem)
        functions = [f for n, f in vars(module).items() if n.startswith("test_") and inspect.isfunction(f)]
        for function in sorted(functions, key=lambda f: f.__code__.co_firstlineno):
            yield f"{path.stem[5:]}:{function.__name__[5:]}", function


def chosen(name, wanted):
    file = name.split(":")[0]
    return not wanted or any(w in (name, file, f"test_{file}.py") for w in wanted)


def main(folder):
    parser = argparse.ArgumentParser(description=__doc__)
    parser.add_argument("--proxy", default=os.environ.get("MASQUEPROXYD", "build/release/cli/masqueproxyd"))
    parser.add_argument("--list", action="store_true", help="print the names only")
    parser.add_argument("names", nargs="*", metavar="NAME", help="FILE or FILE:FUNCTION; default: all")
    options = parser.parse_args()
    program = str(pathlib.Path(options.proxy).resolve())
    counts = {"ok": 0, "FAIL": 0, "skip": 0}
    signal.signal(signal.SIGALRM, on_alarm)
    tests = [(name, f) for name, f in discover(pathlib.Path(folder)) if chosen(name, options.names)]
    if options.list or not tests:
        print("\n".join(name for name, _ in tests) or "no such test")
        return 0 if tests else 1
    for name, function in tests:
        verdict, why = run_one(function, program, name)
        counts[verdict] += 1
        print(f"{verdict} {name}" + (f": {why}" if why else ""), flush=True)
    print(f"{counts['ok']} passed, {counts['FAIL']} failed, {counts['skip']} skipped")
    return 1 if counts["FAIL"] else 0
