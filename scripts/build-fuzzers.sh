#!/usr/bin/env bash
# build-fuzzers.sh FOLDER : builds the targets of tests/fuzz there, FOLDER/fuzz_NAME each, with sanitizers.
set -euo pipefail
# shellcheck source=scripts/common.sh
. "$(dirname "${BASH_SOURCE[0]}")/common.sh"

cmake -S "$root" -B "$1" -G Ninja -DWEFT_MODULE=OFF -DWEFT_TESTS=OFF -DWEFT_BENCH=OFF -DWEFT_FUZZ=ON \
    -DCMAKE_C_COMPILER=clang -DCMAKE_CXX_COMPILER=clang++ -DWEFT_SANITIZE=address,undefined
targets=()
for file in "$root"/tests/fuzz/*.cpp; do targets+=("fuzz_$(basename "$file" .cpp)"); done
ninja -C "$1" "${targets[@]}"
