#!/usr/bin/env bash
# bin/: both programs with the library they load, kubectl, and its plugin `kubectl tts`. Each runs as it lies there, with no variable set.
set -euo pipefail
here=$(cd "$(dirname "${BASH_SOURCE[0]}")" && pwd)
source "$here/lib.sh"
source "$here/go-tools.sh"
source "$here/cargo-target.sh"
source "$here/install/onnxruntime.sh"
source "$here/install/zig.sh"
source "$here/images/base.sh"
source "$here/images/glibc.sh"

build_programs() {
    local program built
    case $BUILD_WAY in
    host)
        built=$CARGO_TARGET_DIR/release
        cargo build --release --locked --package tts-operator --package tts-server --bins || return
        ;;
    zig)
        built=$CARGO_TARGET_DIR/$(uname -m)-unknown-linux-gnu/release
        CARGO_ZIGBUILD_ZIG_PATH=$(zig_dir)/ziglang/zig PATH=$(zig_dir)/bin:$PATH \
            cargo zigbuild --release --locked --package tts-operator --package tts-server --bins \
            --target "$(uname -m)-unknown-linux-gnu.$(base_glibc)" || return
        ;;
    esac
    mkdir -p bin
    # Only what changed is touched: the images are keyed by content, and a running program keeps its file.
    for program in tts-operator tts-server; do
        cmp --silent "$built/$program" "bin/$program" || install -m 755 "$built/$program" "bin/$program" || return
    done
}

BUILD_WAY=$(build_way "$(host_glibc)" "$(base_glibc)")
"$here/setup" build

cd "$REPO"
if [[ $BUILD_WAY == zig ]]; then install_zig; fi
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

# tts-operator is the plugin when it is called so.
ln --symbolic --force --no-target-directory tts-operator bin/kubectl-tts
