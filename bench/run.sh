#!/usr/bin/env bash
# run.sh : measures Weft beside other servers, all on this machine, and prints a table of medians and ratios.
#   --full              all cases, all servers, longer runs (default: what fits in eight minutes)
#   --servers "A B"     of weft, nchan, uws, ws, socketio; those that are not installed are left out and named
#   --only REGEX        of the cases below, also of those that only --full has
#   --rounds N          measurements of each server in each case, interleaved: A B C, A B C, …
#   --seconds S         length of one measurement (1.5; with --full 3)
#   --build DIR         where weft-load, weftd and the module are (build/)
#   --out FILE          the raw results, a line a measurement (bench/results/TIME.jsonl); table, summary and chart
#                       land beside it
#   --docs              table and chart go into docs/, too
# Every measurement gets servers that have just been started. With two cores or more, servers run on one and the load
# on another. Ends with status 1 when a measurement of Weft failed or was not clean. docs/benchmarks.md says more.
set -euo pipefail

here=$(cd "$(dirname "${BASH_SOURCE[0]}")" && pwd)
root=$(dirname "$here")
build=$root/build
peers=$here/peers
servers='' only='' rounds='' seconds='' full=no docs=no
out=$here/results/$(date +%Y%m%d-%H%M%S).jsonl
die() {
    printf '%s: %s\n' "${0##*/}" "$*" >&2
    exit 1
}
command=bench/run.sh
for one in "$@"; do
    [[ $one =~ ^[A-Za-z0-9_./=-]+$ ]] || one=${one@Q}
    command+=" $one"
done
while [[ $# -gt 0 ]]; do
    case $1 in
    --full) full=yes ;;
    --docs) docs=yes ;;
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
[[ $out == *.jsonl ]] || die "--out $out: expected a name that ends in .jsonl"

# A case: its name, its rounds in the short run (0: only with --full), its rounds with --full, weft-load's arguments.
# A window of 128 keeps the others' cores full (Weft's to 87 % at 1 x 100), and lets a server put several publications
# into one write; with 32 and few subscribers all of them wait for the load in part; a window of 1 shows the bare cost
# of a delivery. Where Weft is --raw its clients get the data alone, as those of uws and ws always do. Memory hardly
# differs between rounds. IDLE is 10,000 where so many files may be open.
cases=(
    "fanout-1x100         3 5 fanout --subscribers-per-channel 100 --window 128"
    "fanout-1x1000        3 5 fanout --subscribers-per-channel 1000 --window 128"
    "fanout-1x5000        3 5 fanout --subscribers-per-channel 5000 --window 128"
    "fanout-1000x5        3 5 fanout --channels 1000 --subscribers-per-channel 5 --window 128"
    "fanout-1x100-32      3 5 fanout --subscribers-per-channel 100 --window 32"
    "fanout-1x1000-32     0 5 fanout --subscribers-per-channel 1000 --window 32"
    "fanout-1x5000-32     0 5 fanout --subscribers-per-channel 5000 --window 32"
    "fanout-1000x5-32     0 5 fanout --channels 1000 --subscribers-per-channel 5 --window 32"
    "fanout-1x100-32-raw  0 5 fanout --subscribers-per-channel 100 --window 32 --raw"
    "fanout-1x100-raw     0 5 fanout --subscribers-per-channel 100 --window 128 --raw"
    "fanout-1x1000-raw    3 5 fanout --subscribers-per-channel 1000 --window 128 --raw"
    "fanout-1x5000-raw    0 5 fanout --subscribers-per-channel 5000 --window 128 --raw"
    "fanout-1000x5-raw    0 5 fanout --channels 1000 --subscribers-per-channel 5 --window 128 --raw"
    "fanout-1x1000-single 0 5 fanout --subscribers-per-channel 1000 --window 1"
    "rate-1x1000-20       3 5 fanout --subscribers-per-channel 1000 --rate 20"
    "latency              3 5 latency --rate 200"
    "idle-one-channel     1 3 idle --connections IDLE --channels 1"
    "idle-own-channels    0 3 idle --connections IDLE --channels IDLE"
    "idle-tls             1 3 idle --connections IDLE --channels 1 --tls"
    "handshakes           2 5 handshakes"
    "subscriptions        0 5 handshakes --until-ready"
    "handshakes-tls       2 5 handshakes --tls"
    "fanout-1x1000-tls    0 5 fanout --subscribers-per-channel 1000 --window 128 --tls"
    "fanout-1x1000-sse    3 5 fanout --subscribers-per-channel 1000 --window 128 --sse"
    "rate-1x1000-20-poll  1 3 fanout --subscribers-per-channel 1000 --rate 20 --poll"
    "idle-poll            1 3 idle --connections IDLE --channels 1 --poll"
    "idle-sse             1 3 idle --connections IDLE --channels 1 --sse"
    "reload-5x1000        1 1 fanout --channels 5 --subscribers-per-channel 1000 --rate 100 --reloads 50 --seconds 60"
)
if [[ $full == yes ]]; then
    : "${servers:=weft nchan uws ws socketio}" "${seconds:=3}"
