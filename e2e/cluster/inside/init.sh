#!/usr/bin/env bash
# init.sh STATE: the first process of an instance's namespaces. It starts the parts in order, reports when the
# cluster is ready, and ends the whole instance as soon as one part ends.
set -euo pipefail
STATE=$1
here=$(cd "$(dirname "${BASH_SOURCE[0]}")" && pwd)
# shellcheck source=/dev/null # written at the start, see lib/start.sh
source "$STATE/settings"
source "$here/parts.sh"
source "$here/control-plane.sh"
source "$here/node.sh"

export KUBECONFIG=$STATE/admin.kubeconfig KUBECACHEDIR=$STATE/kubectl-cache
PATH=$CONTAINERD:$PATH

main() {
    prepare_network
    if [[ $NODE == real ]]; then
        prepare_mounts
        part containerd "$CONTAINERD/containerd" --config "$STATE/conf/containerd.toml"
    fi
    start_api_server
    if [[ $NODE == real ]]; then
        await "containerd to answer" containerd_answers
        import_pause_image
    fi
    await "the API server to be ready" api_server_is_ready
    elapsed "API server ready"
    # Both exit when the API server has not created its own objects yet.
    start_controller_manager
    if [[ $NODE == real ]]; then
        start_scheduler
        part kube-proxy "$KUBEONE" kube-proxy --config "$STATE/conf/kube-proxy.yaml"
        start_kubelet
        part coredns "$COREDNS" -conf "$STATE/conf/Corefile"
        "$KUBEONE" kubectl apply --filename "$STATE/conf/dns.yaml" >/dev/null
    fi
    # No pod can be created in a namespace without its default service account.
    await "the default service account" "$KUBEONE" kubectl get serviceaccount default
    elapsed "controller manager ready"
    if [[ $NODE == real ]]; then
        await "the node to be ready" node_is_ready
        elapsed "node ready"
    fi
    touch "$STATE/ready"
    end_with_first_part
}

# The network namespace is new: only a loopback interface that is down.
prepare_network() {
    ip link set lo up
    # The API server cannot advertise a loopback address; pods, kubelet and DNS meet on this bridge as well.
    ip link add cni0 type bridge
    ip address add "$API_ADDRESS/24" dev cni0
    ip link set cni0 up
    # kube-proxy rewrites a Service's address on the way out, but only of packets that have a way out.
    ip route add "$SERVICES" dev cni0
    printf '1\n' >/proc/sys/net/ipv4/ip_forward
}

main
