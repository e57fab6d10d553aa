# shellcheck shell=bash
# What a throwaway cluster requires of the machine. Everything that is missing is reported at once.

# require_machine real|none
require_machine() {
    local node=$1 missing=() command
    [[ $(uname -s) == Linux ]] || missing+=("Linux (this is $(uname -s))")
    ((EUID == 0)) || missing+=("root, to create namespaces (this user is $(id -un))")
    for command in ip unshare nsenter openssl curl pgrep; do
        have "$command" || missing+=("the command $command")
    done
    if [[ $node == real ]]; then
        for command in runc nft; do
            have "$command" || missing+=("the command $command")
        done
        [[ -x /usr/lib/cni/bridge ]] || missing+=("the CNI plugins in /usr/lib/cni")
        [[ -w /sys/fs/cgroup ]] || missing+=("a writable /sys/fs/cgroup")
    fi
    if ((EUID == 0)) && have unshare && ! unshare --net --mount --pid --fork --mount-proc true 2>/dev/null; then
        missing+=("permission to create network, mount and process namespaces (a container needs --privileged)")
    fi
    ((${#missing[@]} == 0)) || fail "a throwaway cluster cannot run here. Missing:" \
        "${missing[@]/#/- }" \
        "\`make setup\` installs the commands. To use an existing cluster instead, set TTS_E2E_KUBECONFIG to its kubeconfig" \
        "and TTS_E2E_CONTEXT to its context"

    # Inside the mount namespace an empty folder covers each of them.
    case $CACHE in
    /run/* | /var/run/* | /var/log/*) fail "the cache folder $CACHE must not be below /run or /var/log" \
        "set XDG_CACHE_HOME to another folder" ;;
    esac
    [[ -x $(go_tool_dir kubeone)/kubeone ]] || fail "Kubernetes is not built yet" "build it with: make setup"
    if [[ $node == real ]]; then
        for command in containerd coredns; do
            [[ -d $(go_tool_dir "$command") ]] || fail "$command is not built yet" "build it with: make setup"
        done
        [[ -f $(image_archive tts-pause) ]] || fail "the pause image is not built yet" "build it with: make setup"
    fi
}
