#!/usr/bin/env bash
# What is generated and committed: the CRDs out of the Rust types, the charts' copies of them, the install manifest.
set -euo pipefail
here=$(cd "$(dirname "${BASH_SOURCE[0]}")" && pwd)
source "$here/lib.sh"
source "$here/go-tools.sh"
source "$here/cargo-target.sh"

cd "$REPO"
with_cargo_target cargo run --locked --quiet --package tts-operator --bin tts-operator -- crds --output crds/yaml
install_go_tool helm
HELM=$(go_tool_dir helm)/helm charts/generate.sh
