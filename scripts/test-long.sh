#!/usr/bin/env bash
# What is too slow for `make test`, run by hand: the planner's validation grid and laws, the fuzz targets for ten minutes each, the
# benchmarks with measurements, a build with zig, the operator's faults and 1,000 deployments. Writes docs/test-long.md; commit it.
set -euo pipefail
here=$(cd "$(dirname "${BASH_SOURCE[0]}")" && pwd)
source "$here/lib.sh"
source "$here/cargo-target.sh"
source "$here/images/base.sh"
source "$here/images/glibc.sh"
source "$here/install/packages.sh"
source "$here/install/onnxruntime.sh"
source "$here/install/cargo-tools.sh"
source "$here/test/steps.sh"
source "$here/test/smoke.sh"

# Seconds per fuzz target.
: "${TTS_LONG_FUZZ_SECONDS:=600}"
REPORTS=$REPO/target/reports-long

main() {
    [[ $TTS_LONG_FUZZ_SECONDS =~ ^[1-9][0-9]*$ ]] ||
        fail "TTS_LONG_FUZZ_SECONDS is '$TTS_LONG_FUZZ_SECONDS'; it is a number of seconds"
    cd "$REPO"
    : "${CARGO_TARGET_DIR:=$CACHE/target}"
    export CARGO_TARGET_DIR ORT_DISABLE_TELEMETRY=1
    rm -rf "$REPORTS"
    mkdir -p "$REPORTS"
    install_onnxruntime "$(host_onnxruntime)"
    ORT_DYLIB_PATH=$(host_onnxruntime_library)
    PATH=$(cargo_tool_dir cargo-fuzz "$CARGO_FUZZ_VERSION")/bin:$PATH
    export ORT_DYLIB_PATH PATH

    run_step planner-grid cargo run --locked --release --package tts-planner --example validate
    run_step planner-laws planner_laws
    run_step fuzz run_fuzz_targets "$TTS_LONG_FUZZ_SECONDS"
    run_step build-with-zig build_with_zig
    run_step operator "$here/test/operator-long.sh"
    run_step benches cargo bench --locked --workspace --bench '*'
    write_record >docs/test-long.md
    python3 "$here/test/summary.py" "$REPORTS"
}

# Other requests than those of `make test`, and more; a failure names its seed.
planner_laws() {
    TTS_PLANNER_SEED=random TTS_PLANNER_CASES=2000 cargo test --locked --release --package tts-planner --test laws
}

# The way that a host with a newer C library than the base image's takes by itself.
build_with_zig() {
    local program status=0
    TTS_BUILD_WITH=zig "$here/build.sh" || return
    for program in tts-operator tts-server; do
        say "bin/$program asks for glibc $(highest_glibc "bin/$program"), the base has $(base_glibc)"
        (check_glibc "bin/$program") || status=1
    done
    bin/tts-server say "Built with zig." --output "$REPORTS/zig.wav" || status=1
    "$here/build.sh" || status=1
    return $status
}

write_record() {
    cat <<RECORD
# The long tests

\`make test-long\` runs what is too slow for \`make test\`; nothing runs it by itself. It writes this page, which is committed.
\`make test\` runs the fuzz targets for 10 s, the benchmarks once, without measuring, and the operator's faults shorter and at a
few points.

Last run: $(date -u +%Y-%m-%d), commit $(git rev-parse --short=12 HEAD)$(git diff --quiet HEAD -- . ':!docs/test-long.md' || printf ' with uncommitted changes'), on $(getconf _NPROCESSORS_ONLN) CPUs.

| step | result | seconds | reason |
|---|---|---|---|
$(awk -F '\t' '{ printf "| %s | %s | %s | %s |\n", $1, $3, $2, $4 }' "$REPORTS/steps.tsv")
RECORD
}

main
