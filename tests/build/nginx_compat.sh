#!/usr/bin/env bash
# nginx_compat.sh FOLDER : scripts/nginx-compat.sh says what is wrong with sources that can't be the nginx's, and builds
# nothing then. FOLDER is emptied.
set -euo pipefail

tree=$(cd "$(dirname "${BASH_SOURCE[0]}")/../.." && pwd)
folder=$1
fail() {
    printf 'not ok: %s\n' "$*" >&2
    exit 1
}

rm -rf "$folder"
mkdir -p "$folder/nginx/src/core" "$folder/empty"

# refused NAME=VALUE… -- TEXT : it fails with these settings, and says this.
refused() {
    local settings=() output
    while [[ $1 != -- ]]; do
        settings+=("$1")
        shift
    done
    output=$(env -u WEFT_NGINX_SOURCE -u WEFT_NGINX_OBJS -u WEFT_NGINX WEFT_BUILD="$folder/build" "${settings[@]}" \
        "$tree/scripts/nginx-compat.sh" 2>&1) && fail "${settings[*]} should be refused"
    grep -qF -- "$2" <<<"$output" || fail "${settings[*]}: expected '$2', got: $output"
    [[ ! -e $folder/build ]] || fail "${settings[*]}: something was built"
}

real=$folder/nginx
like() { # a program that says what nginx does
    printf '#!/bin/sh\necho "%s" >&2\n' "$1" >"$folder/$2"
    chmod +x "$folder/$2"
}
refused -- 'WEFT_NGINX_SOURCE is not set'
refused WEFT_NGINX_SOURCE="$folder/empty" -- 'holds no sources of nginx'
printf '#define NGINX_VERSION      "1.22.1"\n' >"$real/src/core/nginx.h"
refused WEFT_NGINX_SOURCE="$real" -- 'not configured'
mkdir "$real/objs"
printf '#define NGX_COMPAT  1\n' >"$real/objs/ngx_auto_config.h"
refused WEFT_NGINX_SOURCE="$real" -- "no nginx at $real/objs/nginx"
like 'nginx version: nginx/1.30.4 (Ubuntu)' other
refused WEFT_NGINX_SOURCE="$real" WEFT_NGINX="$folder/other" -- "the sources are nginx 1.22.1, $folder/other is 1.30.4"
like 'nginx version: nginx/1.22.1
configure arguments: --with-compat --with-http_ssl_module' same
refused WEFT_NGINX_SOURCE="$real" WEFT_NGINX="$folder/same" -- 'configured without it'
printf 'ok\n'
