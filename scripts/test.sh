#!/usr/bin/env bash
# test.sh [unit] [nginx] [browser] [clients] : installs what is missing, builds, runs the suites (all of them unless some are
# named), and ends with one line that counts: N passed, N failed, N skipped. A suite without a test is a failure.
#   unit     GoogleTest and build tests, by ctest
#   nginx    t/*.t against a real nginx and weftd, by prove
#   browser  node's ws and Chromium against two nodes, by node --test
#   clients  clients/ against two nodes: TypeScript by vitest, Python by unittest
set -euo pipefail
# shellcheck source=scripts/common.sh
. "$(dirname "${BASH_SOURCE[0]}")/common.sh"
cd "$root"

suites=("$@")
[[ $# -gt 0 ]] || suites=(unit nginx browser clients)
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

# npm_packages SUITE FOLDER… : installs what these folders need, or counts a failure of the suite.
npm_packages() {
    local suite=$1
    shift
    "$root/scripts/npm-ci.sh" "$@" >"$logs/npm-$suite.log" 2>&1 && return
    tail -n 20 "$logs/npm-$suite.log" >&2
    add "$suite" 1 0 0 0
    return 1
}

run_browser() {
    local status=0 tap=$logs/browser.tap name value
    local -A count=([pass]=0 [fail]=0 [cancelled]=0 [skipped]=0 [todo]=0)
    rm -f "$tap"
    npm_packages browser tests/browser || return
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

run_clients() {
    local status=0 xml=$logs/typescript.xml total bad skips
    npm_packages clients tests/browser clients/typescript || return
    (cd clients/typescript && npm run --silent build &&
        timeout 900 node_modules/.bin/vitest run --reporter=default --reporter=junit --outputFile.junit="$xml") 2>&1 |
        tee "$logs/clients.log"
    status=${PIPESTATUS[0]}
    total=$(attribute tests "$xml") skips=$(grep -c '<skipped' "$xml" 2>/dev/null)
    bad=$(($(attribute failures "$xml") + $(attribute errors "$xml")))
    mapfile -t -O "${#told[@]}" told < <(sed -nE 's/^ *FAIL +/failed: clients: /p' "$logs/clients.log" | sort -u)
    add clients "$status" $((total - bad - skips)) "$bad" "$skips"

    # Debian's own python3: others on the PATH don't see its packages.
    local summary=$logs/python.counts good=0
    /usr/bin/python3 clients/python/tests/run.py "$summary" 2>&1 | tee "$logs/python.log"
    status=${PIPESTATUS[0]} bad=0 skips=0
    [[ -f $summary ]] && read -r good bad skips <"$summary"
    mapfile -t -O "${#told[@]}" told < <(sed -nE 's/^(FAIL|ERROR): /failed: python: /p' "$logs/python.log")
    add python "$status" "$good" "$bad" "$skips"
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
    unit | nginx | browser | clients) ;;
    *) die "no suite is named $suite: unit, nginx, browser, clients" ;;
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
