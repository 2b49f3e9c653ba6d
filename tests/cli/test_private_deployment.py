"""The page "A private deployment in five minutes", followed word by word. Its ports are fixed."""
import os
import pathlib
import re
import signal
import subprocess

from harness.context import PATIENCE_S, check, same

PAGE = pathlib.Path(__file__).resolve().parents[2] / "examples" / "private-deployment"


def commands(title):
    """The indented lines below a heading of the page."""
    part = (PAGE / "README.md").read_text(encoding="utf-8").split(f"## {title}\n")[1].split("\n## ")[0]
    return "\n".join(line[4:] for line in part.splitlines() if line.startswith("    "))


def test_page(t):
    programs = os.path.dirname(t.program)
    state = t.folder / "state"
    environment = {**t.environment(), "PATH": f"{programs}:{os.environ['PATH']}",
                   "MASQUEPROXY": os.path.join(programs, "masqueproxy"), "MASQUEPROXYD": t.program}
    for words in ("sh prepare.sh", "sh run.sh"):
        check(words in commands("Terminal 1"), f"the page has no {words}")
    for _ in range(2):  # also again
        done = subprocess.run(["sh", str(PAGE / "prepare.sh"), str(state)], env=environment, capture_output=True,
                              text=True, timeout=PATIENCE_S)
        same((done.returncode, done.stderr), (0, ""), "prepare.sh")
    run = subprocess.Popen(["sh", str(PAGE / "run.sh"), str(state)], env=environment, stdout=subprocess.PIPE,
                           stderr=subprocess.DEVNULL, text=True)
    try:
        for _ in range(3):
            check(run.stdout.readline().startswith("ready: listening on 127.0.0.1:"), "a process is not ready")
        script = re.sub(r"^(cd|PATH=).*\n", "", commands("Terminal 2"), flags=re.M)
        done = subprocess.run(["sh", "-c", script], env=environment, cwd=state, capture_output=True, text=True,
                              timeout=PATIENCE_S)
        same(done.stderr, "", "messages in terminal 2")
        lines = done.stdout.splitlines()
        same(lines[:2], ["5 of type 2 by issuer.example, in wallet", "5 of type 2 by issuer.example for proxy.example"],
             "tokens")
        check('"issuer-request-uri"' in lines[2], f"the page through the tunnel: {lines[2:]}")
        same((lines[2].endswith("the proxy says 200"), lines[3:]), (True, ["the proxy says 403"]), "one token, twice")
    finally:
        run.send_signal(signal.SIGTERM)
        run.wait(PATIENCE_S)
        run.stdout.close()
