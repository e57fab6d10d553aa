# shellcheck shell=bash
# What a throwaway cluster needs of the machine. Everything that is missing is said at once.

# require_machine real|none
require_machine() {
    local node=$1 missing=() command
    [[ $(uname -s) == Linux ]] || missing+=("Linux (this is $(uname -s))")
    ((EUID == 0)) || missing+=("root, for namespaces of its own (you are $(id -un))")
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
        missing+=("permission to make network, mount and process namespaces (a container needs --privileged for it)")
    fi
    ((${#missing[@]} == 0)) || fail "a throwaway cluster cannot run here. Missing:" \
        "${missing[@]/#/- }" \
        "Commands come with \`make setup\`. Or use a cluster you have: set KUBECONFIG to its kubeconfig; images then go" \
        "to the registry that TTS_IMAGE_REGISTRY names, or into kind when the current context is kind-…"

    # Both are covered with an empty folder inside the mount namespace.
    case $CACHE in
    /run/* | /var/run/* | /var/log/*) fail "the cache folder $CACHE may not lie below /run or /var/log" \
        "set XDG_CACHE_HOME to another place" ;;
    esac
    [[ -x $(go_tool_dir kubeone)/kubeone ]] || fail "Kubernetes is not built yet" "build it with: make setup"
    if [[ $node == real ]]; then
        for command in containerd coredns; do
            [[ -d $(go_tool_dir "$command") ]] || fail "$command is not built yet" "build it with: make setup"
        done
        [[ -f $(image_archive tts-pause) ]] || fail "the pause image is not built yet" "build it with: make setup"
    fi
}
