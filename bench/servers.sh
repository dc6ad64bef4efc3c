# Sourced by run.sh: how each server under test is started, in a prefix of its own, on a free loopback port.
# start_NAME sets `port`, `processes` to what weft-load shall count, as NAME=PID words, and `arguments` to how weft-load
# speaks to it; with tls=yes it listens with TLS (of those in $tls_servers), with lean=yes memory is what is measured, with history=yes channels keep some. Each gets one worker or process, on the core
# of pin_servers. docs/benchmarks.md says why each is set up as it is.
# shellcheck shell=bash disable=SC2034,SC2154

server_pids=()
tls_servers="weft nchan uws"
http_servers="weft nchan" # that have server-sent events and polls
nginx_servers="weft nchan"

# spawn COMMAND… : runs it in the background on the servers' cores; its output goes to the prefix. Sets `pid`.
spawn() {
    "${pin_servers[@]}" "$@" </dev/null >>"$prefix/output" 2>&1 &
    pid=$!
    server_pids+=("$pid")
}

stop_servers() {
    local one
    for one in "${server_pids[@]}"; do kill -TERM "$one" 2>/dev/null || true; done
    for one in "${server_pids[@]}"; do
        # nginx waits for nothing on TERM; what hasn't gone after 3 s is killed.
        for _ in {1..60}; do
            kill -0 "$one" 2>/dev/null || break
            sleep 0.05
        done
        kill -KILL "$one" 2>/dev/null || true
        wait "$one" 2>/dev/null || true
    done
    server_pids=()
}

free_port() { "$load" free-port; }

# tls_arguments : what weft-load needs beyond the dialect.
tls_arguments() { [[ $tls == no ]] || echo --tls; }

# nginx_listen : the listen line of both nginxes, and with TLS what belongs to it.
nginx_listen() {
    if [[ $tls == no ]]; then
        echo "listen 127.0.0.1:$port backlog=4096;"
    else
        cat <<EOF
listen 127.0.0.1:$port backlog=4096 ssl;
        ssl_certificate $certificate;
        ssl_certificate_key $certificate_key;
        ssl_protocols TLSv1.3;
EOF
    fi
}

# nginx_head MODULE : what both nginxes have in common, up to and into the http block.
nginx_head() {
    local user=
    [[ $(id -u) -ne 0 ]] || user="user root;" # the temporary prefix is for its owner alone
    cat <<EOF
load_module $1;
$user
daemon off;
worker_processes 1;
worker_rlimit_nofile $files;
pid $prefix/nginx.pid;
error_log $prefix/error.log error;
events { worker_connections $((files - 500)); }
http {
    access_log off;
    client_body_temp_path $prefix/body;
    proxy_temp_path $prefix/proxy;
    fastcgi_temp_path $prefix/fastcgi;
    uwsgi_temp_path $prefix/uwsgi;
    scgi_temp_path $prefix/scgi;
EOF
}

# small_requests SIZE : nginx's smallest pools, and a header buffer of this size, for whoever keeps HTTP requests. A head
# that doesn't fit takes a buffer of 8 kB.
small_requests() { echo "    connection_pool_size 256; request_pool_size 256; client_header_buffer_size $1;"; }

has_weft() { [[ -x $build/weftd && -f $build/ngx_http_weft_module.so && -n $nginx ]]; }
start_weft() {
    port=$(free_port)
    printf '%s\n' weft-benchmark-key-of-thirty-two-bytes-or-more >"$prefix/ticket.key"
    cat >"$prefix/weftd.yaml" <<EOF
node: bench
workers: {listen: "ipc://$prefix/weftd.sock"}
EOF
    {
        nginx_head "$build/ngx_http_weft_module.so"
        # A held poll is an HTTP request, as all of Nchan's connections are.
        [[ $lean == no || $history == no ]] || small_requests 768
        cat <<EOF
    weft_sidecar ipc://$prefix/weftd.sock;
    weft_channel ** { publish on; $([[ $history == no ]] || echo "history 100 1m;") }
    server {
        $(nginx_listen)
        location = /ws {
            weft_websocket;
            weft_ticket key=$prefix/ticket.key;
            weft_rate off;
            weft_send_queue 8m;
        }
        location = /raw {
            weft_websocket;
            weft_protocol raw;
            weft_subscribe \$arg_channel;
            weft_ticket key=$prefix/ticket.key;
            weft_send_queue 8m;
        }
        location = /sse {
            weft_sse;
            weft_ticket key=$prefix/ticket.key;
            weft_send_queue 8m;
        }
        location = /poll {
            weft_poll hold=60s;
            weft_ticket key=$prefix/ticket.key;
        }
        location = /weft/status { weft_status; }
    }
}
EOF
    } >"$prefix/nginx.conf"
    spawn "$build/weftd" --config "$prefix/weftd.yaml"
    processes="weftd=$pid"
    spawn "$nginx" -p "$prefix" -c "$prefix/nginx.conf"
    processes="nginx=$pid $processes"
    read -r -a arguments <<<"--dialect weft --ticket-key $prefix/ticket.key $(tls_arguments)"
}
version_of_weft() { git -C "$root" describe --always --dirty 2>/dev/null || echo '?'; }

