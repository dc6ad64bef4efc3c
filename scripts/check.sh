#!/usr/bin/env bash
# check.sh [NAME…] : the looks that are too slow for every build; all of them unless some are named. Each builds in a
# folder of its own below build/, goes on after a failure of another, and the end says how each went.
#   format      clang-format changes nothing
#   scripts     shellcheck
#   simulation  10,000 seeds of the simulated meshes: 2,000 (WEFT_SIM_SEEDS) of each of five scenarios, in two processes
#   asan        the unit and simulation tests with AddressSanitizer and UndefinedBehaviorSanitizer
#   tsan        the same with ThreadSanitizer (tests/tsan.supp: what it can't see of libzmq)
#   nginx-asan  t/*.t against a module and a weftd with AddressSanitizer, UndefinedBehaviorSanitizer and LeakSanitizer
#               (tests/lsan.supp: what nginx itself doesn't give back)
#   leaks       nginx and weftd under valgrind through connects, reloads and kills (tests/leaks, tests/valgrind.supp)
#   tidy        clang-tidy (.clang-tidy), over what changed since it passed
#   fuzz        each fuzzer over its corpus in tests/fuzz/corpus, and then for WEFT_FUZZ_SECONDS (10) from there
# shellcheck disable=SC2317 # the looks are called by name
set -euo pipefail
# shellcheck source=scripts/common.sh
. "$(dirname "${BASH_SOURCE[0]}")/common.sh"
cd "$root"

