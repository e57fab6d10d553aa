#!/usr/bin/env bash
# A real Kubernetes cluster for the tests and the demo, in its own network, mount and process namespaces. See README.md.
set -euo pipefail
here=$(cd "$(dirname "${BASH_SOURCE[0]}")" && pwd)
source "$here/../../scripts/lib.sh"
source "$here/../../scripts/go-tools.sh"
source "$here/../../scripts/images/base.sh"
source "$here/../../scripts/images/archives.sh"
source "$here/lib/instance.sh"
source "$here/lib/requirements.sh"
source "$here/lib/network.sh"
source "$here/lib/pki.sh"
source "$here/lib/cgroup2.sh"
source "$here/lib/cgroups.sh"
source "$here/lib/start.sh"
source "$here/lib/stop.sh"

usage() {
    cat <<'USAGE'
usage: cluster.sh up   [--name NAME] [--node=real|none]   start a cluster; print an `export KUBECONFIG=…` line
       cluster.sh down [--name NAME|--all|--all-clones]   stop one cluster, all of this clone, or of all clones
       cluster.sh status                                  list the clusters of this clone
       cluster.sh load [--name NAME] ARCHIVE...           import OCI image archives into the node
       cluster.sh enter [--name NAME] COMMAND...          run a command in the cluster's network namespace
       cluster.sh kubeconfig [--name NAME]                print the path of the administrator's kubeconfig
--node=none starts the API server and the controller manager only, without containerd and runc: enough for admission and
server-side apply. NAME defaults to `node`, or to `api` with --node=none. Several clusters can run at the same time.
TTS_CLUSTER_NETWORK names a private IPv4 range of /19 or larger to use, for example 10.200.0.0/16; by default a free one
is chosen.
USAGE
}

# needs_root COMMAND: with nothing to stop, `down` needs nothing
needs_root() {
    case $1 in
    up | load | enter) ((EUID != 0)) ;;
    down) ((EUID != 0)) && compgen -G "$CACHE/cluster/*/*/" >/dev/null ;;
    *) return 1 ;;
    esac
}

main() {
    if needs_root "${1:-}"; then
        TTS_GO_RELEASE=$(go_release)
        export TTS_GO_RELEASE
        exec "$REPO/scripts/as-root.sh" "$here/cluster.sh" "$@"
    fi
    local command=${1:-} name='' node=real all_clones=''
    shift || true
    while (($# > 0)); do
        case $1 in
        --name) name=${2:?--name needs a name} && shift 2 ;;
        --name=*) name=${1#*=} && shift ;;
        --node=real | --node=none) node=${1#*=} && shift ;;
        --all) name='*' && shift ;;
        --all-clones) all_clones=yes && shift ;;
        --) shift && break ;;
        -*) usage >&2 && exit 2 ;;
        *) break ;;
        esac
    done
    if [[ -z $name ]]; then
        case $node in none) name=api ;; *) name=node ;; esac
    fi
    is_instance_name "$name" || [[ $name == '*' ]] ||
        fail "a cluster's name is 1 to 12 lower-case letters or digits, not '$name'"

    case $command in
    up) start_instance "$name" "$node" ;;
    down)
        if [[ -n $all_clones ]]; then stop_instances_of_all_clones; else stop_instances "$name"; fi
        ;;
    status) list_instances ;;
    load) load_images "$name" "$@" ;;
    enter) enter_instance "$name" "$@" ;;
    kubeconfig) instance_kubeconfig "$name" ;;
    *) usage >&2 && exit 2 ;;
    esac
}

main "$@"
