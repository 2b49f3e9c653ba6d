#!/usr/bin/env python3
"""Runs foreign clients against masqueproxyd: run.py --proxy PATH [NAME...]

NAME is a file (curl) or a test (curl:page_by_connect_udp_h2). The clients are those that
`sh cmake/dependencies.sh peers` made; MASQUE_H2O_CLIENT names an h2o-httpclient. What is missing
is skipped and says why; with CI in the environment it fails, but for h2o's.
MASQUE_INTEROP_SIZE_MIB is the size of a large page (1024).
"""
import os
import pathlib
import sys

sys.dont_write_bytecode = True
here = pathlib.Path(__file__).resolve().parent
sys.path.insert(0, str(here.parent / "cli"))
sys.path.insert(0, str(here))

from harness import runner  # noqa: E402

if __name__ == "__main__":
    os.chdir(here.parents[1])
    sys.exit(runner.main(here))
