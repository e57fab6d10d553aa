# shellcheck shell=bash
# etcd, the API server, the controller manager and the scheduler.

PKI=$STATE/pki

start_api_server() {
    mkdir -m 700 "$STATE/etcd"
    part etcd "$KUBEONE" etcd "$STATE/etcd" http://127.0.0.1:2379 http://127.0.0.1:2380
    # shellcheck disable=SC2054 # the commas are the API server's
    local flags=(
        --etcd-servers=http://127.0.0.1:2379
        --bind-address=0.0.0.0 --advertise-address="$API_ADDRESS" --secure-port=6443
        --tls-cert-file="$PKI/apiserver.crt" --tls-private-key-file="$PKI/apiserver.key"
        --client-ca-file="$PKI/ca.crt" --anonymous-auth=false
        --authorization-mode=Node,RBAC --enable-admission-plugins=NodeRestriction
        --service-cluster-ip-range="$SERVICES"
        --service-account-issuer=https://kubernetes.default.svc
        --service-account-key-file="$PKI/service-accounts.pub"
        --service-account-signing-key-file="$PKI/service-accounts.key"
        --kubelet-client-certificate="$PKI/apiserver-kubelet-client.crt"
        --kubelet-client-key="$PKI/apiserver-kubelet-client.key"
        --kubelet-certificate-authority="$PKI/ca.crt"
        --kubelet-preferred-address-types=InternalIP
        # For aggregated APIs (metrics): they run as processes here, so they are reached by endpoint, not by Service.
        --requestheader-client-ca-file="$PKI/front-proxy-ca.crt"
        --requestheader-allowed-names=front-proxy-client
        --requestheader-extra-headers-prefix=X-Remote-Extra-
        --requestheader-group-headers=X-Remote-Group
        --requestheader-username-headers=X-Remote-User
        --proxy-client-cert-file="$PKI/front-proxy-client.crt" --proxy-client-key-file="$PKI/front-proxy-client.key"
        --enable-aggregator-routing=true
        # Blocking: a test that reads the log after a request finds the request in it.
        --audit-policy-file="$STATE/conf/audit-policy.yaml" --audit-log-path="$STATE/log/audit.log"
        --audit-log-mode=blocking
        --allow-privileged=true --profiling=false
    )
    part kube-apiserver "$KUBEONE" kube-apiserver "${flags[@]}"
}

api_server_is_ready() {
    [[ $(curl --silent --cacert "$PKI/ca.crt" --cert "$PKI/admin.crt" --key "$PKI/admin.key" \
        "https://$API_ADDRESS:6443/readyz") == ok ]]
}

# Short waits, so that tests of scaling do not last minutes; plenty of requests a second, so that tests of size do not.
start_controller_manager() {
    local kubeconfig=$PKI/controller-manager.kubeconfig
    part kube-controller-manager "$KUBEONE" kube-controller-manager \
        --kubeconfig="$kubeconfig" --authentication-kubeconfig="$kubeconfig" --authorization-kubeconfig="$kubeconfig" \
        --root-ca-file="$PKI/ca.crt" --service-account-private-key-file="$PKI/service-accounts.key" \
        --cluster-signing-cert-file="$PKI/ca.crt" --cluster-signing-key-file="$PKI/ca.key" \
        --use-service-account-credentials=true --leader-elect=false --bind-address=127.0.0.1 \
        --kube-api-qps=500 --kube-api-burst=1000 --allocate-node-cidrs=false \
        --horizontal-pod-autoscaler-sync-period=5s --horizontal-pod-autoscaler-initial-readiness-delay=5s \
        --horizontal-pod-autoscaler-cpu-initialization-period=10s
}

start_scheduler() {
    local kubeconfig=$PKI/scheduler.kubeconfig
    part kube-scheduler "$KUBEONE" kube-scheduler \
        --kubeconfig="$kubeconfig" --authentication-kubeconfig="$kubeconfig" --authorization-kubeconfig="$kubeconfig" \
        --leader-elect=false --bind-address=127.0.0.1 --kube-api-qps=500 --kube-api-burst=1000
}
