#!/bin/sh
# Measures masqueproxyd beside other proxies and a plain TCP relay, on this
# machine, in one run, and prints a table.
#
#   sh tests/bench/run.sh [--proxy PATH|none] [--baseline PATH] [--peer h2o=DIR]... [--runs N] [--size-mib N]
#                         [--quick] [--only TEXT] [--strace] [--callgrind] [--limits JSON] [--tools DIR] [--json FILE]
#
#   --proxy PATH     masqueproxyd; default build/release/cli/masqueproxyd if it is built; "none": only the peers
#   --baseline PATH  another masqueproxyd to compare with; the same one again shows the noise of the method
#   --peer h2o=DIR   a folder with the peer's program; started by peer-h2o.sh, which lies
#                    beside the project (../shared/tools) or where MASQUE_PEER_H2O says
#   --runs N         repetitions, default 5; the table has the median, least and most
#   --size-mib N     payload of a bulk transfer, default 1024
#   --quick          small sizes, one run: checks that the harness works, its numbers mean little
#   --only TEXT      only the figures whose name contains TEXT
#   --strace         also system calls per MiB, in runs of their own
#   --callgrind      also instructions per byte under valgrind, in runs of their own; takes minutes
#   --limits JSON    starts masqueproxyd from a configuration with these limits, '{"NAME": NUMBER, ...}'
#   --tools DIR      the bench programs; default build/release/tests/bench
#   --json FILE      every sample and the medians
#
# The subjects take turns within each run, in turning order. The proxy has one
# CPU to itself with one worker; load client and target share another. Every
# transfer is checked by a digest on both ends; a wrong one fails the run.
set -eu

here=$(CDPATH='' cd -- "$(dirname -- "$0")" && pwd)
for tool in python3 openssl; do
    command -v "$tool" >/dev/null || { echo "bench: needs $tool" >&2; exit 1; }
done
exec python3 -B "$here/driver.py" "$@"
