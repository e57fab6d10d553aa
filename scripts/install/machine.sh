# shellcheck shell=bash
# What a machine has to bring along, because this project does not install it.

MINIMUM_RUST=1.92
MINIMUM_GO=1.26
MINIMUM_PYTHON=3.11

# Go's and cargo's caches, the tools, the images: what a cold `make test` leaves, and what a warm one adds.
COLD_DISK_GB=17
WARM_DISK_GB=3

# check_machine: every shortcoming at once, a sentence each
check_machine() {
    local missing=()
    [[ $(uname -s) == Linux ]] || missing+=("This is $(uname -s); Linux is needed.")
    [[ $(uname -m) == x86_64 ]] || missing+=("This is $(uname -m); amd64 (x86_64) is needed.")
    check_version Rust "$MINIMUM_RUST" "$(tool_version rustc --version)" "https://rustup.rs, then: rustup update stable"
    # For a throwaway cluster; an own one with an own kubectl needs no Go.
    if uses_throwaway || ! have kubectl; then
        check_version Go "$MINIMUM_GO" "$(tool_version go version)" "https://go.dev/dl"
    fi
    check_version Python "$MINIMUM_PYTHON" "$(tool_version python3 --version)" "your distribution's package python3"
    check_disk
    ((${#missing[@]} == 0)) || fail "this machine lacks something:" "${missing[@]/#/- }"
}

# check_tools: what `make check` needs; less than the rest, and not only on Linux
check_tools() {
    local missing=()
    check_version Rust "$MINIMUM_RUST" "$(tool_version rustc --version)" "https://rustup.rs, then: rustup update stable"
    check_version Python "$MINIMUM_PYTHON" "$(tool_version python3 --version)" "your distribution's package python3"
    have cc || missing+=("There is no C compiler; one is needed (Debian: gcc and libc6-dev; macOS: xcode-select --install).")
    ((${#missing[@]} == 0)) || fail "this machine lacks something:" "${missing[@]/#/- }"
}

# tool_version COMMAND...: the first dotted number it prints, or nothing
tool_version() { "$@" 2>/dev/null | grep -oE '[0-9]+(\.[0-9]+)+' | head -n 1 || true; }

# check_version NAME MINIMUM FOUND SOURCE: adds to `missing` of the caller
check_version() {
    if [[ -z $3 ]]; then
        missing+=("$1 is not installed; $2 or newer is needed ($4).")
    elif [[ $(printf '%s\n' "$2" "$3" | sort -V | head -n 1) != "$2" ]]; then
        missing+=("$1 here is $3; $2 or newer is needed ($4).")
    fi
}

check_disk() {
    local free_gb need=$COLD_DISK_GB
    [[ ! -d $(go_tool_dir kubeone) ]] || need=$WARM_DISK_GB
    mkdir -p "$CACHE"
    free_gb=$(($(df --output=avail -k "$CACHE" | tail -n 1) / 1000000))
    ((free_gb >= need)) ||
        missing+=("$free_gb GB are free for $CACHE; $need GB are needed (XDG_CACHE_HOME moves it).")
}

# check_privileges: before minutes of building for a cluster that could not start
check_privileges() {
    uses_throwaway || return 0
    local instead="use a cluster of yours instead (README.md, \"Tests and demo on your own cluster\")"
    "$REPO/scripts/as-root.sh" --check "A throwaway cluster" || fail "no throwaway cluster can be started" "$instead"
    have unshare || return 0
    "$REPO/scripts/as-root.sh" unshare --net --mount --pid --fork --mount-proc true 2>/dev/null ||
        fail "a throwaway cluster needs namespaces, and this machine does not allow them (a container: --privileged)" \
            "$instead"
}
