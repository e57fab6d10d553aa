# shellcheck shell=bash
# The lines that tests cover: unit tests, the tests of the server's program, and the operator's program on a cluster. All
# run with instrumentation where llvm-cov is there to read what they record. Only our own crates are compiled for it:
# cargo keeps what a workspace wrapper compiles apart, and takes the dependencies from the ordinary build.

PROFILES=$REPO/target/coverage-profiles

# Tests that measure what instrumentation changes: system calls, and memory.
MEASURES='test(=say_opens_no_socket_and_writes_only_its_output) | test(=serving_talks_to_nobody_and_leaves_nothing_behind) | test(=a_thousand_hostile_connections_hold_little_memory_and_probes_are_answered)'

# Unit tests run once: instrumented, or not where coverage is not measured.
run_unit_tests() {
    step "Unit tests"
    rm -rf "$PROFILES"
    if ! llvm_tools_dir >/dev/null; then
        run_nextest unit --lib --bins
        return
    fi
    mkdir -p "$PROFILES/bin"
    (
        record_lines
        instrument
        run_nextest unit --lib --bins
        cargo nextest list --locked --workspace --lib --bins --list-type binaries-only --message-format json \
            >"$PROFILES/binaries.json" 2>/dev/null || warn "the unit tests' programs are not known"
        step "Building instrumented programs"
        interruptible with_cargo_target build_instrumented_programs
    )
    step "Tests of the instrumented server"
    (
        record_lines
        export TTS_SERVER_BIN=$PROFILES/bin/tts-server
        run_nextest instrumented-server --test http --test fetch --test inspect --test say --test formats \
            --test hostile --test openapi --test tone --test endpoint --test gpu --test profile \
            --filterset "not ($MEASURES)"
    )
}

# What is the same in all clones lies at the same place for all: cargo keeps what each wrapper compiles apart.
instrument() {
    local wrapper
    wrapper=$CACHE/tools/coverage-rustc-$(content_key "$REPO/scripts/test/coverage-rustc.sh")
    [[ -x $wrapper ]] || install -D --mode=755 "$REPO/scripts/test/coverage-rustc.sh" "$wrapper"
    mark_used "$wrapper"
    export RUSTC_WORKSPACE_WRAPPER=$wrapper
}

# %4m: runs of one program share four files; %c: they are written all the time.
record_lines() { export LLVM_PROFILE_FILE=$PROFILES/%4m%c.profraw; }

build_instrumented_programs() {
    cargo build --locked --workspace --bins || return
    cp "$CARGO_TARGET_DIR/debug/tts-operator" "$CARGO_TARGET_DIR/debug/tts-server" "$PROFILES/bin/"
}

# Needs the images, which hold the server that the operator starts; it is the operator that is instrumented.
run_operator_on_host() {
    local program=$PROFILES/bin/tts-operator
    if [[ ! -x $program ]]; then
        "$REPO/scripts/test/operator-on-host.sh" bin/tts-operator
        return
    fi
    (
        record_lines
        "$REPO/scripts/test/operator-on-host.sh" "$program"
    )
}

# measure_coverage: fails when fewer lines are covered than scripts/test/coverage-baseline.json allows
measure_coverage() {
    local tools target=$REPORTS/coverage objects=() binary
    tools=$(llvm_tools_dir) || {
        skip_step "there is no llvm-cov for this compiler; install it with: rustup component add llvm-tools"
        return
    }
    uses_throwaway || {
        skip_step "the operator's program is covered on a throwaway cluster only"
        return
    }
    compgen -G "$PROFILES/*.profraw" >/dev/null || {
        say "the tests recorded nothing"
        return 1
    }
    mkdir -p "$target"
    while read -r binary; do objects+=(--object "$binary"); done < <(
        python3 -c 'import json, sys
for binary in json.load(sys.stdin)["rust-binaries"].values(): print(binary["binary-path"])' <"$PROFILES/binaries.json"
        printf '%s\n' "$PROFILES"/bin/*
    )
    "$tools/llvm-profdata" merge --sparse "$PROFILES"/*.profraw --output "$PROFILES/all.profdata" || return
    local sources=(--instr-profile "$PROFILES/all.profdata" --ignore-filename-regex '(/registry/|/rustc/|/tests?(/|\.rs$))')
    "$tools/llvm-cov" export --summary-only "${objects[@]:1}" "${sources[@]}" >"$target/summary.json" || return
    "$tools/llvm-cov" show --format=html --output-dir="$target/html" "${objects[@]:1}" "${sources[@]}" || return
    rm -rf "$PROFILES"
    python3 scripts/test/coverage.py "$target/summary.json" "$target/lines.json"
}
