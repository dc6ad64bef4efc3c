#!/usr/bin/env bash
# feed.sh WEFTCTL PORT SIDECAR [PORT SIDECAR…] : the back end of the ticker. It publishes 20 made-up prices, each 50 times a
# second, as any back end can: by POST to the weft_publish of one node, and of the next when that is gone. It works only
# while pages say, through the channel ticker:demand, that somebody watches.
set -euo pipefail
export LC_ALL=C
# SIGTERM ends this shell as it ends any process, and each of its children asked the kernel to be told. (A trap would have to
# wait for `read -t`, which now and then goes on waiting when a signal comes between two of its looks at the clock.)

weftctl=$1
shift
ports=() symbols=(AMBR BOLT CORD DENM EYLT FELT GAUZ HEMP INKL JUTE KNIT LINN MOHR NYLN ORGN PLSH QILT RAYN SILK TWLL)
interval=20000    # microseconds
watched=12000000  # how long one word from a page keeps it going
retry=500000      # between two nodes that do not answer

trap '' PIPE                     # a node that went is an error of printf, not our end
exec {demand}<> <(:)             # a pipe that never ends
while [[ $# -gt 0 ]]; do
    ports+=("$1")
    # One at each node, since either may go. It waits for its weftd as long as it has to; what it says on stderr, such as that
    # it may have missed something, is no demand.
    setpriv --pdeathsig TERM "$weftctl" subscribe ticker:demand --sidecar "$2" 1>&"$demand" 2>/dev/null &
    shift 2
done

now() { printf -v "$1" %s "${EPOCHREALTIME/./}"; }

# connect : a connection to the next node that takes one, as descriptor `server`; its answers are of no interest.
server='' drain='' next=0
connect() {
    local port=${ports[next++ % ${#ports[@]}]}
    [[ -z $server ]] || exec {server}>&-
    [[ -z $drain ]] || kill "$drain" 2>/dev/null || true
    server='' drain=''
    exec {server}<>"/dev/tcp/127.0.0.1/$port" || { server='' && return 1; }
    setpriv --pdeathsig TERM cat <&"$server" >/dev/null &
    drain=$!
} 2>/dev/null

prices=() # in cents
for index in "${!symbols[@]}"; do prices[index]=$((2000 + RANDOM % 30000)); done

# publish_all : one request for each symbol, in one piece, not waiting for the answers in between.
tick=0
publish_all() {
    local index price body batch=''
    tick=$((tick + 1))
    for index in "${!symbols[@]}"; do
        price=${prices[index]}
        price=$((price + (RANDOM % 401 - 200) * price / 400000))
        # Away from nothing and from the sky, and never quite still.
        [[ $price -gt 500 ]] || price=$((price + 5))
        [[ $price -lt 90000 ]] || price=$((price - 50))
        price=$((price + RANDOM % 3 - 1))
        prices[index]=$price
        printf -v body '{"price":%d.%02d,"tick":%d}' $((price / 100)) $((price % 100)) "$tick"
        batch+="POST /publish/ticker:${symbols[index]} HTTP/1.1"$'\r\nHost: feed\r\nContent-Length: '"${#body}"$'\r\n\r\n'"$body"
    done
    printf %s "$batch" >&"$server"
} 2>/dev/null

until=0 due=0 time=0 pause=0
while true; do
    now time
    # Until the next round is due, we listen; while nobody watches, that may take for ever.
    if [[ $time -ge $until ]]; then
        IFS= read -r _ <&"$demand"
        now due
        until=$((due + watched))
    elif [[ $time -lt $due ]]; then
        printf -v pause '0.%06d' $((due - time))
        if IFS= read -r -t "$pause" _ <&"$demand"; then
            now time
            until=$((time + watched))
        fi
    elif [[ -n $server ]] && publish_all; then
        due=$((due + interval))
        [[ $((time - due)) -lt 1000000 ]] || due=$time # too far behind to catch up
    elif ! connect; then
        due=$((time + retry))
    fi
done
