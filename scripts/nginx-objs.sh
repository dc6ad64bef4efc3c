#!/usr/bin/env bash
# nginx-objs.sh FOLDER : leaves in FOLDER a copy of the sources of Debian's nginx, configured as Debian's binary was, so
# that FOLDER/objs/ngx_auto_config.h describes the nginx that will load the module. Done again only when nginx-dev changes.
set -euo pipefail
# shellcheck source=scripts/common.sh
. "$(dirname "${BASH_SOURCE[0]}")/common.sh"

folder=$1
source=/usr/share/nginx/src
stamp=$folder/weft-configured
[[ -f $source/conf_flags ]] || die "$source/conf_flags is not there: install nginx-dev (make deps)"
version=$(dpkg-query -W -f '${Version}' nginx-dev)
if [[ -f $stamp && $(<"$stamp") == "$version" ]]; then exit 0; fi

say "configuring nginx $version"
rm -rf "$folder"
mkdir -p "$(dirname "$folder")"
cp -a "$source" "$folder"
cd "$folder"
# shellcheck source=/dev/null
. ./conf_flags
if ! ./configure "${NGX_CONF_FLAGS[@]}" >"$folder.log" 2>&1; then
    tail -n 20 "$folder.log" >&2
    die "nginx's configure failed (its output: $folder.log)"
fi
printf '%s\n' "$version" >"$stamp"
