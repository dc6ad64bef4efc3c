#!/usr/bin/env bash
# build.sh [product|run|bench|all] : builds in build/. product: module, weftd, weftctl; run: these and the demo;
# bench: the load generator and the microbenchmark beside what they measure; all: tests too.
set -euo pipefail
# shellcheck source=scripts/common.sh
. "$(dirname "${BASH_SOURCE[0]}")/common.sh"

case ${1:-all} in
product) targets=(ngx_http_weft_module weftd weftctl) ;;
run) targets=(ngx_http_weft_module weftd weftctl weft-demo-tickets) ;;
bench) targets=(ngx_http_weft_module weftd weft-load weft-micro) ;;
all) targets=(all) ;;
*) die "build what? product, run, bench or all" ;;
esac
mkdir -p "$build"

"$root/scripts/nginx-objs.sh" "$build/nginx"

# cmake looks again by itself when CMakeLists.txt or the set of sources changes, but not when Google Benchmark has come.
if [[ ! -f $build/build.ninja || ${1:-all} == bench || $build/nginx/weft-configured -nt $build/build.ninja ]]; then
    if ! cmake -S "$root" -B "$build" -G Ninja -DWEFT_NGINX_SOURCE="$build/nginx" -DWEFT_NGINX_OBJS="$build/nginx/objs" \
        >"$build/cmake.log" 2>&1; then
        cat "$build/cmake.log" >&2
        die "cmake could not configure the build"
    fi
fi
exec ninja -C "$build" "${targets[@]}"
