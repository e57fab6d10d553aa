# shellcheck shell=bash
# The node: containerd, the kubelet, and what they expect of the machine.

# The mount namespace is our own and private; nothing here is seen by the host.
prepare_mounts() {
    # The kubelet and the CNI library share mounts with the containers they start.
    mount --make-rshared /
    # Places at fixed paths that containerd, runc, the kubelet and the CNI library write to.
    mount -t tmpfs tmpfs /run
    mount -t tmpfs tmpfs /var/log
    mount -t tmpfs tmpfs /var/lib/cni
    mkdir -p /run/netns /run/lock

    # The kubelet sets these for the whole machine: show it files that say so already.
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
