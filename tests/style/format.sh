#!/bin/sh
# Every C file is as clang-format would write it (.clang-format).
set -eu
cd "$(dirname -- "$0")/../.."
wrong=0
for file in $(find lib include cli examples tests -name '*.[ch]' | sort); do
    if ! clang-format "$file" | cmp -s - "$file"; then
        echo "$file: not formatted; run clang-format -i $file"
        wrong=1
    fi
done
exit $wrong
