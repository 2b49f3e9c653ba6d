#!/bin/sh
# From a bare Debian 12 to a running proxy:  sh cmake/quickstart.sh
#
# Installs what is missing, builds the protocol libraries (once; they stay in the
# user's cache folder) and masqueproxyd, starts it and prints what to try. Flags
# go to masqueproxyd, e.g. --listen 127.0.0.1:8443 or --log-level debug.
set -eu

root=$(CDPATH='' cd -- "$(dirname -- "$0")/.." && pwd)
log=$root/build/quickstart.log

run() { # TEXT COMMAND...
    printf '  %-52s ' "$1"
    started=$(date +%s)
    shift
    if "$@" >>"$log" 2>&1 </dev/null; then
        echo "done ($(($(date +%s) - started)) s)"
    else
        echo 'FAILED'
        tail -n 15 "$log" >&2
        echo "quickstart: that step failed; its whole output is in $log" >&2
        exit 1
    fi
}

echo 'masqueproxy quick start'
sh "$root/cmake/dependencies.sh" build
mkdir -p "$root/build"
: >"$log"
cd "$root"
[ -e build/quickstart/build.ninja ] ||
    run 'configure masqueproxyd' cmake --preset release -B build/quickstart -DMASQUE_TESTS=OFF -DMASQUE_EXAMPLES=OFF
run 'build masqueproxyd' cmake --build build/quickstart --target masqueproxyd
exec build/quickstart/cli/masqueproxyd --quickstart "$@"
