#!/usr/bin/env bash
# nginx_configure.sh FOLDER : builds the module the way packagers of nginx do (./configure --add-dynamic-module, make
# modules) in FOLDER, and has Debian's nginx load the result.
set -euo pipefail

tree=$(cd "$(dirname "${BASH_SOURCE[0]}")/../.." && pwd)
folder=$1
fail() {
    printf 'not ok: %s\n' "$*" >&2
    exit 1
}

mkdir -p "$folder"
if [[ ! -f $folder/src/configure ]]; then
    rm -rf "$folder/src"
    cp -a /usr/share/nginx/src "$folder/src"
fi
cd "$folder/src"
rm -f objs/ngx_http_weft_module.so
# shellcheck source=/dev/null
. ./conf_flags

./configure "${NGX_CONF_FLAGS[@]}" --add-dynamic-module="$tree" >../configure.log 2>&1 ||
    { tail -n 20 ../configure.log >&2; fail "configure --add-dynamic-module"; }
make -f objs/Makefile modules >../make.log 2>&1 || { tail -n 40 ../make.log >&2; fail "make modules"; }
[[ -f objs/ngx_http_weft_module.so ]] || fail "make modules left no objs/ngx_http_weft_module.so"

# Only ngx_modules and its kin may be seen from outside: nothing of ours may shadow nginx or another module.
strays=$(nm -D --defined-only objs/ngx_http_weft_module.so | awk '{print $3}' |
    grep -Ev '^(ngx_modules|ngx_module_names|ngx_module_order|ngx_http_weft_module)$' || true)
[[ -z $strays ]] || fail "exported symbols: $(head -n 5 <<<"$strays" | tr '\n' ' ')"

cat >../load.conf <<END
load_module $PWD/objs/ngx_http_weft_module.so;
pid $folder/nginx.pid;
error_log stderr;
events {}
http {
    access_log off;
    client_body_temp_path $folder/body;
    proxy_temp_path $folder/proxy;
    fastcgi_temp_path $folder/fastcgi;
    uwsgi_temp_path $folder/uwsgi;
    scgi_temp_path $folder/scgi;
}
END
nginx -t -e stderr -p "$folder" -c "$folder/load.conf" || fail "nginx did not load the module"

# A static module is refused with a sentence rather than half built.
if ./configure "${NGX_CONF_FLAGS[@]}" --builddir="$folder/static" --add-module="$tree" >../static.log 2>&1; then
    fail "configure --add-module should be refused"
fi
grep -q 'use --add-dynamic-module' ../static.log || fail "the refusal of --add-module does not say what to use"
printf 'ok\n'
