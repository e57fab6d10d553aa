#!/usr/bin/env bash
# Everything: the checks, the images, the demo, all tests on a real cluster. Reports are in target/reports.
# The cluster is a throwaway one, stopped at the end, or the one that TTS_E2E_KUBECONFIG and TTS_E2E_CONTEXT name.
set -euo pipefail
here=$(cd "$(dirname "${BASH_SOURCE[0]}")" && pwd)
source "$here/lib.sh"
source "$here/go-tools.sh"
source "$here/cargo-target.sh"
source "$here/images/bring.sh"
source "$here/cluster/in-use.sh"
source "$here/cluster/own.sh"
source "$here/install/packages.sh"
source "$here/install/onnxruntime.sh"
source "$here/install/python.sh"
source "$here/install/cargo-tools.sh"
source "$here/install/llvm-tools.sh"
source "$here/test/steps.sh"
source "$here/test/dependencies.sh"
source "$here/test/smoke.sh"
source "$here/test/nextest.sh"
source "$here/test/coverage.sh"

# Not the name of the demo's cluster: that one stays up.
CLUSTER='test'
# Names everything that the tests make in a cluster of yours.
PURPOSE=tts-operator-e2e
CLAIMED=
STARTED=
REPORTS=$REPO/target/reports

main() {
    cd "$REPO"
    exit_on_signals finish
    # First: a run that is refused leaves the reports of the last one.
    select_cluster "$PURPOSE" "$CLUSTER"
    STARTED=yes
    rm -rf "$REPORTS"
    mkdir -p "$REPORTS"
    : "${CARGO_TARGET_DIR:=$CACHE/target}"
    export CARGO_TARGET_DIR
    interruptible "$here/setup" test
    interruptible "$here/build.sh"
    set_environment

    run_step format-and-lints "$here/check.sh" --without-tests
    run_step cache-pruning "$here/test/cache.sh"
    run_step licences check_licences
    run_step crate-advisories check_crate_advisories
    run_step go-vulnerabilities check_go_vulnerabilities
    run_step python-vulnerabilities check_python_vulnerabilities
    require_step images "$here/images.sh" build
    run_step image-contents image_contents
    run_unit_tests
    run_step doctests run_doctests
    run_step benches run_benches_once
    run_step fuzz run_fuzz_targets 10
    if uses_throwaway; then
        run_step demo run_demo
        run_step throwaway-cluster e2e/cluster/test.sh
        run_step cluster-of-the-user "$here/test/own-cluster.sh"
        run_step demo-on-kind "$here/test/kind.sh"
        run_step documented-install e2e/registry-test.sh
        run_step operator-on-host run_operator_on_host
        start_cluster
    else
        claim_cluster "$PURPOSE"
        CLAIMED=yes
    fi
    run_step coverage measure_coverage
    step "Images to the cluster's nodes"
    read -r TTS_IMAGE_REGISTRY TTS_IMAGE_TAG < <("$here/images.sh" load "$CLUSTER")
    [[ -n ${TTS_IMAGE_TAG:-} ]] || fail "the images did not get to the cluster"
    export TTS_IMAGE_REGISTRY TTS_IMAGE_TAG
    run_integration_tests
}

# Bills of materials and licences are in the images and complete.
image_contents() {
    local name
    for name in tts-operator tts-server; do
        python3 "$here/test/image_contents.py" "$name" "$("$here/images.sh" archive "$name")" || return
    done
}

set_environment() {
    PATH=$REPO/bin:$(go_tool_dir helm):$(go_tool_dir kube-score):$(go_tool_dir kwok):$(dirname "$(promtool_path)"):$PATH
    PATH=$(cargo_tool_dir cargo-nextest "$CARGO_NEXTEST_VERSION")/bin:$PATH
    PATH=$(cargo_tool_dir cargo-deny "$CARGO_DENY_VERSION")/bin:$(cargo_tool_dir cargo-fuzz "$CARGO_FUZZ_VERSION")/bin:$PATH
    ORT_DYLIB_PATH=$(onnxruntime_dir "$(machine_arch)")/libonnxruntime.so.$ONNXRUNTIME_VERSION
    TTS_E2E_PYTHON=$(python_venv)/bin/python
    HELM=$(go_tool_dir helm)/helm
    export PATH ORT_DYLIB_PATH ORT_DISABLE_TELEMETRY=1 TTS_E2E_PYTHON HELM
}

start_cluster() {
    step "Throwaway cluster"
    e2e/cluster/cluster.sh down --name "$CLUSTER"
    e2e/cluster/cluster.sh up --name "$CLUSTER" >/dev/null
}

finish() {
    local status=$EXIT_STATUS
    if [[ -n $CLAIMED ]]; then
        step "Removing what the tests made"
        remove_run "$PURPOSE"
    fi
    forget_context
    [[ -n $STARTED ]] || return 0
    if uses_throwaway && [[ -d $CLUSTERS/$CLUSTER ]]; then
        cp -r "$CLUSTERS/$CLUSTER/log" "$REPORTS/cluster-log" 2>/dev/null || true
        e2e/cluster/cluster.sh down --name "$CLUSTER"
    fi
    if ((status != 0)); then record_step test-run 0 failed "the run was cut off with status $status"; fi
    # Prints the slow tests, what was skipped, what failed, and as the last line the counts; fails when one failed.
    python3 "$here/test/summary.py" "$REPORTS" || exit 1
}

main
