#!/usr/bin/env bash
# conformance.sh [--self-check] [PATTERN…] : runs Autobahn|Testsuite's cases against an nginx with the module, at a location
# that echoes; all of them, or those that match a pattern ('9.*' 12.1.1). Prints how the cases went; the report, with the
# bytes of each case, is build/conformance/index.html. Fails unless every case is OK, NON-STRICT or INFORMATIONAL.
#   --self-check     the server is node's ws instead: it shows that suite and script work, and what a peer gets
#   CASES            patterns, when none are arguments
#   WEFT_PYTHON2     the Python 2.7 to use (default: python2.7 in PATH, then pyenv's)
#   WEFT_NGINX       the nginx to use (default: that in PATH, or /usr/sbin/nginx)
set -euo pipefail
# shellcheck source=scripts/common.sh
. "$(dirname "${BASH_SOURCE[0]}")/common.sh"

server=nginx
if [[ ${1:-} == --self-check ]]; then
    server=ws
    shift
fi
patterns=("$@")
[[ $# -gt 0 ]] || read -r -a patterns <<<"${CASES:-}"
for pattern in "${patterns[@]}"; do
    [[ $pattern =~ ^[0-9.*]+$ ]] || die "'$pattern' is no pattern of cases: try '9.*' or 12.1.1"
done

here=$root/tests/conformance
packages=$build/conformance-packages # what pip brings
report=$build/conformance
[[ $server == nginx ]] || report=$build/conformance-self-check
time_limit=14400 # seconds for the whole suite, which has limits of its own for each case
start_limit=30   # seconds until the server must answer
stop_limit=10    # seconds that it gets to end

# ---- the suite ---------------------------------------------------------------------------------------------------------

# A pyenv shim is there, and fails, when another version of Python is chosen; so each is tried.
find_python() {
    local candidate
    for candidate in "${WEFT_PYTHON2:-}" python2.7 "${PYENV_ROOT:-$HOME/.pyenv}"/versions/2.7.*/bin/python2.7; do
        [[ -n $candidate ]] || continue
        if "$candidate" -c 'import sys; sys.exit(sys.version_info[:2] != (2, 7))' >/dev/null 2>&1; then
            python=$candidate
            return
        fi
        [[ $candidate != "${WEFT_PYTHON2:-}" ]] || die "WEFT_PYTHON2 is $candidate, which runs no Python 2.7"
    done
    die "Autobahn|Testsuite needs CPython 2.7, which Debian 12 no longer has. Install it with pyenv
  (https://github.com/pyenv/pyenv): pyenv install 2.7.18
Its versions are found by themselves; for any other set WEFT_PYTHON2."
}

fetch() {
    "$python" -m pip --disable-pip-version-check install --quiet --no-deps --require-hashes --no-compile \
        --target "$packages" --requirement "$here/$1"
}

python=''
find_python
if ! cmp -s "$here/requirements.txt" "$packages/installed.txt"; then
    "$python" -c 'import pip, setuptools' 2>/dev/null ||
        die "$python has no pip and setuptools, which bring the suite: $python -m ensurepip"
    say "fetching Autobahn|Testsuite"
    rm -rf "$packages"
    mkdir -p "$packages"
    log=$build/conformance-pip.log
    if ! fetch requirements.txt >"$log" 2>&1; then
        tail -n 20 "$log" >&2
        die "pip could not install the suite (its whole output: $log)"
    fi
    fetch requirements-fast.txt >>"$log" 2>&1 ||
        warn "wsaccel could not be built (see $log): the suite masks in Python and is slower"
    cp "$here/requirements.txt" "$packages/installed.txt"
fi

# ---- the server --------------------------------------------------------------------------------------------------------

state=$(mktemp -d "${TMPDIR:-/tmp}/weft-conformance.XXXXXX")
chmod 711 "$state"
server_pid='' suite_pid='' port=''

# end PID : SIGTERM, and SIGKILL if that does not help; fails if the process didn't end with status 0.
end() {
    local tries=$((stop_limit * 20))
    kill -TERM "$1" 2>/dev/null || true
    while kill -0 "$1" 2>/dev/null; do
        if [[ $((tries--)) -le 0 ]]; then
            warn "process $1 did not end within $stop_limit seconds: killed"
            kill -KILL "$1" 2>/dev/null || true
        fi
        sleep 0.05
    done
    wait "$1"
}
finish() {
    local status=$?
    trap '' INT TERM
    trap - EXIT
    [[ -z $suite_pid ]] || end "$suite_pid" || true
    [[ -z $server_pid ]] || end "$server_pid" || true
    rm -rf "$state"
    exit "$status"
}
trap finish EXIT
trap 'exit 130' INT TERM

answers() { (exec 3<>"/dev/tcp/127.0.0.1/$port") 2>/dev/null; }

# until_true COMMAND… : tries it until it succeeds, as long as the server runs.
until_true() {
    local deadline=$((SECONDS + start_limit))
    until "$@"; do
        if ! kill -0 "$server_pid" 2>/dev/null || [[ $SECONDS -ge $deadline ]]; then
            cat "$state"/*.log >&2
            die "$server did not start"
        fi
        sleep 0.1
    done
}

start_nginx() {
    local nginx user='' candidate
    nginx=${WEFT_NGINX:-$(PATH=$PATH:/usr/sbin command -v nginx)} || die "nginx is not installed (make deps)"
    [[ -e $build/ngx_http_weft_module.so ]] || die "the module is not built: make build"
    [[ $(id -u) -ne 0 ]] || user="user root $(id -gn);"
    for ((candidate = 9001; candidate < 9999; candidate++)); do
        port=$candidate
        answers || break
    done
    mkdir "$state/temp"
    sed -e "s|@MODULE@|$build/ngx_http_weft_module.so|; s|@PORT@|$port|; s|@STATE@|$state|; s|@USER@|$user|" \
        "$here/nginx.conf.in" >"$state/nginx.conf"
    setpriv --pdeathsig TERM "$nginx" -p "$state" -e "$state/error.log" -c "$state/nginx.conf" \
        </dev/null >"$state/output.log" 2>&1 &
    server_pid=$!
    until_true answers
}

start_ws() {
    "$root/scripts/npm-ci.sh" >"$build/conformance-npm.log" 2>&1 || die "npm failed: $build/conformance-npm.log"
    setpriv --pdeathsig TERM node "$here/ws-echo.mjs" </dev/null >"$state/output.log" 2>&1 &
    server_pid=$!
    until_true grep -q '^ready ' "$state/output.log"
    port=$(sed -n 's/^ready //p' "$state/output.log")
}

"start_$server"

# ---- the run -----------------------------------------------------------------------------------------------------------

name=weft
[[ $server == nginx ]] || name=$server
rm -rf "$report"
mkdir -p "$report"
sed -e "s|@REPORT@|$report|; s|@NAME@|$name|g; s|@PORT@|$port|g" "$here/fuzzingclient.json.in" >"$report/spec.json"
started=$SECONDS
status=0
timeout "$time_limit" "$python" -uB "$here/suite.py" "$packages" "$report/spec.json" "${patterns[@]}" \
    </dev/null >"$report/suite.log" &
suite_pid=$!
wait "$suite_pid" || status=$?
suite_pid=''
[[ $status -eq 0 ]] || warn "the suite ended with status $status: $report/suite.log"

failed=0
perl "$here/report.pl" "$report" || failed=1
say "$((SECONDS - started)) s; report: $report/index.html"

# A worker that died and was replaced would have cost one case only.
stopped=0
if [[ $server == nginx ]]; then
    end "$server_pid" || stopped=$?
    server_pid=''
    cp "$state/error.log" "$report/error.log"
    [[ $stopped -eq 0 ]] || warn "nginx ended with status $stopped"
    if grep -E '\[(alert|emerg|crit)\]|exited on signal|open socket|Sanitizer' "$report/error.log" >&2; then
        warn "nginx logged this: $report/error.log"
        failed=1
    fi
fi
[[ $status -eq 0 && $failed -eq 0 && $stopped -eq 0 ]]
