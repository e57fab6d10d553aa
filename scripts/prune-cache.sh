#!/usr/bin/env bash
# Removes from the cache folder what this clone does not need and no clone has used for TTS_CACHE_DAYS days (14 unless
# set): older versions of tools, older images, cargo's results. A use sets the time of what is used.
set -euo pipefail
here=$(cd "$(dirname "${BASH_SOURCE[0]}")" && pwd)
source "$here/lib.sh"
source "$here/go-tools.sh"
source "$here/install/onnxruntime.sh"
source "$here/install/packages.sh"
source "$here/install/python.sh"
source "$here/install/cargo-tools.sh"
source "$here/install/llvm-tools.sh"
source "$here/install/zig.sh"
source "$here/images/base.sh"
source "$here/images/archives.sh"

DAYS=${TTS_CACHE_DAYS:-14}
[[ $DAYS =~ ^[0-9]{1,4}$ ]] || fail "TTS_CACHE_DAYS='$DAYS' is not a number of days"

main() {
    local path needed old=()
    [[ -d $CACHE ]] || return 0
    needed=$(needed_paths)
    while IFS= read -r -d '' path; do
        grep -qxF -- "${path%.facts}" <<<"$needed" || old+=("$path")
    done < <(unused_paths && unused_packages)
    ((${#old[@]} > 0)) || return 0
    step "Removing from the cache what was not used for $DAYS days"
    du --summarize --human-readable --total -- "${old[@]}" | sed 's/^/    /'
    rm -rf --one-file-system -- "${old[@]}"
}

# needed_paths: what the versions and sources of this clone name, a path per line
needed_paths() {
    local name
    for name in "${GO_TOOLS[@]}"; do go_tool_dir "$name"; done
    cargo_tool_dir cargo-deny "$CARGO_DENY_VERSION"
    cargo_tool_dir cargo-nextest "$CARGO_NEXTEST_VERSION"
    cargo_tool_dir cargo-fuzz "$CARGO_FUZZ_VERSION"
    llvm_tools_wheel_dir
    zig_dir
    dirname "$(promtool_path)"
    python_venv
    onnxruntime_dir amd64
    onnxruntime_dir arm64
    for name in tts-operator tts-server tts-pause; do image_archive "$name"; done
}

# unused_paths: candidates, each ended by a zero byte. Folders that are missing have none.
unused_paths() {
    local folder
    for folder in tools ort images; do
        [[ ! -d $CACHE/$folder ]] || find "$CACHE/$folder" -mindepth 1 -maxdepth 1 -mtime "+$DAYS" -print0
    done
    find "$CACHE" -mindepth 1 -maxdepth 1 -name 'venv-*' -mtime "+$DAYS" -print0
    for folder in "$CACHE"/target/*/incremental; do
        [[ ! -d $folder ]] || find "$folder" -mindepth 1 -maxdepth 1 -mtime "+$DAYS" -print0
    done
}

# unused_packages: the files of compiled packages, as above. Cargo reads the fingerprints of what a build uses, and the time
# of that is all there is to tell; so nothing where a file system keeps no such times. A fingerprint that is new belongs to
# a build that is at work, perhaps of another clone.
unused_packages() {
    local fingerprint folder
    [[ -d $CACHE/target ]] || return 0
    case ,$(findmnt --noheadings --output OPTIONS --target "$CACHE/target" 2>/dev/null || echo noatime), in
    *,noatime,*) return 0 ;;
    esac
    while IFS= read -r -d '' fingerprint; do
        [[ -z $(find "$fingerprint" -type f -atime "-$DAYS" -print -quit) ]] || continue
        printf '%s\0' "$fingerprint"
        for folder in "${fingerprint%/.fingerprint/*}"/{build,deps}; do
            [[ ! -d $folder ]] || find "$folder" -mindepth 1 -maxdepth 1 -name "*-${fingerprint##*-}*" -print0
        done
    done < <(find "$CACHE/target" -path '*/.fingerprint/*-????????????????' -prune -type d -mtime "+$DAYS" -print0)
}

main
