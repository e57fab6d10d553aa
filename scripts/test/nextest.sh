# shellcheck shell=bash
# cargo's tests: the ones inside crates (unit) and the ones beside them (integration), each once.

# Those that need no cluster as well; the ones that do find it by themselves.
run_integration_tests() {
    step "Integration and end-to-end tests"
    run_nextest integration --test '*'
}

# run_nextest NAME SELECTION...: leaves REPORTS/tests-NAME.xml
run_nextest() {
    local name=$1 status=0 results=$REPO/target/nextest/ci/junit.xml
    shift
    rm -f "$results"
    interruptible with_cargo_target cargo nextest run --locked --workspace --profile ci "$@" || status=$?
    if [[ -f $results ]]; then
        mv "$results" "$REPORTS/tests-$name.xml"
    else
        record_step "build-of-$name-tests" 0 failed "cargo nextest ended with $status before any test ran"
    fi
}
