#!/usr/bin/env bash
# npm-ci.sh [FOLDER…] : installs the packages of these folders (of the browser tests, if none is named) as their
# package-lock.json names them, unless they are there already.
set -euo pipefail
# shellcheck source=scripts/common.sh
. "$(dirname "${BASH_SOURCE[0]}")/common.sh"

[[ $# -gt 0 ]] || set -- tests/browser
for folder in "$@"; do
    cd "$root/$folder"
    if [[ -f node_modules/weft-lock.json ]] && cmp -s package-lock.json node_modules/weft-lock.json; then continue; fi
    PLAYWRIGHT_SKIP_BROWSER_DOWNLOAD=1 npm ci --no-audit --no-fund --loglevel=error
    cp package-lock.json node_modules/weft-lock.json
done
