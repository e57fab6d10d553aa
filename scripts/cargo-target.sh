# shellcheck shell=bash
# Cargo's target folder. All clones on a machine share it, so that dependencies are compiled once.

# with_cargo_target COMMAND...: keeps other clones out while COMMAND runs. Cargo identifies the packages of a workspace by
# their path in it and judges them by the times of their files. After a build in another clone it would take that clone's
# programs for those of this one, so these are compiled again.
with_cargo_target() {
    : "${CARGO_TARGET_DIR:=$CACHE/target}"
    export CARGO_TARGET_DIR
    mkdir -p "$CARGO_TARGET_DIR"
    with_lock "$CARGO_TARGET_DIR/.clone-lock" "it builds in $CARGO_TARGET_DIR" in_cargo_target "$@"
}

in_cargo_target() {
    local last=$CARGO_TARGET_DIR/.clone
    if [[ $(cat "$last" 2>/dev/null) != "$CLONE_ID" ]]; then
        rm -rf "$CARGO_TARGET_DIR"/*/.fingerprint/tts-*
        printf '%s\n' "$CLONE_ID" >"$last"
    fi
    "$@"
}
