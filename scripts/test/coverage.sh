# shellcheck shell=bash
# Line coverage of the unit tests, with what rustup brings. Only our own crates are compiled for it: cargo keeps what a
# workspace wrapper compiles apart, and takes the dependencies from the ordinary build.

measure_coverage() {
    local tools profiles target
    tools=$(rustc --print sysroot)/lib/rustlib/$(rustc --version --verbose | sed -n 's/^host: //p')/bin
    if [[ ! -x $tools/llvm-profdata ]] && ! rustup component add llvm-tools >/dev/null 2>&1; then
        say "coverage is not measured: rustup cannot add its component llvm-tools here"
        return
    fi
    target=$REPORTS/coverage
    profiles=$(mktemp -d)
    mkdir -p "$target"
    export RUSTC_WORKSPACE_WRAPPER=$REPO/scripts/test/instrumented-rustc.sh LLVM_PROFILE_FILE=$profiles/%4m.profraw
    # Whether the tests pass has been said by the run before; here a failed one only covers less.
    cargo test --locked --workspace --lib --bins --no-fail-fast >"$target/tests.log" 2>&1 || true
    compgen -G "$profiles/*.profraw" >/dev/null || { tail -n 30 "$target/tests.log" && return 1; }
    local objects=() binary
    while read -r binary; do objects+=(--object "$binary"); done < <(
        cargo test --locked --workspace --lib --bins --no-run --quiet --message-format=json |
            python3 -c 'import json, sys
for line in sys.stdin:
    message = json.loads(line)
    if message.get("executable") and message["profile"]["test"]:
        print(message["executable"])'
    )
    unset RUSTC_WORKSPACE_WRAPPER LLVM_PROFILE_FILE
    "$tools/llvm-profdata" merge --sparse "$profiles"/*.profraw --output "$profiles/all.profdata" || return
    rm "$profiles"/*.profraw
    local sources=(--instr-profile "$profiles/all.profdata" --ignore-filename-regex '(/registry/|/rustc/|/tests?(/|\.rs$))')
    "$tools/llvm-cov" report "${objects[@]:1}" "${sources[@]}" >"$target/summary.txt" &&
        "$tools/llvm-cov" export --format lcov "${objects[@]:1}" "${sources[@]}" >"$target/lcov.info" || return
    rm -rf "$profiles"
    say "lines covered by unit tests: $(awk '/^TOTAL/ { print $10 }' "$target/summary.txt") (target/reports/coverage)"
}
