#!/usr/bin/env python3
"""Runs the tests of masqueproxyd as a user meets it: run.py [--proxy PATH] [NAME...]

NAME is a file (dns) or a test (dns:rebinding). Needs curl and openssl beside
Python. Environment: MASQUE_CURL, a newer curl to try as well;
MASQUE_CLI_SIZE_MIB, the size of a bulk transfer (1024);
MASQUE_CLI_TRACE, to see where a failure came from.
"""
import os
import pathlib
import sys

sys.dont_write_bytecode = True
sys.path.insert(0, str(pathlib.Path(__file__).resolve().parent))

from harness import runner  # noqa: E402

if __name__ == "__main__":
    os.chdir(pathlib.Path(__file__).resolve().parents[2])
    sys.exit(runner.main(pathlib.Path(__file__).resolve().parent))
