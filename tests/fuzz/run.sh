#!/bin/sh
# Fuzzes, and keeps in corpus/ what reaches code that the seeds don't.
#
#   run.sh BUILD SECONDS [TARGET...]     BUILD was configured with the preset fuzz
#
# A crash stops it; its input is left in the folder that is named then.
set -eu

here=$(CDPATH='' cd -- "$(dirname -- "$0")" && pwd)
build=$1 seconds=$2
shift 2
[ $# -gt 0 ] || set -- h1_parser request authority target_rule client_hello capsule packet \
    engine_http1 engine_http2 engine_quic engine_api config geo locations
# What git should carry for one target.
files_max=190 kilobytes_max=190

work=$(mktemp -d)
for target in "$@"; do
    program=$build/tests/fuzz/fuzz_$target corpus=$here/corpus/$target
    mkdir "$work/$target" "$work/$target.old" "$work/$target.crash"
    printf '%s: ' "$target"
    if ! nice "$program" -max_total_time="$seconds" -max_len=2048 -timeout=20 -print_final_stats=1 \
        -artifact_prefix="$work/$target.crash/" "$work/$target" "$corpus" >"$work/$target.log" 2>&1; then
        echo "crashed, see $work/$target.log and $work/$target.crash/"
        exit 1
    fi
    find "$corpus" -type f ! -name 'seed-*' -exec mv {} "$work/$target.old/" \;
    nice "$program" -set_cover_merge=1 "$corpus" "$work/$target" "$work/$target.old" >>"$work/$target.log" 2>&1
    # The smallest stay; seeds do whatever they cost.
    total=$(cat "$corpus"/seed-* | wc -c) count=$(find "$corpus" -name 'seed-*' | wc -l)
    find "$corpus" -type f ! -name 'seed-*' -printf '%s %p\n' | sort -n | while read -r size file; do
        total=$((total + size)) count=$((count + 1))
        if [ "$count" -gt "$files_max" ] || [ "$total" -gt $((kilobytes_max * 1024)) ]; then rm -f "$file"; fi
    done
    runs=$(sed -n 's/^stat::number_of_executed_units: *//p' "$work/$target.log" | head -n 1)
    echo "$runs runs, $(find "$corpus" -type f | wc -l) files, $(cat "$corpus"/* | wc -c) bytes kept"
done
rm -rf "$work"
