#!/usr/bin/env bash
# Stops the clusters of all clones that share the cache folder, and removes the folder.
set -euo pipefail
here=$(cd "$(dirname "${BASH_SOURCE[0]}")" && pwd)
source "$here/lib.sh"

[[ -d $CACHE ]] || exit 0
"$REPO/e2e/cluster/cluster.sh" down --all-clones
step "Removing $CACHE"
# Everything in it, the largest first, and the sum.
(
    shopt -s dotglob nullglob
    du --summarize --human-readable --total -- "$CACHE"/* | sort --human-numeric-sort --reverse | sed "s#$CACHE/##; s/^/    /"
)
say "Not removed: the caches of Go ($(go env GOCACHE GOMODCACHE 2>/dev/null | paste -sd' ')), cargo (${CARGO_HOME:-$HOME/.cargo}) and pip."
# An interrupted build of an image may have left a mount in it.
while read -r mounted; do umount --lazy "$mounted"; done < <(awk -v cache="$CACHE/" 'index($2, cache) == 1 { print $2 }' /proc/mounts)
rm -rf --one-file-system "$CACHE"
