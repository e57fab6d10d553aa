# shellcheck shell=bash
# What is not a test of cargo's counts as one: a step with a name, a time and a result, in REPORTS/steps.tsv.

# run_step NAME COMMAND...: a failed step is reported at once, and the next ones run all the same
run_step() {
    local name=$1 log start=$SECONDS result=passed
    shift
    log=$REPORTS/$name.log
    step "$name"
    # In a condition a failing command does not end this script, nor the function it is: those return where they fail.
    if ! "$@" 2>&1 | tee "$log" | sed 's/^/    /'; then result=failed; fi
    record_step "$name" "$((SECONDS - start))" "$result" ""
    [[ $result == passed ]] || warn "$name failed"
}

# record_step NAME SECONDS passed|failed MESSAGE
record_step() { printf '%s\t%s\t%s\t%s\n' "$@" >>"$REPORTS/steps.tsv"; }

step_passed() { grep -qP "^$1\t\d+\tpassed" "$REPORTS/steps.tsv"; }
