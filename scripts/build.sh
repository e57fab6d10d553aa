#!/usr/bin/env bash
# bin/: both programs with the library they load, and kubectl. Each runs as it lies there, with no variable set.
set -euo pipefail
here=$(cd "$(dirname "${BASH_SOURCE[0]}")" && pwd)
source "$here/lib.sh"
source "$here/go-tools.sh"
source "$here/install/onnxruntime.sh"
source "$here/programs.sh"

"$here/setup" build

cd "$REPO"
: "${CARGO_TARGET_DIR:=$CACHE/target}"
export CARGO_TARGET_DIR
step "Building tts-operator and tts-server (3 to 6 minutes the first time)"
with_lock "$CARGO_TARGET_DIR/.programs.lock" "it builds in $CARGO_TARGET_DIR" build_programs
library=$(onnxruntime_dir "$(machine_arch)")/libonnxruntime.so.$ONNXRUNTIME_VERSION
cmp --silent "$library" "bin/$(basename "$library")" || cp "$library" bin/

# kubeone is kubectl when it is called so.
if [[ -x $(go_tool_dir kubeone)/kubeone ]]; then
    ln --symbolic --force --no-target-directory "$(go_tool_dir kubeone)/kubeone" bin/kubectl
else
    ln --symbolic --force --no-target-directory "$(command -v kubectl)" bin/kubectl
fi
