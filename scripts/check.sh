#!/usr/bin/env bash
# check.sh [NAME…] : the looks that are too slow for every build; all of them unless some are named. Each builds in a
# folder of its own below build/, goes on after a failure of another, and the end says how each went.
#   format      clang-format changes nothing
#   scripts     shellcheck
#   asan        the unit and simulation tests with AddressSanitizer and UndefinedBehaviorSanitizer
#   tsan        the same with ThreadSanitizer (tests/tsan.supp: what it can't see of libzmq)
#   tidy        clang-tidy (.clang-tidy)
#   fuzz        each fuzzer for WEFT_FUZZ_SECONDS (10)
# shellcheck disable=SC2317 # the looks are called by name
set -euo pipefail
# shellcheck source=scripts/common.sh
. "$(dirname "${BASH_SOURCE[0]}")/common.sh"
cd "$root"

looks=("$@")
[[ $# -gt 0 ]] || looks=(format scripts asan tsan tidy fuzz)
logs=$build/check-logs
mkdir -p "$logs"

# configure FOLDER OPTION… : a build without the module.
configure() {
    local folder=$1
    shift
    cmake -S "$root" -B "$folder" -G Ninja -DWEFT_MODULE=OFF "$@"
}

# sanitized FOLDER SANITIZER : the tests of a sanitized build.
sanitized() {
    local folder=$build/$1 sanitizer=$2
    configure "$folder" -DWEFT_SANITIZE="$sanitizer" -DWEFT_BENCH=OFF &&
        ninja -C "$folder" &&
        ASAN_OPTIONS=detect_stack_use_after_return=1:strict_string_checks=1 \
            UBSAN_OPTIONS=print_stacktrace=1 \
            TSAN_OPTIONS="halt_on_error=1:second_deadlock_stack=1:suppressions=$root/tests/tsan.supp" \
            ctest --test-dir "$folder" --output-on-failure --no-tests=error -j2
}

look_format() { "$root/scripts/format.sh" --check; }
look_scripts() {
    shellcheck -x "$root"/scripts/*.sh "$root/.ci/run" "$root"/tests/build/*.sh "$root"/bench/run.sh
}
look_asan() { sanitized asan address,undefined; }
look_tsan() { sanitized tsan thread; }

look_tidy() {
    # The module's files need nginx's configured headers, so this looks through the ordinary build's commands.
    "$root/scripts/nginx-objs.sh" "$build/nginx" &&
        configure "$build/tidy" -DWEFT_MODULE=ON -DWEFT_NGINX_SOURCE="$build/nginx" \
            -DWEFT_NGINX_OBJS="$build/nginx/objs" -DWEFT_BENCH=OFF -DWEFT_TESTS=OFF -DCMAKE_CXX_COMPILER=clang++ &&
        ninja -C "$build/tidy" weft_pb &&
        our_sources | grep -E '/(proto|ngx_module|sidecar|weftctl|demo)/.*\.cpp$' |
        xargs -P2 -n4 clang-tidy --quiet -p "$build/tidy"
}

look_fuzz() {
    local seconds=${WEFT_FUZZ_SECONDS:-10} folder=$build/fuzz fuzzer name status=0 ran=0
    configure "$folder" -DCMAKE_C_COMPILER=clang -DCMAKE_CXX_COMPILER=clang++ -DWEFT_FUZZ=ON -DWEFT_TESTS=OFF \
        -DWEFT_BENCH=OFF -DWEFT_SANITIZE=address,undefined || return 1
    ninja -C "$folder" || return 1
    for fuzzer in "$folder"/fuzz_*; do
        [[ -x $fuzzer && -f $fuzzer ]] || continue
        name=${fuzzer##*/fuzz_}
        mkdir -p "$folder/corpus/$name"
        "$fuzzer" -max_total_time="$seconds" -timeout=10 -rss_limit_mb=2048 -artifact_prefix="$folder/$name-" \
            "$folder/corpus/$name" || status=1
        ran=$((ran + 1))
    done
    say "$ran fuzzers ran $seconds seconds each"
    [[ $ran -gt 0 && $status -eq 0 ]]
}

declare -A result=()
worst=0
for look in "${looks[@]}"; do
    declare -F "look_$look" >/dev/null || die "no look is named $look"
    say "== $look"
    started=$SECONDS
    set +e
    (
        set -e -o pipefail
        "look_$look"
    ) >"$logs/$look.log" 2>&1
    status=$?
    set -e
    if [[ $status -eq 0 ]]; then
        result[$look]="ok, $((SECONDS - started)) s"
    else
        worst=1
        result[$look]="failed, $((SECONDS - started)) s: build/check-logs/$look.log"
        tail -n 40 "$logs/$look.log"
    fi
done
say ''
for look in "${looks[@]}"; do printf '%-8s %s\n' "$look" "${result[$look]}"; done
exit "$worst"
