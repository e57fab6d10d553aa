# shellcheck shell=bash
# The two programs, from cargo's target to bin/. Clones share the target, and all write the same two files in it, so
# build_programs runs under a lock.

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
