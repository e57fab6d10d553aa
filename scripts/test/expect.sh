# shellcheck shell=bash
# How the shell tests say what they found.

# expect WHAT COMMAND...
expect() {
    local what=$1
    shift
    if "$@" >/dev/null 2>&1; then say "ok: $what"; else fail "not so: $what"; fi
}

fails() { ! "$@"; }

# expect_refusal TEXT COMMAND...: it fails, and what it prints contains TEXT
expect_refusal() {
    local text=$1 output
    shift
    if output=$("$@" 2>&1); then fail "this was not refused: $*" "$output"; fi
    [[ $output == *"$text"* ]] || fail "the refusal does not say '$text':" "$output"
    say "ok: refused with: $text"
}
