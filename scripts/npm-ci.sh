#!/usr/bin/env bash
# npm-ci.sh : installs the packages of the browser tests as package-lock.json names them, unless they are there already.
set -euo pipefail
# shellcheck source=scripts/common.sh
. "$(dirname "${BASH_SOURCE[0]}")/common.sh"

cd "$root/tests/browser"
if [[ -f node_modules/weft-lock.json ]] && cmp -s package-lock.json node_modules/weft-lock.json; then exit 0; fi
PLAYWRIGHT_SKIP_BROWSER_DOWNLOAD=1 npm ci --no-audit --no-fund --loglevel=error
cp package-lock.json node_modules/weft-lock.json
