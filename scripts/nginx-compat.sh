#!/usr/bin/env bash
# nginx-compat.sh [TEST…] : builds the module for another nginx than Debian's and runs t/*.t, or the tests that are named,
# against that nginx. What it makes is in build/nginx-VERSION. Nothing is downloaded and nginx itself isn't built.
#   WEFT_NGINX_SOURCE   nginx's sources, configured as the nginx was that is to load the module
#   WEFT_NGINX_OBJS     where its configure left ngx_auto_config.h (default: objs/ in the sources)
#   WEFT_NGINX          that nginx (default: the one that was built in WEFT_NGINX_OBJS)
#   WEFT_JOBS           compilers, and tests, at a time (default: 2)
set -euo pipefail
# shellcheck source=scripts/common.sh
. "$(dirname "${BASH_SOURCE[0]}")/common.sh"

source=${WEFT_NGINX_SOURCE:-}
[[ -n $source ]] || die "WEFT_NGINX_SOURCE is not set: the folder of nginx's sources (docs/nginx.md)"
[[ -f $source/src/core/nginx.h ]] || die "$source holds no sources of nginx: no src/core/nginx.h there"
source=$(cd "$source" && pwd)
objs=${WEFT_NGINX_OBJS:-$source/objs}
[[ -f $objs/ngx_auto_config.h ]] ||
    die "nginx's sources are not configured: no $objs/ngx_auto_config.h (run configure there, with the flags of nginx -V)"
objs=$(cd "$objs" && pwd)
nginx=${WEFT_NGINX:-$objs/nginx}
[[ -x $nginx ]] || die "no nginx at $nginx: build it there, or set WEFT_NGINX to the one that has these sources"

version=$(sed -n 's/^#define NGINX_VERSION *"\(.*\)"/\1/p' "$source/src/core/nginx.h")
runs=$("$nginx" -v 2>&1 | sed -n 's|^nginx version: [^/]*/\([0-9.]*\).*|\1|p')
[[ $version == "$runs" ]] || die "the sources are nginx $version, $nginx is $runs: a module is for one version alone"

# With --with-compat nginx would load such a module, and it could serve no TLS.
if "$nginx" -V 2>&1 | grep -q -e --with-http_ssl_module && ! grep -q NGX_HTTP_SSL "$objs/ngx_auto_config.h"; then
    die "$nginx has --with-http_ssl_module, the sources were configured without it"
fi
nginx=$(realpath "$nginx")
jobs=${WEFT_JOBS:-2}
folder=$build/nginx-$version
log=$folder.log
mkdir -p "$folder"

# weftd knows nothing of nginx: that of the ordinary build serves every version, where there is one.
sidecar=$build
say "== the module for nginx $version"
if ! {
    cmake -S "$root" -B "$folder" -G Ninja -DWEFT_NGINX_SOURCE="$source" -DWEFT_NGINX_OBJS="$objs" -DWEFT_MODULE_ONLY=ON &&
        ninja -C "$folder" -j "$jobs" ngx_http_weft_module &&
        if [[ ! -f $sidecar/build.ninja ]]; then
            sidecar=$build/sidecar
            cmake -S "$root" -B "$sidecar" -G Ninja -DWEFT_MODULE=OFF -DWEFT_TESTS=OFF -DWEFT_BENCH=OFF
        fi &&
        ninja -C "$sidecar" -j "$jobs" weftd weftctl &&
        ln -sf "$sidecar/weftd" "$sidecar/weftctl" "$folder/"
} >"$log" 2>&1; then
    tail -n 40 "$log" >&2
    die "the build failed (its output: $log)"
fi

# nginx refuses a module whose version or signature isn't its own; it says so better than a failing test would.
try=$(mktemp -d)
trap 'rm -rf "$try"' EXIT
printf 'load_module %s;\npid %s;\nerror_log stderr;\nevents {}\n' \
    "$folder/ngx_http_weft_module.so" "$try/nginx.pid" >"$try/nginx.conf"
if ! "$nginx" -t -p "$try/" -e stderr -c "$try/nginx.conf" >"$log" 2>&1; then
    cat "$log" >&2
    die "$nginx doesn't load the module: it was configured otherwise than $objs (compare with $nginx -V)"
fi

say "== the tests against $nginx"
cd "$root"
tests=("$@")
[[ $# -gt 0 ]] || tests=(t/*.t)
WEFT_NGINX=$nginx WEFT_BUILD=$folder prove -It/lib -j "$jobs" --timer "${tests[@]}"
