#!/bin/sh
# Runs issuer, attester and proxy until Ctrl-C, or until one of them ends.
#
#   sh run.sh [STATE-FOLDER]
#
# Environment: MASQUEPROXYD, the program (default: masqueproxyd, on the PATH or of this source's build).
set -eu

here=$(CDPATH='' cd -- "$(dirname -- "$0")" && pwd)
PATH=$PATH:$here/../../build/release/cli
masqueproxyd=${MASQUEPROXYD:-masqueproxyd}
cd "${1:-$here/state}"

started=
end() {
    trap - EXIT
    # shellcheck disable=SC2086
    kill -INT $started 2>/dev/null || true
    wait
}
trap end EXIT
trap 'exit 0' INT TERM
for role in issuer attester proxy; do
    "$masqueproxyd" --config "$role.yaml" &
    eval "$role=$!"
    started="$started $!"
done
while :; do
    for role in issuer attester proxy; do
        eval "process=\$$role"
        if ! kill -0 "$process" 2>/dev/null; then
            echo "run.sh: the $role has ended; what it said stands above. The others end, too." >&2
            exit 1
        fi
    done
    sleep 1 &
    wait $! # a signal is heard at once
done
