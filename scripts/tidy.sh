#!/usr/bin/env bash
# tidy.sh BUILD FILE… : clang-tidy over these sources, by the compile commands in BUILD. What passed once is not looked at
# again until something changes that clang-tidy can see: the preprocessed text with its comments (NOLINT is one) and
# macros, .clang-tidy, or clang-tidy itself. So a look that was interrupted goes on where it was.
set -euo pipefail
# shellcheck source=scripts/common.sh
. "$(dirname "${BASH_SOURCE[0]}")/common.sh"

# one KEY COMMANDS PASSED FILE : the look at one file. COMMANDS has "file<TAB>directory<TAB>command" in each line.
one() {
    local key=$1 commands=$2 passed=$3 file=$4 directory command hash began=$SECONDS
    IFS=$'\t' read -r _ directory command < <(grep -F "$file"$'\t' "$commands") || {
        warn "$file is not compiled by any target"
        return 1
    }
    hash=$({
        printf '%s\n' "$key"
        # The words of a compile command are quoted for a shell.
        (cd "$directory" && eval "$command -E -C -dD -o -")
    } | sha256sum) || return 1
    hash=${hash%% *}
    if [[ -e $passed/$hash ]]; then
        touch "$passed/$hash"
        return 0
    fi
    clang-tidy --quiet -p "$(dirname "$commands")" "$file" || return 1
    : >"$passed/$hash"
    say "passed in $((SECONDS - began)) s: ${file#"$root"/}"
}

if [[ ${1:-} == --one ]]; then
    shift
    one "$@"
    exit
fi

folder=$1
shift
passed=$folder/passed commands=$folder/commands
mkdir -p "$passed"
perl -MJSON::PP -0777 -ne 'print map { "$_->{file}\t$_->{directory}\t$_->{command}\n" } @{ decode_json $_ }' \
    "$folder/compile_commands.json" >"$commands"
key=$(clang-tidy --version | sha256sum)$(sha256sum <"$root/.clang-tidy")
status=0
printf '%s\0' "$@" | xargs -0 -P"$(nproc)" -n1 "${BASH_SOURCE[0]}" --one "$key" "$commands" "$passed" || status=1
find "$passed" -type f -mtime +30 -delete # of sources that are gone
exit "$status"
