#!/usr/bin/env bash
# What can be verified without root, Go and a cluster, on macOS too: formatting, lints, shell scripts, unit tests (unless
# --without-tests).
set -euo pipefail
here=$(cd "$(dirname "${BASH_SOURCE[0]}")" && pwd)
source "$here/lib.sh"
source "$here/cargo-target.sh"
source "$here/install/machine.sh"
source "$here/install/packages.sh"
source "$here/install/onnxruntime.sh"

main() {
    cd "$REPO"
    export ORT_DISABLE_TELEMETRY=1
    check_tools
    step "Formatting"
    cargo fmt --all --check
    step "Shell scripts"
    lint_shell "$@"
    python3 "$here/test/archives.py"
    # These need GNU's tools, and the cluster's logic is about Linux.
    if [[ $(uname -s) == Linux ]]; then
        "$here/test/two-clones.sh"
        "$here/test/builder.sh"
        "$here/test/glibc.sh"
        e2e/cluster/unit-test.sh
    fi
    step "Lints"
    with_cargo_target cargo clippy --locked --workspace --all-targets --quiet -- --deny warnings
    [[ ${1:-} != --without-tests ]] || return 0
    step "Unit tests"
    provide_onnxruntime
    with_cargo_target cargo test --locked --workspace --lib --bins --quiet
}

# The full run installs shellcheck; here a machine without it still checks the rest.
lint_shell() {
    if have shellcheck; then
        "$here/lint-shell.sh"
    elif [[ ${1:-} == --without-tests ]]; then
        fail "shellcheck is not installed" "install it with: scripts/setup test"
    else
        warn "shell scripts are not checked: shellcheck is not installed"
    fi
}

# Unit tests of the server speak; the library is named, since their programs do not lie beside it.
provide_onnxruntime() {
    ORT_DYLIB_PATH=$(host_onnxruntime_library)
    export ORT_DYLIB_PATH
    [[ ! -f $ORT_DYLIB_PATH ]] || return 0
    python3 -m pip --version >/dev/null 2>&1 ||
        fail "pip is needed to fetch ONNX Runtime, and python3 here has none" \
            "Debian: sudo apt-get install python3-pip; elsewhere: python3 -m ensurepip --user"
    install_onnxruntime "$(host_onnxruntime)"
}

main "$@"
