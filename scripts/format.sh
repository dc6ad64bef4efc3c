#!/usr/bin/env bash
# format.sh [--check] : clang-formats our C++ in place; with --check it changes nothing and fails where it would.
set -euo pipefail
# shellcheck source=scripts/common.sh
. "$(dirname "${BASH_SOURCE[0]}")/common.sh"

command -v clang-format >/dev/null || die "clang-format is not installed (scripts/deps.sh check)"
mapfile -t sources < <(our_sources)
if [[ ${1:-} == --check ]]; then
    clang-format --dry-run -Werror "${sources[@]}"
else
    clang-format -i "${sources[@]}"
fi
