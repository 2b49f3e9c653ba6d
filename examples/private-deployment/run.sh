#!/bin/sh
# Runs issuer, attester and proxy until Ctrl-C.
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
    # shellcheck disable=SC2086
    kill -INT $started 2>/dev/null || true
    wait
}
trap end EXIT
trap 'exit 0' INT TERM
for role in issuer attester proxy; do
    "$masqueproxyd" --config "$role.yaml" &
    started="$started $!"
done
wait
