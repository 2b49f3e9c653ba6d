#!/usr/bin/env python3
"""Checks tests/CONFORMANCE.md against the tree and the last run of ctest:  conformance.py BUILD-FOLDER

Each test that it names must exist, have run and have passed; each file must exist, and each function
must be in it. Prints `file:line: problem; remedy` for each problem and exits 1, or one line that all is well.
A test that was skipped is shown and is no problem; with CI in the environment a foreign client's is, but h2o's.
"""
import os
import pathlib
import re
import sys

ROOT = pathlib.Path(__file__).resolve().parents[1]
DOCUMENT = "tests/CONFORMANCE.md"
COLUMNS = 4
SPAN = re.compile(r"`([^`]+)`")
TEST = re.compile(r"(?:(cli|interop):)?(\w+):([\w-]+)(?:\[(.+)\])?")
# What cmocka and tests/cli/harness/runner.py print for each test.
VERDICTS = (re.compile(r"^\[ +(OK|FAILED|SKIPPED) +\] (?:\w+: )?(.+?)$", re.M),
            re.compile(r"^(ok|FAIL|skip) (\w+:\w+)(?:: (.*))?$", re.M))
WORDS = {"OK": "ok", "FAILED": "FAIL", "SKIPPED": "skip"}


def read(path):
    return path.read_text(encoding="utf-8", errors="replace")


def verdicts_of(log):
    """{(CTest's name, the test's name): (verdict, why)}; the test's name of the whole program is ""."""
    verdicts = {}
    for block in re.split(r"^\d+/\d+ Testing: ", log, flags=re.M)[1:]:
        name = block.split("\n", 1)[0]
        output, _, result = block.partition("<end of output>")
        verdicts[name, ""] = ("ok" if re.search(r"^Test Passed\.", result, re.M) else "FAIL", "")
        for pattern in VERDICTS:
            for verdict, test, *why in pattern.findall(output):
                verdicts[name, test] = (WORDS.get(verdict, verdict), "".join(why))
    return verdicts


class Test:
    """One that the document names: where its source is, and what it is called in the log."""

    def __init__(self, kind, program, function, row):
        self.row = row
        # Foreign clients are there in CI, but for h2o's, which is built from source.
        self.must_run = kind == "interop" and program != "h2o" and bool(os.environ.get("CI"))
        if kind:
            self.source, self.defines = f"tests/{kind}/test_{program}.py", rf"def test_{function}\("
            self.key = f"{kind}_{program}", f"{program}:{function}"
        elif program == "fuzz":
            self.source, self.defines = f"tests/fuzz/{function}.c", ""
            self.key = f"fuzz_replay_{function}", ""
        elif program.endswith("_test"):
            self.source, self.defines = f"tests/unit/{program}.c", rf"\b{function}\b"
            self.key = f"unit_{program[:-5]}", function
        else:
            self.source, self.defines = f"tests/sim/{program}.c", re.escape(function.removeprefix("run_"))
            self.key = program, function

    def has_row(self, text):
        if self.key[0].startswith("fuzz_"):
            return (ROOT / "tests/fuzz/corpus" / self.key[0].removeprefix("fuzz_replay_") / self.row).is_file()
        return self.row in re.sub(r'"\s*\n?\s*"', "", text)

    def problem(self, verdicts):
        """What is wrong with it, or None."""
        path = ROOT / self.source
        if not path.is_file():
            return f"there is no {self.source}; write the name of a test that is there"
        text = read(path)
        if not re.search(self.defines, text):
            return f"{self.source} has no such test; name the one that took its place"
        if self.row and not self.has_row(text):
            return f"{self.source} has no row “{self.row}”; name the one that took its place"
        if self.key not in verdicts:
            return f"it did not run in CTest's {self.key[0]}; run `ctest` whole, then this again"
        verdict, why = verdicts[self.key]
        if verdict == "skip" and self.must_run:
            return f"it was skipped ({why}); make it run"
        return "it failed; see CTest's log" if verdict == "FAIL" else None


def place_problems(cell):
    """Of a Where cell: `file`: `name`, `name`; `file` …"""
    path = None
    for span in SPAN.findall(cell):
        if "/" in span:
            path = ROOT / span
            if not path.is_file():
                yield f"`{span}`: there is no such file; name the one that has it now"
        elif path and path.is_file() and not re.search(rf"\b{re.escape(span)}\b", read(path)):
            yield f"`{span}` is not in {path.relative_to(ROOT)}; name the function that meets it now"


def test_problems(cell, verdicts, skipped):
    names = SPAN.findall(cell)
    if not names and not cell.startswith("none"):
        yield "the Test cell names no test; write one, or `none` and why"
    for span in names:
        match = TEST.fullmatch(span)
        if not match:
            yield f"`{span}` is no name of a test; see the forms at the beginning"
            continue
        test = Test(*match.groups())
        problem = test.problem(verdicts)
        if problem:
            yield f"`{span}`: {problem}"
        elif verdicts[test.key][0] == "skip":
            skipped[span] = verdicts[test.key][1]


def check(document, verdicts):
    """Problems as (line, text), how many rows there are of which kind, and what was skipped."""
    problems, skipped, counts = [], {}, {"rows": 0, "untested": 0, "unmet": 0}
    begun = False
    for number, line in enumerate(document.split("\n"), 1):
        begun = begun or line.startswith("## RFC")
        cells = [cell.strip() for cell in re.split(r"\s\|\s|^\| | \|$", line)][1:-1]
        if not begun or not line.startswith("| ") or cells[0] == "Section":
            continue
        if len(cells) != COLUMNS:
            problems.append((number, f"{len(cells)} cells; a row has {COLUMNS}"))
            continue
        counts["rows"] += 1
        counts["untested"] += cells[3].startswith("none")
        counts["unmet"] += cells[3].startswith("none, not met")
        problems += [(number, text) for text in place_problems(cells[2])]
        problems += [(number, text) for text in test_problems(cells[3], verdicts, skipped)]
    return problems, counts, skipped


def main(arguments):
    log = pathlib.Path(arguments[0] if len(arguments) == 1 else "") / "Testing/Temporary/LastTest.log"
    if len(arguments) != 1 or not log.is_file():
        print(f"conformance.py: no {log}; run ctest in a build folder, then this with the folder", file=sys.stderr)
        return 2
    problems, counts, skipped = check(read(ROOT / DOCUMENT), verdicts_of(read(log)))
    for span, why in sorted(skipped.items()):
        print(f"skipped: {span}: {why}")
    for number, text in problems:
        print(f"{DOCUMENT}:{number}: {text}")
    print(f"conformance: {counts['rows']} requirements, {counts['untested']} without a test, of which "
          f"{counts['unmet']} not met; {len(problems)} problems, {len(skipped)} tests skipped")
    return 1 if problems else 0


if __name__ == "__main__":
    sys.exit(main(sys.argv[1:]))
