# shellcheck shell=bash
# A cluster is an instance with a name; it belongs to a clone. Its folder holds all of its state: keys, etcd's data,
# containers, logs.

instance_state() { printf '%s/%s\n' "$CLUSTERS" "$1"; }

instance_kubeconfig() { printf '%s/admin.kubeconfig\n' "$(instance_state "$1")"; }

# instance_supervisor NAME: the process id, as the host sees it, of the `unshare` that holds the instance's namespaces.
# A number left by a crash may belong to another process by now, so the command line has to name our folder.
instance_supervisor() {
    local state pid
    state=$(instance_state "$1")
    pid=$(cat "$state/supervisor.pid" 2>/dev/null) || return
    { tr '\0' '\n' <"/proc/$pid/cmdline"; } 2>/dev/null | grep -qxF "$state" || return
    printf '%s\n' "$pid"
}

# instance_init NAME: the process id, as the host sees it, of the first process in the namespaces
instance_init() {
    local supervisor
    supervisor=$(instance_supervisor "$1") && pgrep --parent "$supervisor"
}

instance_is_ready() {
    [[ -f $(instance_state "$1")/ready ]] && instance_init "$1" >/dev/null
}

# is_instance_name NAME: other folders of $CLUSTERS are not ours
is_instance_name() { [[ $1 =~ ^[a-z0-9]{1,12}$ ]]; }

# instance_names: of this clone
instance_names() {
    local folder name
    for folder in "$CLUSTERS"/*/; do
        name=$(basename "$folder")
        if [[ -d $folder ]] && is_instance_name "$name"; then printf '%s\n' "$name"; fi
    done
}

list_instances() {
    local name
    for name in $(instance_names); do
        if instance_is_ready "$name"; then
            say "$name: running, export KUBECONFIG=$(instance_kubeconfig "$name")"
        else
            say "$name: left over by a crash; \`cluster.sh down --name $name\` and the next start clean up"
        fi
    done
}

require_running() {
    instance_is_ready "$1" || fail "no cluster '$1' is running" "start it with: make cluster-up"
}

# load_images NAME ARCHIVE...
load_images() {
    local name=$1 state archive
    shift
    require_running "$name"
    state=$(instance_state "$name")
    [[ -S $state/containerd/containerd.sock ]] ||
        fail "the cluster '$name' has no node to load images into" "it was started with --node=none"
    for archive in "$@"; do
        "$(go_tool_dir containerd)/ctr" --address "$state/containerd/containerd.sock" --namespace k8s.io \
            images import "$archive" &>"$state/log/import.log" || {
            cat "$state/log/import.log" >&2
            fail "containerd could not import $archive" "containerd's log is $state/log/containerd.log"
        }
    done
}

# enter_instance NAME COMMAND...: the host's files and user, the cluster's network
enter_instance() {
    local name=$1
    shift
    require_running "$name"
    exec nsenter --target "$(instance_init "$name")" --net -- "$@"
}
