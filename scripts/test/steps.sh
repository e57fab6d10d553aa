# shellcheck shell=bash
# What is not a test of cargo's counts as one: a step with a name, a time and a result, in REPORTS/steps.tsv.

# The exit status of a step that was skipped, as automake has it.
SKIPPED=77

# run_step NAME COMMAND...: a failed step is reported at once, and the next ones run all the same
run_step() {
    local name=$1 log start=$SECONDS status=0 result message=
    shift
    log=$REPORTS/$name.log
    step "$name"
    # In a condition a failing command does not end this script, nor the function it is: those return where they fail.
    "$@" 2>&1 </dev/null | tee "$log" | sed 's/^/    /' || status=${PIPESTATUS[0]}
    case $status in
    0) result=passed ;;
    "$SKIPPED") result=skipped message=$(sed -n 's/^skipped: //p' "$log" | tail -n 1) ;;
    *) result=failed && warn "$name failed" ;;
    esac
    record_step "$name" "$((SECONDS - start))" "$result" "$message"
}

# require_step NAME COMMAND...: a step without which nothing after it makes sense; its failure ends the run
require_step() {
    run_step "$@"
    step_passed "$1" || fail "the run ends here: $1 did not pass"
}

# skip_step REASON: to be followed by `return`
skip_step() {
    say "skipped: $*"
    return $SKIPPED
}

# record_step NAME SECONDS passed|failed|skipped MESSAGE
record_step() { printf '%s\t%s\t%s\t%s\n' "$@" >>"$REPORTS/steps.tsv"; }

step_passed() { awk -F '\t' -v name="$1" '$1 == name && $3 == "passed" { found = 1 } END { exit !found }' "$REPORTS/steps.tsv"; }
