#!/usr/bin/env python3
"""Tests what `cmake --install` leaves behind: run.py [--build DIR] [NAME...]

DIR is a build folder in which everything is built (build/release).
"""
import os
import pathlib
import sys

sys.dont_write_bytecode = True
HERE = pathlib.Path(__file__).resolve().parent
sys.path.insert(0, str(HERE.parent / "cli"))

from harness import runner  # noqa: E402

if __name__ == "__main__":
    os.chdir(HERE.parents[1])
    if "--build" in sys.argv:
        at = sys.argv.index("--build")
        os.environ["MASQUE_BUILD"] = str(pathlib.Path(sys.argv[at + 1]).resolve())
        del sys.argv[at:at + 2]
    sys.exit(runner.main(HERE))
