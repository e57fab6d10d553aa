#!/usr/bin/env bash
# Stops the clusters of all clones that share the cache folder, and removes the folder.
set -euo pipefail
here=$(cd "$(dirname "${BASH_SOURCE[0]}")" && pwd)
source "$here/lib.sh"

[[ -d $CACHE ]] || exit 0
"$REPO/e2e/cluster/cluster.sh" down --all-clones
step "Removing $CACHE ($(du --summarize --human-readable "$CACHE" | cut -f1))"
# An interrupted build of an image may have left a mount in it.
while read -r mounted; do umount --lazy "$mounted"; done < <(awk -v cache="$CACHE/" 'index($2, cache) == 1 { print $2 }' /proc/mounts)
rm -rf --one-file-system "$CACHE"
