# shellcheck shell=bash
# Stops an instance, running or crashed, and leaves the host as it was before the start.

# stop_instances NAME|*
stop_instances() {
    local name
    if [[ $1 == '*' ]]; then
        for name in $(instance_names); do stop_instance "$name"; done
    else
        stop_instance "$1"
    fi
    # Not while another clone's cluster starts.
    if [[ -f $CGROUP2_RECORD ]]; then
        lock_machine
        release_cgroups
    fi
}

# stop_instances_of_all_clones: for `make clean-cache`, which removes what all clones share
stop_instances_of_all_clones() {
    local folder
    for folder in "$CACHE"/cluster/*/; do
        [[ $(basename "$folder") =~ ^[0-9a-f]{8}$ ]] || continue
        CLONE_ID=$(basename "$folder")
        CLUSTERS=$CACHE/cluster/$CLONE_ID
        stop_instances '*'
    done
}

stop_instance() {
    local name=$1 state supervisor init interface
    state=$(instance_state "$name")
    [[ -d $state ]] || return 0
    if supervisor=$(instance_supervisor "$name"); then
        init=$(instance_init "$name") || init=
        kill -KILL "$supervisor" 2>/dev/null || true
        # The first process of a process namespace ends last: once it is gone, so is all it ran.
        [[ -z $init ]] || await_end "$init"
    fi
    if interface=$(sed -n 's/^INTERFACE=//p' "$state/settings" 2>/dev/null) && [[ -n $interface ]]; then
        disconnect_host "$interface"
    fi
    remove_cgroups "$name"
    # The kernel releases the mounts shortly after the last process has ended.
    local attempt
    for attempt in {1..50}; do
        if rm -rf --one-file-system "$state" 2>/dev/null; then break; fi
        sleep 0.1
    done
    [[ ! -d $state ]] || fail "could not remove $state: something in it is still in use (attempt $attempt)"
}

await_end() {
    local deadline=$((SECONDS + 30))
    while [[ -d /proc/$1 ]]; do
        ((SECONDS < deadline)) || fail "the cluster's first process $1 does not end"
        sleep 0.02
    done
}
