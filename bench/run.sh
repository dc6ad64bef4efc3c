#!/usr/bin/env bash
# run.sh : measures Weft beside other servers, all on this machine, and prints a table of medians and ratios.
#   --full              all servers and longer runs (default: a few minutes)
#   --servers "A B"     of weft, nchan, uws, ws, socketio; those that are not installed are left out and named
#   --only REGEX        of the cases below
#   --rounds N          measurements of each server in each case, interleaved: A B C, A B C, … (3)
#   --seconds S         length of one measurement (2)
#   --build DIR         where weft-load, weftd and the module are (build/)
#   --out FILE          the raw results, a line a measurement (bench/results/TIME.jsonl)
# Every measurement gets servers that have just been started. With two cores or more, servers run on one and the load
# on another.
set -euo pipefail

here=$(cd "$(dirname "${BASH_SOURCE[0]}")" && pwd)
root=$(dirname "$here")
build=$root/build
peers=$here/peers
servers="weft nchan uws ws"
only=.
rounds=3
seconds=2
out=$here/results/$(date +%Y%m%d-%H%M%S).jsonl
die() {
    printf '%s: %s\n' "${0##*/}" "$*" >&2
    exit 1
}
while [[ $# -gt 0 ]]; do
    case $1 in
    --full) servers="weft nchan uws ws socketio" rounds=5 seconds=5 ;;
    --servers) servers=${2:?} && shift ;;
    --only) only=${2:?} && shift ;;
    --rounds) rounds=${2:?} && shift ;;
    --seconds) seconds=${2:?} && shift ;;
    --build) build=${2:?} && shift ;;
    --out) out=${2:?} && shift ;;
    -h | --help)
        sed -n '2,/^set /{/^#/s/^# \{0,1\}//p}' "$0"
        exit 0
        ;;
    *) die "what is $1? --help says what there is" ;;
    esac
    shift
done

# A case: its name, then weft-load's arguments. A window of 32 lets a server put several publications into one write;
# a window of 1 can't, so it shows the bare cost of a delivery.
cases=(
    "fanout-1x1000        fanout --subscribers-per-channel 1000 --window 32"
    "fanout-1x5000        fanout --subscribers-per-channel 5000 --window 32"
    "fanout-1x1000-single fanout --subscribers-per-channel 1000 --window 1"
    "fanout-1000x5        fanout --channels 1000 --subscribers-per-channel 5 --window 128"
    "rate-1x1000-20       fanout --subscribers-per-channel 1000 --rate 20"
    "latency              latency --rate 200"
    "idle-one-channel     idle --connections 5000 --channels 1"
    "idle-own-channels    idle --connections 5000 --channels 5000"
    "handshakes           handshakes"
    "subscriptions        handshakes --until-ready"
)

load=$build/weft-load
[[ -x $load ]] || die "$load is not there: make build makes it"
nginx=$(PATH=$PATH:/usr/sbin command -v nginx || true)
ulimit -n "$(ulimit -Hn)"

# shellcheck disable=SC2034 # pin_servers is for servers.sh
pin_servers=() pin_load=()
cores=$(nproc)
if [[ $cores -ge 2 ]] && command -v taskset >/dev/null; then
    # shellcheck disable=SC2034
    pin_servers=(taskset -c 0)
    pin_load=(taskset -c 1)
fi

prefix='' arguments=() processes='' port=''
# shellcheck source=SCRIPTDIR/servers.sh
. "$here/servers.sh"

state=$(mktemp -d /tmp/weft-bench.XXXXXX) # short: a unix socket's path has room for 107 bytes
trap 'stop_servers; rm -rf "$state"' EXIT
trap 'exit 130' INT TERM

# The peers from npm, which are no part of Weft, are installed when they are first needed.
if [[ $servers =~ ws|socketio && ! -d $peers/node_modules/ws ]] && command -v npm >/dev/null; then
    echo "installing peers from npm …" >&2
    (cd "$peers" && npm install --no-audit --no-fund --no-package-lock --loglevel=error >&2) || echo "npm install failed" >&2
fi

present=()
for name in $servers; do
    [[ $name =~ ^(weft|nchan|uws|ws|socketio)$ ]] || die "no server is called $name"
    if "has_$name"; then present+=("$name"); else echo "$name: not installed or not built; left out" >&2; fi
done
[[ ${#present[@]} -gt 0 ]] || die "none of these servers is here: $servers"

mkdir -p "$(dirname "$out")"
: >"$out"
log=${out%.jsonl}.log
{
    printf '{"about": {"date": "%s", "cores": %s, "cpu": "%s", "kernel": "%s", "nginx": "%s", "load_at_start": "%s", ' \
        "$(date -u +%FT%TZ)" "$cores" "$(sed -n 's/^model name\s*: //p' /proc/cpuinfo | head -n 1)" "$(uname -r)" \
        "$("$nginx" -v 2>&1 | sed 's|.*nginx/||')" "$(cut -d' ' -f1 /proc/loadavg)"
    printf '"rounds": %s, "seconds": %s, "versions": {' "$rounds" "$seconds"
    separator=
    for name in "${present[@]}"; do
        printf '%s"%s": "%s"' "$separator" "$name" "$("version_of_$name")"
        separator=', '
    done
    printf '}}}\n'
} >>"$out"

# ready : a publication has come through, within 10 s of starting.
ready() {
    local deadline=$((SECONDS + 10))
    until "$load" latency "${arguments[@]}" --connect "127.0.0.1:$port" --warmup 0 --seconds 0.05 >/dev/null 2>"$prefix/ready"; do
        [[ $SECONDS -lt $deadline ]] || return 1
        sleep 0.1
    done
}

# measure SERVER CASE ROUND ARGUMENTS… : starts the server, runs the case, stops it, and appends a line to $out.
measure() {
    local name=$1 case=$2 round=$3 result='{"error": true}' counted=() one
    shift 3
    prefix=$(mktemp -d "$state/$name.XXXXXX")
    mkdir -p "$prefix/logs"
    "start_$name"
    for one in $processes; do counted+=(--server "$one"); done
    if ready; then
        result=$("${pin_load[@]}" "$load" "$@" "${arguments[@]}" --label "$name" --connect "127.0.0.1:$port" \
            "${counted[@]}" --seconds "$seconds" --warmup 0.5 2> >(tee -a "$log" >&2)) || result='{"error": true}'
    else
        echo "$name: does not answer" | tee -a "$log" >&2
        cat "$prefix/ready" >&2
    fi
    [[ $result != *'"error": true'* ]] || tail -n 5 "$prefix/output" "$prefix/error.log" 2>/dev/null | tee -a "$log" >&2 || true
    printf '{"case": "%s", "round": %s, "server": "%s", "result": %s}\n' "$case" "$round" "$name" "$result" >>"$out"
    stop_servers
    rm -rf "$prefix"
}

for line in "${cases[@]}"; do
    read -r -a words <<<"$line"
    [[ ${words[0]} =~ $only ]] || continue
    for ((round = 1; round <= rounds; round++)); do
        for name in "${present[@]}"; do
            echo "--- ${words[0]}, round $round of $rounds: $name" | tee -a "$log" >&2
            measure "$name" "${words[0]}" "$round" "${words[@]:1}"
        done
    done
done

if command -v node >/dev/null; then
    node "$here/report.mjs" "$out" | tee "${out%.jsonl}.md"
else
    echo "the table needs node; the results are in $out" >&2
fi
