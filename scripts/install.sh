#!/usr/bin/env bash
# install.sh : installs what make build left in build/. From the environment: PREFIX (/usr), DESTDIR (empty).
# Configurations go to /etc/weft and are never overwritten. Nothing is enabled, started or reloaded.
set -euo pipefail
# shellcheck source=scripts/common.sh
. "$(dirname "${BASH_SOURCE[0]}")/common.sh"

prefix=${PREFIX:-/usr}
dest=${DESTDIR:-}

# Where this nginx looks for `load_module modules/…`.
nginx=$(PATH=$PATH:/usr/sbin command -v nginx) || die "nginx is not installed (make deps)"
modules=$("$nginx" -V 2>&1 | grep -o -- '--modules-path=[^ ]*' | cut -d= -f2)
[[ -n $modules ]] || die "$nginx -V names no --modules-path"

put() { # MODE FILE PATH
    install -D -m "$1" "$2" "$dest$3"
    say "  $dest$3"
}
put 644 "$build/ngx_http_weft_module.so" "$modules/ngx_http_weft_module.so"
put 755 "$build/weftd" "$prefix/sbin/weftd"
put 755 "$build/weftctl" "$prefix/bin/weftctl"
if [[ -f $root/packaging/weftd.service ]]; then
    unit=$(mktemp)
    sed "s|/usr/sbin/weftd|$prefix/sbin/weftd|g" "$root/packaging/weftd.service" >"$unit"
    put 644 "$unit" "$prefix/lib/systemd/system/weftd.service"
    rm -f "$unit"
fi
for sample in "$root"/conf.d/*; do
    [[ -f $sample ]] || continue
    target=/etc/weft/${sample##*/}
    if [[ -e $dest$target ]]; then
        say "  $dest$target is there already, left as it is"
    else
        put 644 "$sample" "$target"
    fi
done
say "In nginx.conf: load_module modules/ngx_http_weft_module.so;"
