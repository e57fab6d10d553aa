# shellcheck shell=bash
# Sourced by every script of this repository: where things lie, and how a script talks to a person.
# shellcheck disable=SC2034 # variables are for the scripts that source this

if ((BASH_VERSINFO[0] < 5)); then
    printf 'error: bash 5 or newer is needed; this is %s\n       macOS: brew install bash\n' "$BASH_VERSION" >&2
    exit 1
fi
# macOS has the same under another name.
command -v sha256sum >/dev/null 2>&1 || sha256sum() { shasum --algorithm 256; }

REPO=$(cd "$(dirname "${BASH_SOURCE[0]}")/.." && pwd -P)

# All that is slow to make lies outside the clone, so that a second clone of the same machine starts warm.
CACHE=${XDG_CACHE_HOME:-$HOME/.cache}/tts-operator
# For the tests in Rust.
export TTS_CACHE=$CACHE

# Clusters belong to a clone: another clone's are never stopped or used.
CLONE_ID=$(printf '%s' "$REPO" | sha256sum | cut -c1-8)
CLUSTERS=$CACHE/cluster/$CLONE_ID

# A first try at anything slow prints what it does and how long it takes; a repeated one stays silent.
say() { printf '%s\n' "$*"; }
step() { printf '==> %s\n' "$*"; }
warn() { printf 'warning: %s\n' "$*" >&2; }
fail() {
    printf 'error: %s\n' "$1" >&2
    shift
    (($# == 0)) || printf '       %s\n' "$@" >&2
    exit 1
}

have() { command -v "$1" >/dev/null 2>&1; }

# content_key STRING|FILE...: sixteen hex digits over the content of the files and the other strings.
# The names of files do not count: the same sources in another clone give the same key.
content_key() {
    local item
    for item in "$@"; do
        if [[ -f $item ]]; then sha256sum <"$item"; else printf '%s\n' "$item"; fi
    done | sha256sum | cut -c1-16
}

# with_progress WHAT COMMAND...: runs a slow command with its output in a log file, says every half minute that it is
# still at it, how long it took at the end, and shows the end of the log when it fails. It runs in the foreground, so
# that Ctrl-C ends it.
with_progress() {
    local what=$1 log start=$SECONDS beat status=0
    shift
    mkdir -p "$CACHE/log"
    log="$CACHE/log/$(tr -cs '[:alnum:]\n' '-' <<<"${what%% (*}" | sed 's/-*$//').log"
    step "$what"
    heartbeat "$log" &
    beat=$!
    "$@" >"$log" 2>&1 </dev/null || status=$?
    kill "$beat" 2>/dev/null || true
    wait "$beat" 2>/dev/null || true
    if ((status != 0)); then
        tail -n 40 "$log" >&2
        fail "$what: failed after $((SECONDS - start)) s; the whole log is $log"
    fi
    say "    done in $((SECONDS - start)) s"
}

# heartbeat LOG: until it is killed, or the script that started it has ended
heartbeat() {
    local start=$SECONDS never
    # A read that never gets anything waits without a child that could outlive the script.
    exec {never}<> <(:)
    while kill -0 $$ 2>/dev/null; do
        read -r -t 30 -u "$never" || true
        say "    … still at it after $((SECONDS - start)) s  $(tail -n 1 "$1" | cut -c1-80)"
    done
}

# mark_used PATH...: so that scripts/prune-cache.sh keeps it
mark_used() { touch --no-create -- "$@" 2>/dev/null || true; }

# install_folder TARGET COMMAND...: runs COMMAND with a new folder as its last argument and renames the folder to TARGET
# when it succeeds, so that TARGET is either whole or absent even when a run is cut off.
install_folder() {
    local target=$1 partial
    shift
    mkdir -p "$(dirname "$target")"
    rm -rf "$target".partial.*
    partial=$(mktemp -d "$target.partial.XXXXXX")
    chmod 755 "$partial"
    if ! "$@" "$partial"; then
        rm -rf "$partial"
        return 1
    fi
    rm -rf "$target"
    mv "$partial" "$target"
}

# with_lock FILE WHAT COMMAND...: one at a time, also among clones; WHAT is what another run would be doing
with_lock() {
    local lock=$1 what=$2
    shift 2
    mkdir -p "$(dirname "$lock")"
    local descriptor
    exec {descriptor}>"$lock"
    # macOS has no flock.
    if have flock && ! flock --nonblock "$descriptor"; then
        step "Waiting for another run: $what"
        flock "$descriptor"
    fi
    "$@"
    exec {descriptor}>&-
}

# machine_arch: amd64 or arm64, the way OCI images and Debian name it.
machine_arch() {
    case $(uname -m) in
    x86_64) printf 'amd64\n' ;;
    aarch64) printf 'arm64\n' ;;
    *) fail "this machine is $(uname -m); amd64 is needed" ;;
    esac
}

# interruptible COMMAND...: bash runs a trap only when the command in the foreground has ended; this way at once
interruptible() {
    local status=0
    "$@" &
    INTERRUPTIBLE_PID=$!
    wait "$INTERRUPTIBLE_PID" || status=$?
    INTERRUPTIBLE_PID=
    return "$status"
}

# exit_on_signals CLEAN_UP: runs it exactly once at the end, however the script ends
exit_on_signals() {
    trap 'exit 130' INT
    trap 'exit 143' TERM HUP
    # shellcheck disable=SC2064 # the name is known now
    trap "stop_interruptible; $1" EXIT
}

stop_interruptible() {
    EXIT_STATUS=$?
    # A second signal does not cut the clean-up short.
    trap '' INT TERM HUP
    [[ -n ${INTERRUPTIBLE_PID:-} ]] || return 0
    kill -TERM "$INTERRUPTIBLE_PID" 2>/dev/null || true
    wait "$INTERRUPTIBLE_PID" 2>/dev/null || true
}
