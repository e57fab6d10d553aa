#!/usr/bin/env bash
# bin/: both programs with the library they load, and kubectl. Each runs as it lies there, with no variable set.
set -euo pipefail
here=$(cd "$(dirname "${BASH_SOURCE[0]}")" && pwd)
source "$here/lib.sh"
source "$here/go-tools.sh"
source "$here/cargo-target.sh"
source "$here/install/onnxruntime.sh"

build_programs() {
    local program
    cargo build --release --locked --package tts-operator --package tts-server --bins || return
    mkdir -p bin
    # Only what changed is touched: the images are keyed by content, and a running program keeps its file.
    for program in tts-operator tts-server; do
        cmp --silent "$CARGO_TARGET_DIR/release/$program" "bin/$program" ||
            install -m 755 "$CARGO_TARGET_DIR/release/$program" "bin/$program" || return
    done
}

"$here/setup" build

cd "$REPO"
step "Building tts-operator and tts-server (3 to 6 minutes the first time)"
with_cargo_target build_programs
library=$(onnxruntime_dir "$(machine_arch)")/libonnxruntime.so.$ONNXRUNTIME_VERSION
cmp --silent "$library" "bin/$(basename "$library")" || cp "$library" bin/

# kubeone is kubectl when it is called so.
if [[ -x $(go_tool_dir kubeone)/kubeone ]]; then
    ln --symbolic --force --no-target-directory "$(go_tool_dir kubeone)/kubeone" bin/kubectl
else
    ln --symbolic --force --no-target-directory "$(command -v kubectl)" bin/kubectl
fi
