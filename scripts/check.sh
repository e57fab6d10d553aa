#!/usr/bin/env bash
# What can be said without a cluster: formatting, lints, shell scripts, unit tests (unless --without-tests).
set -euo pipefail
here=$(cd "$(dirname "${BASH_SOURCE[0]}")" && pwd)
source "$here/lib.sh"
source "$here/install/machine.sh"
source "$here/install/packages.sh"
source "$here/install/onnxruntime.sh"

cd "$REPO"
: "${CARGO_TARGET_DIR:=$CACHE/target}"
export CARGO_TARGET_DIR
# Unit tests of the server speak; the library is named, since their programs do not lie beside it.
require_packages shellcheck
provide_pip
install_onnxruntime "$(machine_arch)"
ORT_DYLIB_PATH=$(onnxruntime_dir "$(machine_arch)")/libonnxruntime.so.$ONNXRUNTIME_VERSION
export ORT_DYLIB_PATH ORT_DISABLE_TELEMETRY=1

step "Formatting"
cargo fmt --all --check
step "Shell scripts"
"$here/lint-shell.sh"
e2e/cluster/unit-test.sh
"$here/test/two-clones.sh"
step "Lints"
cargo clippy --locked --workspace --all-targets --quiet -- --deny warnings
[[ ${1:-} != --without-tests ]] || exit 0
step "Unit tests"
cargo test --locked --workspace --lib --bins --quiet
