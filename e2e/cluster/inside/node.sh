# shellcheck shell=bash
# The node: containerd, the kubelet, and what they require of the machine.

# The mount namespace is private: the host does not see these mounts.
prepare_mounts() {
    # The kubelet and the CNI library share mounts with the containers they start.
    mount --make-rshared /
    # Places at fixed paths that containerd, runc, the kubelet and the CNI library write to.
    mount -t tmpfs tmpfs /run
    mount -t tmpfs tmpfs /var/log
    cover_var_lib
    mkdir -p /run/netns /run/lock

    # The kubelet sets these for the whole machine: it gets files that already contain these values.
    local value setting file
    mkdir "$STATE/sysctl"
    for value in vm/overcommit_memory=1 kernel/panic=10 kernel/panic_on_oops=1 \
        kernel/keys/root_maxkeys=1000000 kernel/keys/root_maxbytes=25000000; do
        setting=/proc/sys/${value%=*}
        file=$STATE/sysctl/$(basename "$setting")
        [[ -e $setting ]] || continue
        printf '%s\n' "${value#*=}" >"$file"
        mount --bind "$file" "$setting"
    done
}

# cover_var_lib: /var/lib/cni, and /var/lib/kubelet/device-plugins, where the kubelet removes the sockets it finds. The
# parent is covered, because neither has to exist on the host. The cache stays visible when it lies below.
cover_var_lib() {
    local kept
    kept=$(realpath "$CACHE")
    if [[ $kept == /var/lib/* ]]; then
        mkdir /run/cache
        mount --rbind "$kept" /run/cache
    fi
    mount -t tmpfs tmpfs /var/lib
    if [[ $kept == /var/lib/* ]]; then
        mkdir -p "$kept"
        mount --rbind /run/cache "$kept"
    fi
}

ctr() { "$CONTAINERD/ctr" --address "$STATE/containerd/containerd.sock" --namespace k8s.io "$@"; }

containerd_answers() { ctr version; }

import_pause_image() { ctr images import "$PAUSE_IMAGE" &>"$STATE/log/import.log"; }

start_kubelet() {
    mkdir -p "$STATE/pod-logs"
    part kubelet "$KUBEONE" kubelet --config="$STATE/conf/kubelet.yaml" --kubeconfig="$PKI/kubelet.kubeconfig" \
        --root-dir="$STATE/kubelet" --cert-dir="$STATE/kubelet/pki" \
        --hostname-override=node-0 --node-ip="$API_ADDRESS"
}

node_is_ready() {
    [[ $("$KUBEONE" kubectl get node node-0 \
        --output 'jsonpath={.status.conditions[?(@.type=="Ready")].status}') == True ]]
}
