#!/bin/sh
# Checking a credential takes as many instructions whichever of its bytes is wrong. Counted by valgrind: of a pre-shared
# key in the whole check; of a token in the comparison, as reading its Base64 takes more for some letters than for others,
# which the client knows.
#
#   constant_time_test.sh UNIT_CONSTANT_TIME
set -eu

command -v valgrind >/dev/null || { echo 'skipped: there is no valgrind'; exit 77; }
work=$(mktemp -d)
trap 'rm -rf "$work"' EXIT

instructions() { # KIND POSITION
    counted=measured
    [ "$1" = preshared ] || counted=mq_secret_same
    valgrind --tool=callgrind --callgrind-out-file="$work/out" --collect-atstart=no --toggle-collect=$counted "$program" "$1" "$2" \
        >"$work/log" 2>&1 || { cat "$work/log"; exit 1; }
    sed -n 's/.*Collected : \([0-9]*\).*/\1/p' "$work/log"
}

program=$1
wrong=0
for kind in preshared token; do
    first=$(instructions "$kind" 0)
    for position in 1 15 31 47; do
        other=$(instructions "$kind" "$position")
        echo "$kind: $first instructions, with byte $position wrong $other"
        [ "$first" -gt 100 ] && [ "$first" = "$other" ] || wrong=1
    done
done
exit "$wrong"
