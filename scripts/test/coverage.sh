# shellcheck shell=bash
# Unit tests, and the lines that they cover. They run once: compiled with instrumentation where llvm-cov is there to read
# what they record. Only our own crates are compiled for it: cargo keeps what a workspace wrapper compiles apart, and
# takes the dependencies from the ordinary build.

PROFILES=$REPO/target/coverage-profiles

run_unit_tests() {
    step "Unit tests"
    rm -rf "$PROFILES"
    if ! llvm_tools_dir >/dev/null; then
        run_nextest unit --lib --bins
        return
    fi
    mkdir -p "$PROFILES"
    (
        export RUSTC_WORKSPACE_WRAPPER=$REPO/scripts/test/coverage-rustc.sh LLVM_PROFILE_FILE=$PROFILES/%4m.profraw
        run_nextest unit --lib --bins
        cargo nextest list --locked --workspace --lib --bins --list-type binaries-only --message-format json \
            >"$PROFILES/binaries.json" 2>/dev/null || warn "the unit tests' programs are not known"
    )
}

# measure_coverage: fails when fewer lines are covered than scripts/test/coverage-baseline.json allows
measure_coverage() {
    local tools target=$REPORTS/coverage objects=() binary
    tools=$(llvm_tools_dir) || {
        skip_step "there is no llvm-cov for this compiler; install it with: rustup component add llvm-tools"
        return
    }
    compgen -G "$PROFILES/*.profraw" >/dev/null || {
        say "the unit tests recorded nothing"
        return 1
    }
    mkdir -p "$target"
    while read -r binary; do objects+=(--object "$binary"); done < <(
        python3 -c 'import json, sys
for binary in json.load(sys.stdin)["rust-binaries"].values(): print(binary["binary-path"])' <"$PROFILES/binaries.json"
    )
    "$tools/llvm-profdata" merge --sparse "$PROFILES"/*.profraw --output "$PROFILES/all.profdata" || return
    local sources=(--instr-profile "$PROFILES/all.profdata" --ignore-filename-regex '(/registry/|/rustc/|/tests?(/|\.rs$))')
    "$tools/llvm-cov" export --summary-only "${objects[@]:1}" "${sources[@]}" >"$target/summary.json" || return
    "$tools/llvm-cov" show --format=html --output-dir="$target/html" "${objects[@]:1}" "${sources[@]}" || return
    rm -rf "$PROFILES"
    python3 scripts/test/coverage.py "$target/summary.json" "$target/lines.json"
}
