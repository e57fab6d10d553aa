# shellcheck shell=bash
# Compiling against an older C library than this machine's: cargo-zigbuild links with zig, which has the symbols of every
# version of glibc. Both are MIT-licensed and come as wheels from PyPI.

CARGO_ZIGBUILD_VERSION=0.24.1
CARGO_ZIGBUILD_WHEEL_SHA256=238a1ab54a95053a4eadc34775c81f795a8ad75f80bfed63f3f445f518102375
ZIG_VERSION=0.15.2
ZIG_WHEEL_SHA256=806316453d1ede7174ed3fefb8e5348154629089c3bb5fe812dfd0e172fac130

zig_dir() { printf '%s/tools/zig-%s-%s\n' "$CACHE" "$ZIG_VERSION" "$CARGO_ZIGBUILD_VERSION"; }

install_zig() {
    local dir
    dir=$(zig_dir)
    if [[ -d $dir ]]; then mark_used "$dir" && return; fi
    with_progress "zig $ZIG_VERSION and cargo-zigbuild $CARGO_ZIGBUILD_VERSION from PyPI (85 MB)" install_folder "$dir" unpack_zig
}

unpack_zig() {
    local target=$1 download status=0
    download=$(mktemp -d)
    printf 'cargo-zigbuild==%s --hash=sha256:%s\nziglang==%s --hash=sha256:%s\n' \
        "$CARGO_ZIGBUILD_VERSION" "$CARGO_ZIGBUILD_WHEEL_SHA256" "$ZIG_VERSION" "$ZIG_WHEEL_SHA256" >"$download/requirements.txt"
    python3 -m pip install --quiet --no-deps --only-binary=:all: --require-hashes \
        --target "$target" --requirement "$download/requirements.txt" || status=$?
    rm -rf "$download"
    return $status
}
