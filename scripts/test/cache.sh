#!/usr/bin/env bash
# Tests prune-cache.sh and clean-cache.sh on a made-up cache folder.
set -euo pipefail
here=$(cd "$(dirname "${BASH_SOURCE[0]}")" && pwd)
XDG_CACHE_HOME=$(mktemp -d)
export XDG_CACHE_HOME TTS_CACHE_DAYS=14
trap 'rm -rf "$XDG_CACHE_HOME"' EXIT
source "$here/../lib.sh"
source "$here/../go-tools.sh"

# made DAYS PATH: a folder of the cache that was last used so many days ago
made() {
    mkdir -p "$CACHE/$2"
    head -c 300000 /dev/zero >"$CACHE/$2/content"
    touch --date "$1 days ago" "$CACHE/$2"
}
kept() { [[ -e $CACHE/$1 ]] || fail "$1 was removed"; }
gone() { [[ ! -e $CACHE/$1 ]] || fail "$1 is still there"; }

helm=tools/$(basename "$(go_tool_dir helm)")
made 40 "$helm"
made 40 tools/helm-0123456789abcdef
made 3 tools/kwok-0123456789abcdef
made 40 tools/coredns-0123456789abcdef
made 40 venv-0123456789abcdef
made 40 images/tts-server-amd64-0123456789abcdef.tar
made 40 images/tts-server-amd64-0123456789abcdef.tar.facts
made 40 target/debug/incremental/old
made 3 target/debug/incremental/new
made 40 target/debug/deps
# compiled DAYS NAME-ID: a package that was compiled 40 days ago and used last so many days ago
compiled() {
    made 40 "target/debug/.fingerprint/$2"
    made 40 "target/debug/build/$2"
    touch "$CACHE/target/debug/deps/lib$2.rlib" "$CACHE/target/debug/deps/$2.d"
    touch -a --date "$1 days ago" "$CACHE/target/debug/.fingerprint/$2/content"
}
compiled 40 serde-0123456789abcdef
compiled 3 serde-fedcba9876543210
made 40 containers
mark_used "$CACHE/tools/coredns-0123456789abcdef"

printed=$("$REPO/scripts/prune-cache.sh")
kept "$helm"
kept tools/kwok-0123456789abcdef
kept tools/coredns-0123456789abcdef
kept target/debug/incremental/new
kept target/debug/deps
kept containers
gone tools/helm-0123456789abcdef
gone venv-0123456789abcdef
gone images/tts-server-amd64-0123456789abcdef.tar
gone images/tts-server-amd64-0123456789abcdef.tar.facts
gone target/debug/incremental/old
for item in .fingerprint/serde build/serde deps/libserde; do
    suffix=$([[ $item != deps/* ]] || printf .rlib)
    gone "target/debug/$item-0123456789abcdef$suffix"
    kept "target/debug/$item-fedcba9876543210$suffix"
done
grep -q "K.*$CACHE/tools/helm-0123456789abcdef" <<<"$printed" || fail "what is removed is not listed with its size: $printed"
[[ -z $("$REPO/scripts/prune-cache.sh") ]] || fail "a second run found something to remove"
say "ok: old versions are removed; what this clone needs and what was used lately is kept"

if TTS_CACHE_DAYS=soon "$REPO/scripts/prune-cache.sh" 2>/dev/null; then fail "TTS_CACHE_DAYS=soon was accepted"; fi

printed=$("$REPO/scripts/clean-cache.sh")
for item in tools target containers total; do
    grep -qE "^ +[0-9.]+[KM].*$item" <<<"$printed" || fail "clean-cache does not list $item: $printed"
done
[[ ! -e $CACHE ]] || fail "clean-cache left $CACHE"
say "ok: clean-cache lists what it frees and removes it"
