#!/usr/bin/env bash
# test.sh [unit] [nginx] [browser] : installs what is missing, builds, runs the suites (all of them unless some are
# named), and ends with one line that counts: N passed, N failed, N skipped. A suite without a test is a failure.
#   unit     GoogleTest and build tests, by ctest
#   nginx    t/*.t against a real nginx and weftd, by prove
#   browser  node's ws and Chromium against two nodes, by node --test
set -euo pipefail
# shellcheck source=scripts/common.sh
. "$(dirname "${BASH_SOURCE[0]}")/common.sh"
cd "$root"

suites=("$@")
[[ $# -gt 0 ]] || suites=(unit nginx browser)
logs=$build/test-logs
passed=0 failed=0 skipped=0
told=() # one line for each test that failed or was skipped

# add SUITE STATUS PASSED FAILED SKIPPED : counts one suite. An exit status that its numbers do not explain, or no test
# at all, counts as one failure.
add() {
    local suite=$1 status=$2 good=$3 bad=$4 skips=$5
    if [[ $((good + bad)) -eq 0 ]]; then
        warn "$suite: no test ran (log: build/test-logs/$suite.log)"
        told+=("failed: $suite: no test ran")
        bad=1
    elif [[ $status -ne 0 && $bad -eq 0 ]]; then
        warn "$suite: ended with status $status though no test failed (log: build/test-logs/$suite.log)"
        told+=("failed: $suite: ended with status $status")
        bad=1
    fi
    passed=$((passed + good)) failed=$((failed + bad)) skipped=$((skipped + skips))
    say "-- $suite: $good passed, $bad failed, $skips skipped"
}

# The value of attribute $1 in the first line of JUnit's XML in file $2, or 0.
attribute() {
    local value
    value=$(grep -om1 "\\b$1=\"[0-9]*\"" "$2" 2>/dev/null | head -n1 | tr -dc 0-9) || true
    printf '%s' "${value:-0}"
}

run_unit() {
    local status=0 xml=$logs/unit.xml total bad skips
    rm -f "$xml"
    ctest --test-dir "$build" --output-on-failure -j2 --output-junit "$xml" 2>&1 |
        tee "$logs/unit.log" | grep -Ev '^ +Start +[0-9]+: |^ *[0-9]+/[0-9]+ Test .* Passed '
    status=${PIPESTATUS[0]}
    total=$(attribute tests "$xml") bad=$(attribute failures "$xml")
    skips=$(($(attribute skipped "$xml") + $(attribute disabled "$xml")))
    mapfile -t -O "${#told[@]}" told < <(sed -nE \
        's/^\t *[0-9]+ - (.*) \(([A-Z].*)\)( .*)?$/\2: unit: \1/; T; s/^(Skipped|Disabled)/skipped/; s/^[A-Z]\w*/failed/; p' "$logs/unit.log")
    add unit "$status" $((total - bad - skips)) "$bad" "$skips"
}

run_nginx() {
    local status=0 counts=$logs/nginx.counts good=0 bad=0 skips=0
    rm -f "$counts"
    PERL5LIB=$root/scripts/perl${PERL5LIB:+:$PERL5LIB} WEFT_PROVE_COUNTS=$counts \
        timeout 1500 prove --harness Weft::CountingHarness -It/lib -j2 --timer -r t 2>&1 |
        tee "$logs/nginx.log"
    status=${PIPESTATUS[0]}
    [[ -f $counts ]] && read -r good bad skips <"$counts"
    mapfile -t -O "${#told[@]}" told < <(tail -n +2 "$counts")
    add nginx "$status" "$good" "$bad" "$skips"
}

run_browser() {
    local status=0 tap=$logs/browser.tap name value
    local -A count=([pass]=0 [fail]=0 [cancelled]=0 [skipped]=0 [todo]=0)
    rm -f "$tap"
    if ! "$root/scripts/npm-ci.sh" >"$logs/npm.log" 2>&1; then
        tail -n 20 "$logs/npm.log" >&2
        add browser 1 0 0 0
        return
    fi
    timeout 900 node --test --test-concurrency=1 --test-reporter=spec --test-reporter-destination=stdout \
        --test-reporter=tap --test-reporter-destination="$tap" tests/browser/*.test.mjs 2>&1 |
        tee "$logs/browser.log"
    status=${PIPESTATUS[0]}
    while read -r _ name value; do
        [[ -n ${count[$name]:-} && $value =~ ^[0-9]+$ ]] && count[$name]=$value
    done < <(grep -E '^# (pass|fail|cancelled|skipped|todo) [0-9]+$' "$tap" 2>/dev/null)
    mapfile -t -O "${#told[@]}" told < <(sed -nE \
        's/^ *not ok [0-9]+ - /failed: browser: /p; s/^ *ok [0-9]+ - (.*# (SKIP|TODO))/skipped: browser: \1/p' "$tap")
    add browser "$status" "${count[pass]}" $((count[fail] + count[cancelled])) $((count[skipped] + count[todo]))
}

"$root/scripts/deps.sh" build test
rm -rf "$logs"
mkdir -p "$logs"
if ! "$root/scripts/build.sh" all; then
    warn "the build failed: no test ran"
    say "0 passed, 1 failed, 0 skipped"
    exit 1
fi
set +e # from here on every failure is counted, none ends the run
for suite in "${suites[@]}"; do
    case $suite in
    unit | nginx | browser) ;;
    *) die "no suite is named $suite: unit, nginx, browser" ;;
    esac
    say "== $suite"
    "run_$suite"
done
# What failed goes last: whoever reads only the end of a log sees it.
printf '%s\n' "${told[@]}" | grep '^skipped: ' | head -n 20
if [[ $failed -gt 0 ]]; then
    grep -hA 7 '^ *#   Failed test' "$logs/nginx.log" 2>/dev/null | head -n 60
    printf '%s\n' "${told[@]}" | grep '^failed: ' | head -n 30
    say "logs: build/test-logs"
fi
say "$passed passed, $failed failed, $skipped skipped"
[[ $failed -eq 0 ]]
