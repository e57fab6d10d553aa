#!/usr/bin/env bash
# Runs one command as root. Only the throwaway cluster and the installation of Debian packages need it: nothing is built
# as root. PATH, HOME and the project's variables stay, and files in the cache folder that root made are given back.
set -euo pipefail
here=$(cd "$(dirname "${BASH_SOURCE[0]}")" && pwd)
source "$here/lib.sh"

usage() {
    cat <<'USAGE'
usage: as-root.sh COMMAND [ARGUMENT...]   run it as root, through sudo unless you are root
       as-root.sh --check REASON          fail unless that is possible; sudo may ask for your password
USAGE
}

main() {
    case ${1:-} in
    '' | --help) usage >&2 && exit 2 ;;
    --check) check "${2:?--check needs a reason}" ;;
    *) run "$@" ;;
    esac
}

check() {
    ((EUID != 0)) || return 0
    have sudo || fail "$1 needs root; you are $(id -un), and there is no sudo here" "run this as root"
    sudo --non-interactive true 2>/dev/null && return
    # Without a terminal sudo has nobody to ask.
    { : </dev/tty; } 2>/dev/null || fail "$1 needs root; sudo wants a password, and there is no terminal to ask on" \
        "run \`sudo --validate\` first, or run this as root"
    say "$1 needs root; sudo may ask for your password." >&2
    sudo --validate || fail "$1 needs root, and sudo refused"
}

run() {
    ((EUID != 0)) || exec "$@"
    check "${1##*/}"
    local kept=(PATH="$PATH" HOME="$HOME") name status=0
    # Through env and not sudo's own option, which many sudoers files refuse.
    for name in XDG_CACHE_HOME DEBIAN_FRONTEND LANG LC_ALL "${!TTS_@}"; do
        [[ -z ${!name+set} ]] || kept+=("$name=${!name}")
    done
    sudo env "${kept[@]}" "$@" || status=$?
    give_back
    exit "$status"
}

# give_back: all of the cache folder belongs to the user, except what containers of a running cluster wrote
give_back() {
    local state owner
    owner=$(id -u):$(id -g)
    [[ -d $CACHE ]] || return 0
    sudo find "$CACHE" -xdev -path "$CACHE/cluster" -prune -o -uid 0 -exec chown --no-dereference "$owner" {} +
    [[ -d $CACHE/cluster ]] || return 0
    sudo find "$CACHE/cluster" "$CLUSTERS" -maxdepth 1 -uid 0 -exec chown --no-dereference "$owner" {} +
    for state in "$CLUSTERS"/*/; do
        [[ -d $state ]] || continue
        sudo chown "$owner" "$state"
        sudo find "$state" -mindepth 1 -maxdepth 1 -type f -exec chown --no-dereference "$owner" {} +
        [[ ! -d $state/log ]] || sudo chown --recursive --no-dereference "$owner" "$state/log"
    done
}

main "$@"
