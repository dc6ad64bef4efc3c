#!/usr/bin/env bash
# deps.sh [--check] GROUP... : installs the packages of these groups of deps.list that are missing, with apt-get.
# With --check it only says which are missing, and fails. Quick when nothing is.
set -euo pipefail
# shellcheck source=scripts/common.sh
. "$(dirname "${BASH_SOURCE[0]}")/common.sh"

check_only=no
if [[ ${1:-} == --check ]]; then
    check_only=yes
    shift
fi
[[ $# -gt 0 ]] || die "which groups? (build, test, check, bench)"

has_node() {
    local version
    version=$(node --version 2>/dev/null) || return 1
    version=${version#v}
    [[ ${version%%.*} -ge 18 ]] && command -v npm >/dev/null
}

wanted=()
while read -r group package _; do
    [[ -n $group && $group != '#'* ]] || continue
    [[ " $* " == *" $group "* ]] || continue
    if [[ $package == nodejs || $package == npm ]] && has_node; then continue; fi
    wanted+=("$package")
done <"$root/scripts/deps.list"
[[ ${#wanted[@]} -gt 0 ]] || die "deps.list has no group named: $*"

declare -A installed=()
if ! command -v dpkg-query >/dev/null; then
    die "this is not Debian: install by hand what scripts/deps.list names, then use scripts/build.sh and scripts/run.sh"
fi
while read -r package status; do
    [[ $status == installed ]] && installed[$package]=1
done < <(dpkg-query -W -f '${Package} ${db:Status-Status}\n' "${wanted[@]}" 2>/dev/null || true)

missing=()
for package in "${wanted[@]}"; do
    [[ -n ${installed[$package]:-} ]] || missing+=("$package")
done
[[ ${#missing[@]} -gt 0 ]] || exit 0

if [[ $check_only == yes ]]; then
    die "missing packages: ${missing[*]} (make deps installs them)"
fi

as_root=()
if [[ $(id -u) -ne 0 ]]; then
    command -v sudo >/dev/null || die "missing packages: ${missing[*]}; neither root nor sudo here to install them"
    as_root=(sudo)
fi
# shellcheck source=/dev/null
release=$(. /etc/os-release && printf '%s %s' "${ID:-?}" "${VERSION_ID:-?}")
[[ $release == 'debian 12' ]] || warn "made for Debian 12, this is $release: trying all the same"

# Debian starts a freshly installed nginx on port 80. We bring our own configuration, so keep it from starting: by
# RUNLEVEL for SysV init, by a mask until the next boot for systemd. An nginx that was there before is left alone.
masked=no
unmask() {
    if [[ $masked == yes ]]; then
        masked=no
        "${as_root[@]}" systemctl unmask --runtime --quiet nginx.service || true
        say "nginx is installed and not started; Debian will start it at the next boot (systemctl disable nginx prevents that)"
    fi
}
if [[ " ${missing[*]} " == *' nginx '* && -d /run/systemd/system ]]; then
    trap unmask EXIT
    "${as_root[@]}" systemctl mask --runtime --quiet nginx.service && masked=yes
fi

say "installing: ${missing[*]}"
log=$(mktemp)
apt() {
    "${as_root[@]}" env DEBIAN_FRONTEND=noninteractive RUNLEVEL=1 apt-get -qq -o Dpkg::Use-Pty=0 \
        -o Acquire::Retries=3 -o DPkg::Lock::Timeout=300 "$@" </dev/null >"$log" 2>&1
}
if ! apt update || ! apt install --yes --no-install-recommends "${missing[@]}"; then
    tail -n 30 "$log" >&2
    die "apt-get could not install: ${missing[*]} (its whole output: $log)"
fi
rm -f "$log"
unmask
