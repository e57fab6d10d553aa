#!/usr/bin/env bash
# Compares predicted with measured time to first audio: TRIES tries at most, until KEEP of them count. Writes docs/accuracy.md
# after each try; commit it. Needs two CPUs and nothing else that runs. Further options are those of the program (--help).
set -euo pipefail
here=$(cd "$(dirname "${BASH_SOURCE[0]}")" && pwd)
source "$here/lib.sh"
source "$here/cargo-target.sh"
source "$here/install/onnxruntime.sh"

# Other clones build in the same target folder: what is measured lies in this one.
PROGRAMS=$REPO/target/accuracy

main() {
    [[ $(uname -s) == Linux ]] || fail "a profile is measured on Linux only"
    cd "$REPO"
    install_onnxruntime "$(host_onnxruntime)"
    ORT_DYLIB_PATH=$(host_onnxruntime_library)
    export ORT_DYLIB_PATH ORT_DISABLE_TELEMETRY=1 TTS_SERVER_BIN=$PROGRAMS/tts-server
    # The client takes proxies from the environment, but its server is on this machine.
    export NO_PROXY=127.0.0.1 no_proxy=127.0.0.1
    step "Building tts-server and the client"
    with_cargo_target build_programs
    step "Measuring: 3 to 4 minutes per try"
    "$PROGRAMS/accuracy" --tries "${TRIES:-12}" --keep "${KEEP:-3}" --revision "$(revision)" --output docs/accuracy.md "$@"
}

build_programs() {
    cargo build --locked --release --package tts-server --package tts-benches --bins || return
    mkdir -p "$PROGRAMS"
    install -m 755 "$CARGO_TARGET_DIR/release/tts-server" "$CARGO_TARGET_DIR/release/accuracy" "$PROGRAMS/"
}

revision() {
    git rev-parse --short=12 HEAD | tr -d '\n'
    git diff --quiet HEAD -- . ':!docs/accuracy.md' || printf ' with uncommitted changes'
}

main "$@"
