#!/usr/bin/env bash
# run.sh [--json] : runs two complete nodes on loopback from what is in build/, until Ctrl-C or SIGTERM, or until one of
# their processes ends. Node A is an nginx and a weftd, node B likewise; the weftds mesh. A node of which something is
# killed with SIGKILL is a node that somebody wants to see die: it goes down as a whole, and comes back after a while. All
# state is in a temporary folder that goes away at the end. With --json, a line that begins with "ready {" tells programs
# what is where.
#   WEFT_RUN_PORT       where to begin looking for free ports (8080 for pages, 7400 between nodes, 7480 for weftds' HTTP; if
#                       given, that, and 100 and 200 above it). Those of a node that is down can be taken by others
#   WEFT_RUN_TEMPLATES  folder of nginx.conf.in, weftd.yaml.in, www/ and perhaps feed.sh (demo)
#   WEFT_RUN_RESTART    seconds until a killed node is started again (10)
set -euo pipefail
# shellcheck source=scripts/common.sh
. "$(dirname "${BASH_SOURCE[0]}")/common.sh"

json=no
[[ ${1:-} != --json ]] || json=yes
first_port=${WEFT_RUN_PORT:-8080}
templates=${WEFT_RUN_TEMPLATES:-$root/demo}
start_limit=30 # seconds until both nodes must answer
stop_limit=10  # seconds that a process gets to end by itself
workers=2      # of each nginx
restart_after=${WEFT_RUN_RESTART:-10}

for file in ngx_http_weft_module.so weftd weftctl weft-demo-tickets; do
    [[ -e $build/$file ]] || die "build/$file is not there: make build it first (make run does)"
done
nginx=$(PATH=$PATH:/usr/sbin command -v nginx) || die "nginx is not installed (make deps)"

