#!/usr/bin/env bash
# fuzz-corpus.sh [NAME…] : makes tests/fuzz/corpus/NAME anew for these fuzz targets, or for all. Each target runs for
# WEFT_FUZZ_SECONDS (300), starting from what is there; then the fewest and shortest inputs are kept that reach each edge
# of our code that was reached. To be run when a target is new, or when it reads a new format; the result is committed.
set -euo pipefail
# shellcheck source=scripts/common.sh
. "$(dirname "${BASH_SOURCE[0]}")/common.sh"

# Inputs are short so that the corpus stays small; what only long ones find, the fuzzing of make check may still find.
max_length=2048
seconds=${WEFT_FUZZ_SECONDS:-300}
folder=$build/fuzz
"$root/scripts/build-fuzzers.sh" "$folder"

names=("$@")
if [[ $# -eq 0 ]]; then
    for file in "$root"/tests/fuzz/*.cpp; do names+=("$(basename "$file" .cpp)"); done
fi
for name in "${names[@]}"; do
    kept=$root/tests/fuzz/corpus/$name found=$folder/corpus/$name new=$folder/corpus/$name.new
    mkdir -p "$kept" "$found"
    "$folder/fuzz_$name" -max_total_time="$seconds" -max_len="$max_length" -timeout=10 -rss_limit_mb=2048 -print_final_stats=0 \
        -verbosity=0 -artifact_prefix="$folder/$name-" "$found" "$kept"
    rm -rf "$new"
    mkdir "$new"
    # Edges alone: how often one is passed would make hundreds of inputs.
    "$folder/fuzz_$name" -set_cover_merge=1 -use_counters=0 -max_len="$max_length" -verbosity=0 "$new" "$kept" "$found"
    rm -rf "$kept"
    mv "$new" "$kept"
    say "$name: $(find "$kept" -type f | wc -l) inputs, $(find "$kept" -type f -printf '%s\n' | awk '{ n += $1 } END { print n + 0 }') bytes"
done
