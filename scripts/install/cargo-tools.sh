# shellcheck shell=bash
# cargo's helpers, built from crates.io with the dependencies their authors locked.

CARGO_DENY_VERSION=0.20.2
CARGO_NEXTEST_VERSION=0.9.151
CARGO_FUZZ_VERSION=0.13.2

cargo_tool_dir() { printf '%s/tools/%s-%s\n' "$CACHE" "$1" "$2"; }

install_cargo_tools() {
    install_cargo_tool cargo-deny "$CARGO_DENY_VERSION" "licences and sources of dependencies; 4 to 8 minutes, once"
    install_cargo_tool cargo-nextest "$CARGO_NEXTEST_VERSION" "runs the tests; 4 to 8 minutes, once"
    # Fuzzing needs a nightly compiler; without one the same is tested on stable.
    if has_nightly; then
        require_packages g++
        install_cargo_tool cargo-fuzz "$CARGO_FUZZ_VERSION" "runs the fuzz targets; a minute, once"
    fi
}

has_nightly() { cargo +nightly --version >/dev/null 2>&1; }

can_fuzz() { has_nightly && [[ -x $(cargo_tool_dir cargo-fuzz "$CARGO_FUZZ_VERSION")/bin/cargo-fuzz ]]; }

# install_cargo_tool NAME VERSION ABOUT
install_cargo_tool() {
    local dir
    dir=$(cargo_tool_dir "$1" "$2")
    if [[ -x $dir/bin/$1 ]]; then mark_used "$dir" && return; fi
    with_progress "Building $1 $2 ($3)" install_folder "$dir" build_cargo_tool "$1" "$2"
}

build_cargo_tool() {
    # The target folder is thrown away: nothing of it is used again.
    local target status=0
    target=$(mktemp -d)
    CARGO_TARGET_DIR=$target cargo install --locked --version "$2" --root "$3" "$1" || status=$?
    rm -rf "$target"
    return $status
}