looks=("$@")
[[ $# -gt 0 ]] || looks=(format scripts simulation asan tsan nginx-asan leaks tidy fuzz)
logs=$build/check-logs
mkdir -p "$logs"

# configure FOLDER OPTION… : a build without the module.
configure() {
    local folder=$1
    shift
    cmake -S "$root" -B "$folder" -G Ninja -DWEFT_MODULE=OFF "$@"
}

# configure_module FOLDER OPTION… : a build with the module for Debian's nginx, without the tests.
configure_module() {
    local folder=$1
    shift
    "$root/scripts/nginx-objs.sh" "$build/nginx" &&
        configure "$folder" -DWEFT_MODULE=ON -DWEFT_NGINX_SOURCE="$build/nginx" -DWEFT_NGINX_OBJS="$build/nginx/objs" \
            -DWEFT_BENCH=OFF -DWEFT_TESTS=OFF "$@"
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
    shellcheck -x "$root"/scripts/*.sh "$root/.ci/run" "$root"/tests/build/*.sh "$root"/bench/run.sh "$root"/demo/feed.sh
}
look_asan() { sanitized asan address,undefined; }
look_tsan() { sanitized tsan thread; }

# Each scenario's seeds in two halves, side by side.
look_simulation() {
    local folder=$build/simulation half status=0 each=$((${WEFT_SIM_SEEDS:-2000} / 2)) pids=()
    configure "$folder" -DWEFT_BENCH=OFF && ninja -C "$folder" weft_simulation_tests || return 1
    for half in 0 1; do
        WEFT_SIM_FIRST=$((1 + half * each)) WEFT_SIM_SEEDS=$each "$folder/weft_simulation_tests" \
            --gtest_filter='Mesh*.*Whatever*:MeshAcknowledgement.*OneNode*' &
        pids+=($!)
    done
    for half in "${pids[@]}"; do wait "$half" || status=1; done
    return "$status"
}

# sanitized_nginx FOLDER : leaves there an nginx for the module in FOLDER. Debian's nginx is not instrumented, so the
# sanitizers' library must be in the process before it loads the module. In a binary upgrade nginx runs what it was called
# as, with hardly any environment: it must come by here again. Leaks are not looked for in that process, nor in one that
# looks at a configuration: nginx gives back nothing when it ends there, and its main() can't be named in a suppression, for
# all is called by it.
sanitized_nginx() {
    local file=$1/nginx library standard nginx
    library=$(ldd "$1/ngx_http_weft_module.so" | sed -n 's/.* => \(.*libasan\.so[^ ]*\) .*/\1/p')
    [[ -n $library ]] || die "the module has no libasan (gcc links it as a library; clang doesn't)"
    # Or AddressSanitizer, which looks for it as nginx starts, knows of no way to throw an exception.
    standard=$(ldd "$1/ngx_http_weft_module.so" | sed -n 's/.* => \(.*libstdc++\.so[^ ]*\) .*/\1/p')
    nginx=$(PATH=$PATH:/usr/sbin command -v nginx)
    cat >"$file" <<END
#!/bin/bash
export LD_PRELOAD="$library $standard" ASAN_OPTIONS=\${ASAN_OPTIONS-$ASAN_OPTIONS:detect_leaks=0} LSAN_OPTIONS=$LSAN_OPTIONS UBSAN_OPTIONS=\${UBSAN_OPTIONS-$UBSAN_OPTIONS}
[[ " \$* " != *" -"[tT]" "* ]] || ASAN_OPTIONS+=:detect_leaks=0
exec -a "\$0" $nginx "\$@"
END
    chmod +x "$file"
}

# Stacks are taken the slow way, since nginx keeps no frame pointers and a leak's stack must show who asked nginx for the
# memory. What is freed is kept for 16 MiB, not 256, for tests that bound a worker's memory.
look_nginx-asan() {
    local folder=$build/nginx-asan
    export ASAN_OPTIONS=detect_leaks=1:fast_unwind_on_malloc=0:quarantine_size_mb=16
    ASAN_OPTIONS+=:detect_stack_use_after_return=1:strict_string_checks=1
    export LSAN_OPTIONS=suppressions=$root/tests/lsan.supp:print_suppressions=0 UBSAN_OPTIONS=print_stacktrace=1
    configure_module "$folder" -DWEFT_SANITIZE=address,undefined &&
        ninja -C "$folder" ngx_http_weft_module.so weftd weftctl &&
        sanitized_nginx "$folder" &&
        WEFT_BUILD=$folder WEFT_NGINX=$folder/nginx WEFT_TIMEOUT=${WEFT_TIMEOUT:-120} \
            prove -It/lib -j2 --timer -r t
}

look_leaks() {
    "$root/scripts/build.sh" product && prove --timer -r tests/leaks
}

look_tidy() {
    # The module's files need nginx's configured headers, so this looks through the ordinary build's commands.
    configure_module "$build/tidy" -DCMAKE_CXX_COMPILER=clang++ &&
        ninja -C "$build/tidy" weft_pb &&
        our_sources | grep -E '/(proto|ngx_module|sidecar|weftctl|demo)/.*\.cpp$' |
        xargs "$root/scripts/tidy.sh" "$build/tidy"
}

look_fuzz() {
    local seconds=${WEFT_FUZZ_SECONDS:-10} folder=$build/fuzz file fuzzer name kept status=0 ran=0
    "$root/scripts/build-fuzzers.sh" "$folder" || return 1
    for file in "$root"/tests/fuzz/*.cpp; do
        name=$(basename "$file" .cpp) fuzzer=$folder/fuzz_$name kept=$root/tests/fuzz/corpus/$name
        if ! compgen -G "$kept/*" >/dev/null; then
            warn "no corpus for $name: make one with scripts/fuzz-corpus.sh $name"
            status=1
            continue
        fi
        mkdir -p "$folder/corpus/$name"
        # First what was once found worth keeping, then something new.
        "$fuzzer" -runs=0 "$kept" &&
            "$fuzzer" -max_total_time="$seconds" -timeout=10 -rss_limit_mb=2048 -artifact_prefix="$folder/$name-" \
                "$folder/corpus/$name" "$kept" || status=1
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
for look in "${looks[@]}"; do printf '%-11s %s\n' "$look" "${result[$look]}"; done
exit "$worst"
