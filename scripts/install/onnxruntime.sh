# shellcheck shell=bash
# ONNX Runtime's shared library, out of the wheel that its makers publish on PyPI: it is the one prebuilt library with a
# hash that a package client checks, for both processors and macOS. Of the wheel only the library and its two licence files stay.

ONNXRUNTIME_VERSION=1.31.1

# The wheels are the same library for every Python; one is named, so that the hash does not depend on the machine's.
ONNXRUNTIME_WHEEL_PYTHON=3.11
declare -A ONNXRUNTIME_WHEEL_SHA256=(
    [x86_64]=5752bd508126ae7c49894d3b9d2e83f0c3d487319246d04c444b393308d7ad7f
    [aarch64]=da05378364c44d4407e463982d2bf8d5e4cfea873283757e48beeb41df97b7f3
    [macos]=60b6b69bfe580eab576cacc5d132a0e9cf2a37fcfd18d46dd191042b1d1ed0d7
)

# wheel_arch amd64|arm64|macos: how a wheel names the processor.
wheel_arch() {
    case $1 in
    amd64) printf 'x86_64\n' ;;
    arm64) printf 'aarch64\n' ;;
    macos) printf 'macos\n' ;;
    *) fail "ONNX Runtime has no wheel for the processor '$1'; known: amd64, arm64" ;;
    esac
}

# wheel_platform x86_64|aarch64|macos
wheel_platform() {
    case $1 in
    macos) printf 'macosx_14_0_arm64\n' ;;
    *) printf 'manylinux_2_28_%s\n' "$1" ;;
    esac
}

# host_onnxruntime: what unit tests on this machine load; on macOS nothing but unit tests runs
host_onnxruntime() {
    if [[ $(uname -s) == Darwin ]]; then printf 'macos\n'; else machine_arch; fi
}

# host_onnxruntime_library: its path
host_onnxruntime_library() {
    local dir
    dir=$(onnxruntime_dir "$(host_onnxruntime)")
    case $(uname -s) in
    Darwin) printf '%s/libonnxruntime.%s.dylib\n' "$dir" "$ONNXRUNTIME_VERSION" ;;
    *) printf '%s/libonnxruntime.so.%s\n' "$dir" "$ONNXRUNTIME_VERSION" ;;
    esac
}

# onnxruntime_dir amd64|arm64|macos: the folder with the library; it need not be there yet.
onnxruntime_dir() { printf '%s/ort/%s-%s\n' "$CACHE" "$ONNXRUNTIME_VERSION" "$(wheel_arch "$1")"; }

# install_onnxruntime amd64|arm64|macos
install_onnxruntime() {
    local dir
    dir=$(onnxruntime_dir "$1")
    if [[ -d $dir ]]; then mark_used "$dir" && return; fi
    with_progress "ONNX Runtime $ONNXRUNTIME_VERSION for $1 from PyPI (24 MB)" \
        install_folder "$dir" unpack_onnxruntime_wheel "$(wheel_arch "$1")"
}

unpack_onnxruntime_wheel() {
    local arch=$1 target=$2 download
    download=$(mktemp -d)
    printf 'onnxruntime==%s --hash=sha256:%s\n' "$ONNXRUNTIME_VERSION" "${ONNXRUNTIME_WHEEL_SHA256[$arch]}" \
        >"$download/requirements.txt"
    python3 -m pip download --quiet --no-deps --only-binary=:all: --require-hashes \
        --platform "$(wheel_platform "$arch")" --python-version "$ONNXRUNTIME_WHEEL_PYTHON" --implementation cp \
        --dest "$download" --requirement "$download/requirements.txt" &&
        python3 - "$download"/onnxruntime-*.whl "$target" <<'PYTHON'
import pathlib, sys, zipfile

wheel, target = zipfile.ZipFile(sys.argv[1]), pathlib.Path(sys.argv[2])
wanted = {"LICENSE", "ThirdPartyNotices.txt"}
for entry in wheel.namelist():
    name = pathlib.PurePosixPath(entry).name
    if entry.startswith("onnxruntime/capi/libonnxruntime.") or entry in {f"onnxruntime/{w}" for w in wanted}:
        (target / name).write_bytes(wheel.read(entry))
PYTHON
    local status=$?
    rm -rf "$download"
    return $status
}
