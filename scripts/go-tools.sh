# shellcheck shell=bash
# The programs that are built from Go modules: each is a module under e2e/cluster with its go.sum, so that versions are
# pinned and every source is checked against its hash. A tool is built once per content key and machine.

# shellcheck disable=SC2034 # for the scripts that source this
GO_TOOLS=(kubeone containerd coredns helm kube-score kwok registry)

# go_tool_module NAME: the folder of its go.mod
go_tool_module() {
    case $1 in
    kubeone) printf '%s/e2e/cluster/kubeone\n' "$REPO" ;;
    *) printf '%s/e2e/cluster/tools/%s\n' "$REPO" "$1" ;;
    esac
}

# go_tool_about NAME: what it is and how long a cold build takes on two cores
go_tool_about() {
    case $1 in
    kubeone) printf 'Kubernetes 1.36.2 as one program (5 to 8 minutes, once)\n' ;;
    containerd) printf 'containerd 2.3.7 (1 to 2 minutes, once)\n' ;;
    coredns) printf 'CoreDNS 1.15.0 (about 1 minute, once)\n' ;;
    helm) printf 'helm 4.2.4 (1 to 2 minutes, once)\n' ;;
    kube-score) printf 'kube-score 1.20.0 (about 1 minute, once)\n' ;;
    kwok) printf 'kwok 0.8.0 (about 1 minute, once)\n' ;;
    registry) printf 'the registry distribution 3.1.2 (about 1 minute, once)\n' ;;
    esac
}

# go_tool_flags NAME: one flag a line. The versions told to the linker are what the programs say about themselves;
# clients and Helm charts compare them.
go_tool_flags() {
    case $1 in
    kubeone)
        local base=k8s.io/component-base/version client=k8s.io/client-go/pkg/version
        printf '%s\n' -ldflags "-s -w -X $base.gitVersion=v1.36.2 -X $base.gitMajor=1 -X $base.gitMinor=36 -X $client.gitVersion=v1.36.2"
        ;;
    containerd)
        # The snapshotters that need C libraries or kernel modules are left out; the cluster uses overlayfs.
        printf '%s\n' -tags "no_btrfs no_zfs no_devmapper no_aufs" \
            -ldflags "-s -w -X github.com/containerd/containerd/v2/version.Version=v2.3.7"
        ;;
    helm) printf '%s\n' -ldflags "-s -w -X helm.sh/helm/v4/internal/version.version=v4.2.4" ;;
    kube-score) printf '%s\n' -ldflags "-s -w -X main.version=1.20.0" ;;
    kwok) printf '%s\n' -ldflags "-s -w -X sigs.k8s.io/kwok/pkg/consts.Version=v0.8.0" ;;
    *) printf '%s\n' -ldflags "-s -w" ;;
    esac
}

# go_release: `1.26` of go1.26.8. A patch release is no reason to build for ten minutes. TTS_GO_RELEASE is what the user's Go
# said before a command was run as root: Go writes into the home folder of whoever asks it.
go_release() {
    if [[ -n ${TTS_GO_RELEASE:-} ]]; then
        printf '%s\n' "$TTS_GO_RELEASE"
        return
    fi
    go version 2>/dev/null | sed -nE 's/^go version go([0-9]+\.[0-9]+).*/\1/p'
}

# go_tool_dir NAME: where the built tool lies; the folder need not be there yet
go_tool_dir() {
    local module inputs
    module=$(go_tool_module "$1")
    inputs=("$module/go.mod" "$module/go.sum" "$(go_tool_flags "$1")" "$(uname -m)" "$(go_release)")
    [[ ! -f $module/main.go ]] || inputs+=("$module/main.go")
    printf '%s/tools/%s-%s\n' "$CACHE" "$1" "$(content_key "${inputs[@]}")"
}

# install_go_tool NAME
install_go_tool() {
    local dir
    dir=$(go_tool_dir "$1")
    if [[ -d $dir ]]; then
        mark_used "$dir"
        return
    fi
    with_progress "Building $(go_tool_about "$1")" install_folder "$dir" build_go_tool "$1"
}

build_go_tool() {
    local name=$1 target=$2 flags packages=tool
    mapfile -t flags < <(go_tool_flags "$name")
    cd "$(go_tool_module "$name")" || return
    [[ ! -f main.go ]] || packages=.
    CGO_ENABLED=0 go build -trimpath -buildvcs=false "${flags[@]}" -o "$target/" "$packages" || return
    # kwok does nothing without stages (how a fake pod becomes Running, …); its module carries the usual ones.
    [[ $name != kwok ]] || kwok_stages >"$target/stages.yaml"
}

kwok_stages() {
    local module stage
    module=$(go list -m -f '{{.Dir}}' sigs.k8s.io/kwok) || return
    for stage in node/fast/node-initialize node/heartbeat-with-lease/node-heartbeat-with-lease \
        pod/fast/pod-ready pod/fast/pod-complete pod/fast/pod-delete; do
        cat "$module/kustomize/stage/$stage.yaml" || return
        printf -- '\n---\n'
    done
}
