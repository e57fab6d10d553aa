# shellcheck shell=bash
# Starting an instance: the folder, the keys, the namespaces, the link to the host, and waiting until it is ready.

# How long a start may take on a busy machine; the usual time is 4 to 8 seconds.
START_DEADLINE_SECONDS=120

# start_instance NAME real|none: messages go to stderr, the `export` line to stdout
start_instance() {
    local name=$1 node=$2 start=$SECONDS
    check_cluster_network
    require_machine "$node"
    mkdir -p "$CLUSTERS"
    lock_machine
    if instance_is_ready "$name"; then
        say "the cluster '$name' is already running (stop it with: e2e/cluster/cluster.sh down --name $name)" >&2
    else
        stop_instance "$name"
        boot "$name" "$node"
        say "the cluster '$name' is ready after $((SECONDS - start)) s" >&2
    fi
    say "export KUBECONFIG=$(instance_kubeconfig "$name")"
}

# lock_machine: two starts at once, of any clones, would choose the same network. The lock is released with this process,
# not with the cluster.
lock_machine() {
    exec 9>"$CACHE/cluster/.lock"
    flock 9
}

boot() {
    local name=$1 node=$2 state network init
    state=$(instance_state "$name")
    network=$(free_network)
    mkdir -m 700 "$state"
    mkdir "$state/log"
    write_settings "$state" "$name" "$network" "$node"
    create_pki "$state/pki" "$(network_api_address "$network")" "$(network_first_service "$network")"
    render_configuration "$state"
    cp "$state/pki/admin.kubeconfig" "$state/admin.kubeconfig"
    [[ $node != real ]] || create_cgroups "$name"

    # --kill-child ends the first process, and with it every process of the instance, when unshare is killed.
    setsid unshare --net --mount --pid --fork --mount-proc --kill-child=KILL --propagation private \
        "$here/inside/init.sh" "$state" >"$state/log/init.log" 2>&1 </dev/null 9>&- &
    printf '%s\n' "$!" >"$state/supervisor.pid"
    disown

    # The supervisor is found by its command line, which is there a moment after the fork.
    until init=$(instance_init "$name"); do
        kill -0 "$(<"$state/supervisor.pid")" 2>/dev/null || start_failed "$name"
        sleep 0.02
    done
    connect_host "$network" "$init"
    local deadline=$((SECONDS + START_DEADLINE_SECONDS))
    until [[ -f $state/ready ]]; do
        instance_init "$name" >/dev/null || start_failed "$name"
        ((SECONDS < deadline)) || start_failed "$name"
        sleep 0.05
    done
    sed 's/^/    /' "$state/log/init.log" >&2
}

start_failed() {
    local state kept
    state=$(instance_state "$1")
    kept=$CACHE/log/cluster-$CLONE_ID-$1
    sed 's/^/    /' "$state/log/init.log" >&2
    mkdir -p "$CACHE/log"
    rm -rf "$kept"
    cp -r "$state/log" "$kept"
    stop_instance "$1"
    release_cgroups
    fail "the cluster '$1' did not start; its logs are in $kept"
}

# write_settings STATE NAME NETWORK NODE: for the scripts inside the namespaces and for a later stop
write_settings() {
    local state=$1 network=$3
    cat >"$state/settings" <<SETTINGS
NAME=$2
NODE=$4
CACHE=$CACHE
NETWORK=$network
INTERFACE=$(network_interface_host "$network")
API_ADDRESS=$(network_api_address "$network")
PODS=$(network_pods "$network")
SERVICES=$(network_services "$network")
DNS_SERVICE=$(network_dns_service "$network")
CGROUP=/$(cgroup_name "$2")
KUBEONE=$(go_tool_dir kubeone)/kubeone
CONTAINERD=$(go_tool_dir containerd)
COREDNS=$(go_tool_dir coredns)/coredns
RUNC=$(command -v runc || true)
PAUSE_IMAGE=$(image_archive tts-pause)
SETTINGS
}

# render_configuration STATE: the files of conf/ with the instance's settings filled in
render_configuration() (
    local state=$1 template script
    script="s#@STATE@#$state#g;$(sed -E 's|^([A-Z_]+)=(.*)$|s#@\1@#\2#g|' "$state/settings" | paste -sd';')"
    mkdir -p "$state/conf" "$state/cni"
    for template in "$here"/conf/*; do
        sed "$script" "$template" >"$state/conf/$(basename "$template")"
    done
    mv "$state/conf/10-pods.conflist" "$state/cni/"
)