state=$(mktemp -d "${TMPDIR:-/tmp}/weft-run.XXXXXX")
if [[ ${#state} -gt 80 ]]; then # a unix socket's path has room for 107 bytes
    rmdir "$state"
    state=$(mktemp -d /tmp/weft-run.XXXXXX)
fi
chmod 711 "$state" # nginx's workers, if they run as another user, must reach the socket of their weftd

names=() # in the order of starting
declare -A pids=()

# start NAME COMMAND… : runs it beside us, its output labelled. It has a session of its own, so that Ctrl-C reaches us
# alone and we decide the order of stopping; it is told to stop if we are killed. NAME.meshed gets weftd's line that says
# that it hears its peer.
start() {
    local name=$1 label
    printf -v label '%-8s' "$name"
    shift
    setsid setpriv --pdeathsig TERM "$@" </dev/null 9>&- \
        > >(trap '' INT TERM && exec 9>&- sed -u -e "/event=peer_up .*direction=out/w $state/$name.meshed" \
            -e "s/^/$label | /") 2>&1 &
    [[ -v pids[$name] ]] || names+=("$name")
    pids[$name]=$!
}

# end NAME : SIGTERM, and SIGKILL if that does not help.
end() {
    local name=$1 pid=${pids[$1]} tries=$((stop_limit * 20))
    kill -TERM "$pid" 2>/dev/null || return 0
    while kill -0 "$pid" 2>/dev/null; do
        if [[ $((tries--)) -le 0 ]]; then
            warn "$name did not end within $stop_limit seconds: killed"
            kill -KILL "$pid" 2>/dev/null || true
            return 1
        fi
        sleep 0.05
    done
}

# What serves goes first, then what it leans on: the reverse of the order of starting.
finish() {
    local status=$1 index
    trap '' INT TERM
    trap - EXIT
    for ((index = ${#names[@]} - 1; index >= 0; index--)); do end "${names[index]}" || status=1; done
    rm -rf "$state"
    [[ $status -ne 0 ]] || say "stopped"
    exit "$status"
}
trap 'finish 0' INT TERM
trap 'finish 1' EXIT

fail() {
    warn "$*"
    finish 1
}

still_running() {
    local name
    for name in "${names[@]}"; do
        kill -0 "${pids[$name]}" 2>/dev/null || fail "$name ended while starting: its lines above say why"
    done
}

# until_true WHAT COMMAND… : tries the command until it succeeds; fails when WHAT takes too long.
until_true() {
    local what=$1
    shift
    until "$@"; do
        still_running
        [[ $SECONDS -lt $start_limit ]] || fail "$what did not answer within $start_limit seconds"
        sleep 0.1
    done
}

# take_port VARIABLE FROM : the first port from FROM on that nobody listens on and that we have not taken ourselves.
taken=' '
take_port() {
    local candidate
    for ((candidate = $2; candidate < $2 + 1000 && candidate < 65536; candidate++)); do
        [[ $taken != *" $candidate "* ]] || continue
        (exec 3<>"/dev/tcp/127.0.0.1/$candidate") 2>/dev/null && continue
        taken+="$candidate "
        printf -v "$1" %s "$candidate"
        return
    done
    fail "no free port from $2 on"
}

# Of several that start at once, one at a time looks for ports and opens them.
exec 9>"$build/run.lock"
flock -w $((2 * start_limit)) 9 || fail "another run.sh has been starting for too long"
SECONDS=0
port_a='' port_b='' mesh_a='' mesh_b='' http_a='' http_b=''
take_port port_a "$first_port"
take_port port_b "$((port_a + 1))"
take_port mesh_a "$((${WEFT_RUN_PORT:-7300} + 100))"
take_port mesh_b "$((mesh_a + 1))"
take_port http_a "$((${WEFT_RUN_PORT:-7280} + 200))"
take_port http_b "$((http_a + 1))"

# nginx's workers run as www-data when we are root, else as ourselves.
user_directive='' group=$(id -gn)
if [[ $(id -u) -eq 0 ]]; then
    user=www-data
    id "$user" >/dev/null 2>&1 || user=nobody
    group=$(id -gn "$user")
    user_directive="user $user $group;"
fi

key=$state/ticket.key
(umask 077 && printf 'base64:%s\n' "$(head -c 32 /dev/urandom | base64 -w 0)" >"$key")
start tickets "$build/weft-demo-tickets" --key "$key" --port-file "$state/tickets.port"
until_true 'the ticket endpoint' test -s "$state/tickets.port"
tickets=$(<"$state/tickets.port")

# fill TEMPLATE NODE PORT MESH PEER HTTP : the template with this node's values, on standard output.
fill() {
    local compression=off
    [[ $2 != a ]] || compression=on
    sed -e "s|@NODE@|$2|g; s|@PORT@|$3|g; s|@MESH@|$4|g; s|@PEER@|$5|g; s|@HTTP@|$6|g" \
        -e "s|@STATE@|$state/$2|g; s|@KEY@|$key|g; s|@TICKETS@|$tickets|g; s|@GROUP@|$group|g" \
        -e "s|@PORT_A@|$port_a|g; s|@PORT_B@|$port_b|g; s|@USER@|$user_directive|g" \
        -e "s|@COMPRESSION@|$compression|g" \
        -e "s|@WWW@|$state/www|g; s|@WORKERS@|$workers|g; s|@MODULE@|$build/ngx_http_weft_module.so|g" "$templates/$1"
}
cp -r "$templates/www" "$state/www" # the tree itself may be in a home that www-data can't enter
chmod -R a+rX "$state/www"
start_weftd() { start "${1^} weftd" "$build/weftd" --config "$state/$1/weftd.yaml"; }
start_nginx() { start "${1^} nginx" "$nginx" -p "$state/$1" -e stderr -c "$state/$1/nginx.conf"; }
for node in a b; do
    mkdir -m 711 "$state/$node"
    if [[ $node == a ]]; then
        values=("$port_a" "$mesh_a" "$mesh_b" "$http_a")
    else
        values=("$port_b" "$mesh_b" "$mesh_a" "$http_b")
    fi
    fill nginx.conf.in "$node" "${values[@]}" >"$state/$node/nginx.conf"
    fill weftd.yaml.in "$node" "${values[@]}" >"$state/$node/weftd.yaml"
    start_weftd "$node"
done
for node in a b; do start_nginx "$node"; done

# A node answers when its page and its tickets do, and all its workers have their weftd.
answers() {
    local base=http://127.0.0.1:$1
    curl -fs -o /dev/null -m 2 "$base/" && curl -fs -o /dev/null -m 2 "$base/ticket?name=run" &&
        curl -fs -m 2 "$base/weft/status" | grep -q "\"workers\":$workers,\"link\":{\"up\":$workers,"
}
until_true 'node A' answers "$port_a"
until_true 'node B' answers "$port_b"
meshed() { [[ -s "$state/A weftd.meshed" && -s "$state/B weftd.meshed" ]]; }
until_true 'the mesh' meshed
if [[ -e $templates/feed.sh ]]; then
    start feed "$templates/feed.sh" "$build/weftctl" "$port_a" "ipc://$state/a/weftd.sock" "$port_b" "ipc://$state/b/weftd.sock"
fi
exec 9>&-

# Each process leads a group: with nginx's go its workers.
how_to_kill() { printf 'kill -9 -- -%s -%s' "${pids["${1^} nginx"]}" "${pids["${1^} weftd"]}"; }

say ''
say "  node A   http://127.0.0.1:$port_a/    $(how_to_kill a)"
say "  node B   http://127.0.0.1:$port_b/    $(how_to_kill b)"
say '  Open one page on each and talk; kill a node, and go on talking. Ctrl-C stops both nodes.'
say ''
if [[ $json == yes ]]; then
    say "ready {\"nodes\":[\"http://127.0.0.1:$port_a/\",\"http://127.0.0.1:$port_b/\"],\"key\":\"$key\",\"state\":\"$state\"}"
fi

# revive NODE : what is left of it is killed, too, and the whole started again.
revive() {
    local pid pause
    for pid in "${pids["${1^} nginx"]}" "${pids["${1^} weftd"]}"; do
        kill -KILL -- "-$pid" 2>/dev/null || true
        wait "$pid" 2>/dev/null || true
    done
    say "  node ${1^} is down, and starts again in $restart_after seconds"
    setpriv --pdeathsig KILL sleep "$restart_after" >/dev/null 2>&1 &
    pause=$!
    wait "$pause" # unlike sleep itself, it lets a signal through at once
    start_weftd "$1"
    start_nginx "$1"
    say "  node ${1^} is back: $(how_to_kill "$1")"
}

while true; do
    status=0 name='' ended=''
    wait -n -p ended "${pids[@]}" 2>/dev/null || status=$? # without bash's own lines about what was killed
    for name in "${names[@]}"; do [[ ${pids[$name]} != "$ended" ]] || break; done
    case $status:$name in
    137:A\ *) revive a ;;
    137:B\ *) revive b ;;
    *) fail "$name ended with status $status: stopping the rest" ;;
    esac
done
