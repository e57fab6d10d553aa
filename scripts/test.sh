#!/usr/bin/env bash
# Everything: the checks, the generated files, the images, all tests on a real cluster. Reports are in target/reports.
# The cluster is a throwaway one, stopped at the end, or the one that TTS_E2E_KUBECONFIG and TTS_E2E_CONTEXT name.
set -euo pipefail
here=$(cd "$(dirname "${BASH_SOURCE[0]}")" && pwd)
source "$here/lib.sh"
source "$here/go-tools.sh"
source "$here/images/bring.sh"
source "$here/cluster/in-use.sh"
source "$here/cluster/own.sh"
source "$here/install/packages.sh"
source "$here/install/onnxruntime.sh"
source "$here/install/python.sh"
source "$here/install/cargo-tools.sh"
source "$here/test/steps.sh"
source "$here/test/coverage.sh"

# Not the name of the demo's cluster: that one stays up.
CLUSTER='test'
# Names everything that the tests make in a cluster of yours.
PURPOSE=tts-operator-e2e
CLAIMED=
REPORTS=$REPO/target/reports

main() {
    cd "$REPO"
    # First: a run that is refused leaves the reports of the last one.
    select_cluster "$PURPOSE" "$CLUSTER"
    rm -rf "$REPORTS"
    mkdir -p "$REPORTS"
    : "${CARGO_TARGET_DIR:=$CACHE/target}"
    export CARGO_TARGET_DIR
    exit_on_signals finish
    interruptible "$here/setup" test
    interruptible "$here/build.sh"
    set_environment

    run_step format-and-lints "$here/check.sh" --without-tests
    run_step generated-files generated_files_are_current
    run_step dependencies check_dependencies
    run_step images "$here/images.sh" build
    if uses_throwaway; then
        run_step throwaway-cluster e2e/cluster/test.sh
        run_step cluster-of-the-user "$here/test/own-cluster.sh"
        run_step demo-on-kind "$here/test/kind.sh"
        start_cluster
    else
        claim_cluster "$PURPOSE"
        CLAIMED=yes
    fi
    if step_passed images; then
        step "Images to the cluster's nodes"
        read -r TTS_IMAGE_REGISTRY TTS_IMAGE_TAG < <("$here/images.sh" load "$CLUSTER")
        export TTS_IMAGE_REGISTRY TTS_IMAGE_TAG
    fi
    run_tests
    run_step coverage measure_coverage
}

set_environment() {
    PATH=$REPO/bin:$(go_tool_dir helm):$(go_tool_dir kwok):$(dirname "$(promtool_path)"):$PATH
    PATH=$(cargo_tool_dir cargo-nextest "$CARGO_NEXTEST_VERSION")/bin:$PATH
    PATH=$(cargo_tool_dir cargo-deny "$CARGO_DENY_VERSION")/bin:$PATH
    ORT_DYLIB_PATH=$(onnxruntime_dir "$(machine_arch)")/libonnxruntime.so.$ONNXRUNTIME_VERSION
    TTS_E2E_PYTHON=$(python_venv)/bin/python
    HELM=$(go_tool_dir helm)/helm
    export PATH ORT_DYLIB_PATH ORT_DISABLE_TELEMETRY=1 TTS_E2E_PYTHON HELM
}

generated_files_are_current() {
    local new status=0
    new=$(mktemp -d)
    if ! bin/tts-operator crds --output "$new" || ! diff -ru crds/yaml "$new"; then
        say "crds/yaml is stale: run make crds and commit the result"
        status=1
    fi
    rm -rf "$new"
    charts/generate.sh --check || status=1
    return $status
}

check_dependencies() {
    cargo deny --all-features check --hide-inclusion-graph licenses bans sources || return
    # The list of known vulnerabilities is a git repository, which is not reachable from everywhere.
    if timeout 60 cargo deny fetch db >/dev/null 2>&1; then
        cargo deny --all-features check --hide-inclusion-graph advisories
    else
        say "advisories are not checked: the advisory database cannot be fetched from here"
    fi
}

start_cluster() {
    step "Throwaway cluster"
    e2e/cluster/cluster.sh down --name "$CLUSTER"
    e2e/cluster/cluster.sh up --name "$CLUSTER" >/dev/null
}

run_tests() {
    step "All tests"
    local status=0 results=target/nextest/ci/junit.xml
    rm -f "$results"
    interruptible cargo nextest run --locked --workspace --profile ci || status=$?
    if [[ -f $results ]]; then
        mv "$results" "$REPORTS/tests.xml"
    else
        record_step build-of-tests 0 failed "cargo nextest ended with $status before any test ran"
    fi
}

finish() {
    local status=$EXIT_STATUS
    if [[ -n $CLAIMED ]]; then
        step "Removing what the tests made"
        remove_run "$PURPOSE"
    fi
    if uses_throwaway && [[ -d $CLUSTERS/$CLUSTER ]]; then
        cp -r "$CLUSTERS/$CLUSTER/log" "$REPORTS/cluster-log" 2>/dev/null || true
        e2e/cluster/cluster.sh down --name "$CLUSTER"
    fi
    if ((status != 0)); then record_step test-run 0 failed "the run was cut off with status $status"; fi
    # Prints the slowest tests, what failed, and as the last line the counts; fails when one failed.
    python3 "$here/test/summary.py" "$REPORTS" || exit 1
}

main