else
    : "${servers:=weft nchan uws}" "${seconds:=1.5}"
fi

# rounds_of SHORT FULL : of a case that was chosen.
rounds_of() {
    if [[ -n $rounds ]]; then
        echo "$rounds"
    elif [[ $full == yes || $1 -eq 0 ]]; then
        echo "$2"
    else
        echo "$1"
    fi
}

chosen=()
for line in "${cases[@]}"; do
    read -r name short _ <<<"$line"
    if [[ -n $only ]]; then
        [[ $name =~ $only ]] || continue
    elif [[ $full == no && $short -eq 0 ]]; then
        continue
    fi
    chosen+=("$line")
done
[[ ${#chosen[@]} -gt 0 ]] || die "--only $only matches no case"

build=$(realpath -- "$build") || die "--build $build: there is no such directory"
load=$build/weft-load
[[ -x $load ]] || die "$load is not there: make build makes it"
nginx=$(PATH=$PATH:/usr/sbin command -v nginx || true)
# nginx reserves memory for as many connections as it may have, so this is enough and not more.
files=$(ulimit -Hn)
[[ $files != unlimited && $files -le 20000 ]] || files=20000
ulimit -n "$files"
idle=10000
if [[ $files -lt 10600 ]]; then
    idle=2000
    echo "only $files open files are allowed: 2,000 idle connections instead of 10,000" >&2
fi

# shellcheck disable=SC2034 # pin_servers is for servers.sh
pin_servers=() pin_load=()
cores=$(nproc)
if [[ $cores -ge 2 ]] && command -v taskset >/dev/null; then
    # shellcheck disable=SC2034
    pin_servers=(taskset -c 0)
    pin_load=(taskset -c 1)
fi

prefix='' arguments=() processes='' port='' tls=no lean=no history=no
# shellcheck source=SCRIPTDIR/servers.sh
. "$here/servers.sh"

state=$(mktemp -d /tmp/weft-bench.XXXXXX) # short: a unix socket's path has room for 107 bytes
trap 'stop_servers; rm -rf "$state"' EXIT
trap 'exit 130' INT TERM

certificate=$state/certificate.pem certificate_key=$state/certificate.key
if [[ ${chosen[*]} == *--tls* ]]; then
    command -v openssl >/dev/null || die "the cases with TLS need the openssl command"
    openssl req -x509 -newkey ec -pkeyopt ec_paramgen_curve:prime256v1 -nodes -days 2 -subj /CN=localhost \
        -keyout "$certificate_key" -out "$certificate" 2>"$state/openssl.log" || die "$(cat "$state/openssl.log")"
fi

# The peers from npm, which are no part of Weft, are installed when they are first needed.
if [[ $servers =~ ws|socketio ]] && ! cmp -s "$peers/package.json" "$peers/node_modules/weft-package.json" &&
    command -v npm >/dev/null; then
    echo "installing peers from npm …" >&2
    if (cd "$peers" && npm install --no-audit --no-fund --no-package-lock --loglevel=error >&2); then
        cp "$peers/package.json" "$peers/node_modules/weft-package.json"
    else
        echo "npm install failed" >&2
    fi
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
    command=${command//\\/\\\\}
    printf '"command": "%s", ' "${command//\"/\\\"}"
    printf '"seconds": %s, "versions": {' "$seconds"
    separator=
    for name in "${present[@]}"; do
        printf '%s"%s": "%s"' "$separator" "$name" "$("version_of_$name")"
        separator=', '
    done
    printf '}}}\n'
} >>"$out"
if [[ ${chosen[*]} == *idle*--tls* ]]; then
    printf '{"openssl": %s}\n' \
        "$("$load" openssl-memory --certificate "$certificate" --key "$certificate_key" 2>>"$log")" >>"$out"
fi

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
    local name=$1 case=$2 round=$3 result='{"error": true}' counted=() one length=(--seconds "$seconds")
    shift 3
    [[ " $* " != *" --seconds "* ]] || length=()
    prefix=$(mktemp -d "$state/$name.XXXXXX")
    mkdir -p "$prefix/logs"
    "start_$name"
    for one in $processes; do counted+=(--server "$one"); done
    if ready; then
        result=$("${pin_load[@]}" "$load" "$@" "${arguments[@]}" --label "$name" --connect "127.0.0.1:$port" \
            "${counted[@]}" "${length[@]}" --warmup 0.5 2> >(tee -a "$log" >&2)) || result='{"error": true}'
    else
        echo "$name: does not answer" | tee -a "$log" >&2
        cat "$prefix/ready" >&2
    fi
    [[ $result != *'"error": true'* ]] || tail -n 5 "$prefix/output" "$prefix/error.log" 2>/dev/null | tee -a "$log" >&2 || true
    printf '{"case": "%s", "round": %s, "server": "%s", "result": %s}\n' "$case" "$round" "$name" "$result" >>"$out"
    stop_servers
    rm -rf "$prefix"
}

began=$SECONDS
for line in "${chosen[@]}"; do
    read -r case short long rest <<<"$line"
    rest=${rest//IDLE/$idle}
    read -r -a words <<<"${rest/--tls/}"
    tls=no
    [[ $rest != *--tls* ]] || tls=yes
    # Between two polls nobody listens: what comes then is had from the history.
    # shellcheck disable=SC2034 # for servers.sh
    [[ $rest == *--poll* ]] && history=yes || history=no
    # shellcheck disable=SC2034 # for servers.sh
    [[ $case == idle* ]] && lean=yes || lean=no
    count=$(rounds_of "$short" "$long")
    for ((round = 1; round <= count; round++)); do
        for name in "${present[@]}"; do
            [[ $tls == no || " $tls_servers " == *" $name "* ]] || continue
            [[ $rest != *--sse* && $rest != *--poll* || " $http_servers " == *" $name "* ]] || continue
            [[ $rest != *--reloads* || " $nginx_servers " == *" $name "* ]] || continue
            echo "--- $case, round $round of $count: $name" | tee -a "$log" >&2
            # The others send the data alone as it is.
            own=("${words[@]}")
            [[ $name == weft ]] || read -r -a own <<<"${words[*]/--raw/}"
            measure "$name" "$case" "$round" "${own[@]}"
        done
    done
done
echo "--- measured in $((SECONDS - began)) s" | tee -a "$log" >&2

if command -v node >/dev/null; then
    node "$here/report.mjs" "$out" | tee "${out%.jsonl}.md"
    node "$here/chart.mjs" "${out%.jsonl}.summary.json" >"${out%.jsonl}.svg"
    [[ $docs == no ]] || node "$here/docs.mjs" "$out"
else
    echo "table and chart need node; the results are in $out" >&2
fi
# What a Broker thread does without its sockets, where Google Benchmark is there to tell.
micro=$(dirname "$load")/weft-micro
if [[ -x $micro && (-z $only || broker_publish =~ $only) ]]; then
    "${pin_load[@]}" "$micro" --benchmark_filter='^broker' --benchmark_format=json 2>>"$log" >"${out%.jsonl}.broker.json"
    node --input-type=module - "${out%.jsonl}.broker.json" <<'JS' | tee -a "${out%.jsonl}.md"
import { readFileSync } from 'node:fs';
const { benchmarks } = JSON.parse(readFileSync(process.argv[2], 'utf8'));
console.log('\n| one Broker thread, 128 bytes of data | frames in, k/s | frames out, k/s |\n|---|---|---|');
for (const { name, frames_in, frames_out } of benchmarks.filter((one) => one.frames_in)) {
  console.log(`| ${name.split('/').slice(1).join(', ')} | ${Math.round(frames_in / 1000)} | ${Math.round(frames_out / 1000)} |`);
}
const memory = benchmarks.find((one) => one.bytes_a_channel);
console.log(`\n200,000 channels with a million entries of 100 bytes: ${Math.round(memory.bytes_a_channel)} bytes a channel, ${Math.round(memory.bytes_an_entry)} an entry.`);
JS
fi
# What there is to one message besides what servers do, on the cores that servers and load have.
if [[ -x $micro && (-z $only || latency =~ $only) ]]; then
    hop_us() { # NAME PIN… : microseconds, the median
        "${@:2}" "$micro" --benchmark_filter="^hop_$1" --benchmark_format=json 2>>"$log" | sed -n 's/.*"p50_us": \([0-9.e+]*\).*/\1/p'
    }
    printf '\nOne message there and back over a socket: %.0f us; over ZeroMQ: %.0f us (medians, 200 a second).\n' \
        "$(hop_us socket "${pin_load[@]}")" "$(hop_us zeromq "${pin_servers[@]}")" | tee -a "${out%.jsonl}.md"
fi
if grep -Eq '"server": "weft", "result": .*("error": true|"clean": false)' "$out"; then
    die "not clean: Weft failed, or lost, repeated or reordered something (above, and in $log)"
fi
