# Sourced by the scripts beside it: where the tree is, and how to speak.
# shellcheck shell=bash

root=$(cd "$(dirname "${BASH_SOURCE[0]}")/.." && pwd)
export build=${WEFT_BUILD:-$root/build}
# What was compiled in one folder serves another: nginx's own build of the module, a second checkout.
export CCACHE_BASEDIR=$root CCACHE_NOHASHDIR=1

say() { printf '%s\n' "$*"; }
warn() { printf '%s: %s\n' "${0##*/}" "$*" >&2; }
die() {
    warn "$*"
    exit 1
}

# Our own C++, one path a line: what is formatted and looked at.
our_sources() {
    find "$root"/proto "$root"/ngx_module "$root"/sidecar "$root"/weftctl "$root"/demo "$root"/bench "$root"/tests \
        -name node_modules -prune -o \( -name '*.cpp' -o -name '*.hpp' \) -print 2>/dev/null | sort
}
