# shellcheck shell=bash
# What people run beside the tests, run once: examples in documentation, benchmarks, fuzz targets, the demo.

# The demo's cluster in a test run: a cluster that a person's demo left up is not replaced.
DEMO_CLUSTER=cidemo

run_doctests() { with_cargo_target cargo test --locked --workspace --doc --quiet; }

# Without `--bench` criterion runs each benchmark once and measures nothing.
run_benches_once() { with_cargo_target cargo test --locked --workspace --bench '*' --quiet; }

# run_fuzz_targets SECONDS: each target for so long
run_fuzz_targets() {
    local seconds=$1 target corpus status=0
    if ! can_fuzz; then
        with_cargo_target cargo test --locked --package tts-planner --test profile --quiet || return
        skip_step "fuzz targets need a nightly compiler and cargo-fuzz; the tests that do the same on stable passed"
        return
    fi
    corpus=$(mktemp -d)
    cp operator/planner/tests/goldens/profile.json "$corpus/"
    for target in operator/planner/fuzz/fuzz_targets/*.rs; do
        (
            cd operator/planner &&
                CARGO_TARGET_DIR=$CARGO_TARGET_DIR/fuzz cargo +nightly fuzz run "$(basename "$target" .rs)" "$corpus" -- \
                    -max_total_time="$seconds" -print_final_stats=1 -verbosity=0
        ) || status=1
    done
    rm -rf "$corpus"
    return $status
}

# The demo on a cluster of its own. It installs deploy/install.yaml: all of that is there afterwards, and works.
run_demo() {
    local status=0 folder
    folder=$(mktemp -d)
    (
        cd "$folder" && TTS_DEMO=quick TTS_DEMO_CLUSTER=$DEMO_CLUSTER TTS_DEMO_TEXT='A demo in a test run.' "$REPO/scripts/demo.sh" &&
            test -s hello.wav && install_manifest_is_installed
    ) || status=$?
    rm -rf "$folder"
    e2e/cluster/cluster.sh down --name "$DEMO_CLUSTER" || status=1
    return $status
}

install_manifest_is_installed() {
    cd "$REPO" || return
    local on=(bin/kubectl --kubeconfig "$(e2e/cluster/cluster.sh kubeconfig --name "$DEMO_CLUSTER")")
    say "objects of deploy/install.yaml in the cluster:" &&
        "${on[@]}" get --filename deploy/install.yaml --output name &&
        "${on[@]}" --namespace tts-system rollout status deployment/tts-operator --timeout=60s &&
        [[ $("${on[@]}" get namespace tts-system --output 'jsonpath={.metadata.labels.pod-security\.kubernetes\.io/enforce}') == restricted ]]
}
