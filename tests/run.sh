#!/bin/sh
# Prepares the machine and runs every test:  sh tests/run.sh [release|asan|tsan|fuzz ...]
#
# Each build (all four by default) is compiled and its tests run by CTest; the
# folder names under tests/ say what they are. Ends with "N passed, N failed";
# what failed is printed with its output.
set -eu

root=$(CDPATH='' cd -- "$(dirname -- "$0")/.." && pwd)
builds=${*:-release asan tsan fuzz}
jobs=$(nproc 2>/dev/null || echo 2)
passed=0
failed=0
skipped=0

build() { # PRESET
    log=$root/build/$1.log
    printf '  %-52s ' "build: $1"
    started=$(date +%s)
    # A build that was configured with other libraries or options begins anew.
    if (cd "$root" && { cmake --preset "$1" || { rm -rf "build/$1" && cmake --preset "$1"; }; } &&
        cmake --build --preset "$1") >"$log" 2>&1 </dev/null; then
        echo "done ($(($(date +%s) - started)) s)"
        return 0
    fi
    echo 'FAILED'
    tail -n 30 "$log" >&2
    echo "run.sh: the whole output is in $log" >&2
    return 1
}

# What a build runs: all in release; under the address sanitizer all that has
# memory of its own; under the thread sanitizer what has threads; libFuzzer for a
# moment, on what clang compiled.
selection() { # PRESET
    case $1 in
    tsan) echo '-R ^cli_' ;;
    asan) echo '-E ^(bench_|install_|style)' ;;
    fuzz) echo '-R ^fuzz_run_' ;;
    *) echo '' ;;
    esac
}

count() { # RESULT-FILE ATTRIBUTE
    sed -n "s/.*<testsuite .*//; s/^[[:space:]]*$2=\"\([0-9]*\)\".*/\1/p" "$1" | head -n 1
}

run_tests() { # PRESET
    results=$root/build/$1/results.xml
    rm -f "$results"
    # shellcheck disable=SC2046
    (cd "$root/build/$1" &&
        ctest --output-on-failure --no-tests=error --timeout 600 -j"$jobs" $(selection "$1") --output-junit "$results") ||
        true
    [ -e "$results" ] || { failed=$((failed + 1)); return; }
    total=$(count "$results" tests)
    bad=$(count "$results" failures)
    skip=$(count "$results" skipped)
    failed=$((failed + bad))
    skipped=$((skipped + skip))
    passed=$((passed + total - bad - skip))
}

# What tests/CONFORMANCE.md names must be in the tests that have just run.
check_conformance() {
    if python3 "$root/tests/conformance.py" "$root/build/release"; then
        passed=$((passed + 1))
    else
        failed=$((failed + 1))
    fi
}

sh "$root/cmake/dependencies.sh" test
case " $builds " in
*' release '*) sh "$root/cmake/dependencies.sh" peers ;;
esac
mkdir -p "$root/build"
for preset in $builds; do
    if build "$preset"; then
        run_tests "$preset"
        [ "$preset" != release ] || check_conformance
    else
        failed=$((failed + 1))
    fi
done

if [ "$skipped" -gt 0 ]; then
    echo "$passed passed, $failed failed, $skipped skipped"
else
    echo "$passed passed, $failed failed"
fi
[ "$failed" -eq 0 ]
