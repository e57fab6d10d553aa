#!/usr/bin/env bash
# operator-long.sh: what the operator is put through at full length, on a throwaway cluster of its own: the faults of
# e2e/tests/faults (a kill before and after each write, a minute without an API server, a hundred cut watches), of which
# `make test` tries some, and 1,000 deployments.
set -euo pipefail
here=$(cd "$(dirname "${BASH_SOURCE[0]}")" && pwd)
source "$here/../lib.sh"
source "$here/../cargo-target.sh"

NAME=long
# A cluster of yours is for `make test`.
unset TTS_E2E_KUBECONFIG TTS_E2E_CONTEXT

main() {
    trap 'e2e/cluster/cluster.sh down --name "$NAME"' EXIT
    cd "$REPO"
    scripts/setup test
    scripts/build.sh
    scripts/images.sh build
    e2e/cluster/cluster.sh down --name "$NAME"
    e2e/cluster/cluster.sh up --name "$NAME" >/dev/null
    TTS_RUN_KUBECONFIG=$(e2e/cluster/cluster.sh kubeconfig --name "$NAME")
    local tag
    read -r _ tag < <(scripts/images.sh load "$NAME")
    [[ -n ${tag:-} ]] || fail "the images did not get to the cluster"
    export TTS_RUN_KUBECONFIG TTS_IMAGE_TAG=$tag TTS_E2E_LONG=1
    # One after the other: each needs the cluster without an operator in it.
    with_cargo_target cargo test --locked --package tts-e2e --test faults -- --nocapture --test-threads=1
    with_cargo_target cargo test --locked --package tts-e2e --test operator -- --ignored --nocapture a_thousand
}

main