nchan_module=/usr/lib/nginx/modules/ngx_nchan_module.so
has_nchan() { [[ -f $nchan_module && -n $nginx ]]; }
start_nchan() {
    port=$(free_port)
    {
        nginx_head "$nchan_module"
        # An Nchan connection keeps its HTTP request, so nginx's smallest pools and header buffer make it smaller by a
        # quarter; elsewhere they would only cost it allocations.
        [[ $lean == no ]] || small_requests 256
        # Without the history that it keeps by default, as Weft's channel keeps none here: that is its faster setting.
        cat <<EOF
    nchan_shared_memory_size 256m;
    server {
        $(nginx_listen)
        location ~ ^/sub/(.+)$ {
            nchan_subscriber websocket eventsource longpoll;
            nchan_channel_id \$1;
            nchan_subscriber_first_message newest;
            nchan_subscriber_timeout 60s;
        }
        location ~ ^/pub/(.+)$ {
            nchan_publisher websocket;
            nchan_channel_id \$1;
            nchan_store_messages $([[ $history == no ]] && echo off || echo on);
        }
    }
}
EOF
    } >"$prefix/nginx.conf"
    spawn "$nginx" -p "$prefix" -c "$prefix/nginx.conf"
    processes="nginx=$pid"
    read -r -a arguments <<<"--dialect nchan $(tls_arguments)"
}
version_of_nchan() { dpkg-query -W -f '${Version}' libnginx-mod-nchan 2>/dev/null || echo '?'; }

package_version() { sed -n 's/^ *"version": "\(.*\)",$/\1/p' "$peers/node_modules/$1/package.json" | head -n 1; }

has_ws() { command -v node >/dev/null && [[ -d $peers/node_modules/ws ]]; }
start_ws() {
    port=$(free_port)
    spawn node "$peers/ws_server.mjs" "$port"
    processes="node=$pid"
    arguments=(--dialect ws)
}
version_of_ws() { package_version ws; }

has_socketio() { command -v node >/dev/null && [[ -d $peers/node_modules/socket.io ]]; }
start_socketio() {
    port=$(free_port)
    spawn node "$peers/socketio_server.mjs" "$port"
    processes="node=$pid"
    arguments=(--dialect socketio)
}
version_of_socketio() { package_version socket.io; }

bun() { find "$peers"/node_modules/@oven/bun-linux-*/bin -name bun -type f 2>/dev/null | head -n 1; }
has_uws() { [[ -n $(bun) ]]; }
start_uws() {
    port=$(free_port)
    local files=()
    [[ $tls == no ]] || files=("$certificate" "$certificate_key")
    spawn "$(bun)" "$peers/uws_server.mjs" "$port" "${files[@]}"
    processes="bun=$pid"
    read -r -a arguments <<<"--dialect ws $(tls_arguments)"
}
version_of_uws() { echo "in Bun $("$(bun)" --version)"; }
