# shellcheck shell=bash
# Which cluster the demo and the tests use: the throwaway cluster, a kind cluster of the demo's own (`make demo
# CLUSTER=kind`), or the cluster that TTS_E2E_KUBECONFIG and TTS_E2E_CONTEXT name. The ambient KUBECONFIG is never used.

# uses_throwaway: whether this run starts a throwaway cluster
uses_throwaway() { [[ $(cluster_way) == throwaway ]]; }

# cluster_way: throwaway, kind or own
cluster_way() {
    if [[ ${TTS_DEMO_ON:-} == kind ]]; then
        printf 'kind\n'
    elif [[ -n ${TTS_E2E_KUBECONFIG:-}${TTS_E2E_CONTEXT:-} ]]; then
        printf 'own\n'
    else
        printf 'throwaway\n'
    fi
}

# use_kubeconfig FILE: for kubectl, helm and the Rust tests alike. What else could point kubectl or helm at another
# cluster is removed from the environment.
use_kubeconfig() {
    unset HELM_DRIVER HELM_KUBEAPISERVER HELM_KUBEASGROUPS HELM_KUBEASUSER HELM_KUBECAFILE HELM_KUBECONTEXT \
        HELM_KUBEINSECURE_SKIP_TLS_VERIFY HELM_KUBETLS_SERVER_NAME HELM_KUBETOKEN HELM_NAMESPACE
    export TTS_RUN_KUBECONFIG=$1 KUBECONFIG=$1
    # Not in ~/.kube, which belongs to the user.
    export KUBECACHEDIR=$CACHE/kubectl
}

# select_cluster PURPOSE THROWAWAY_NAME: PURPOSE (tts-operator-demo or tts-operator-e2e) names everything that the run makes in a cluster
# that is not its own. Refuses before anything is built when the cluster cannot be used.
select_cluster() {
    local ambient=${KUBECONFIG:-}
    CLUSTER_WAY=$(cluster_way)
    case ${TTS_DEMO_ON:-} in '' | kind | throwaway) ;; *) fail "CLUSTER is '$TTS_DEMO_ON'; it can be kind or throwaway" ;; esac
    # A throwaway cluster does not run yet; until then no other cluster can be reached by mistake.
    use_kubeconfig "$CLUSTERS/$2/admin.kubeconfig"
    case $CLUSTER_WAY in
    throwaway)
        say "This run uses a throwaway Kubernetes cluster."
        [[ -z $ambient || $ambient == "$CLUSTERS"/* ]] ||
            say "KUBECONFIG is set and is not used. TTS_E2E_KUBECONFIG and TTS_E2E_CONTEXT name a cluster of yours."
        ;;
    kind) select_kind "$1" ;;
    own) select_own_cluster "$1" ;;
    esac
}

# kubectl_path: the one in bin/, which `make build` puts there, or the one in PATH
kubectl_path() {
    if [[ -x $REPO/bin/kubectl ]]; then printf '%s\n' "$REPO/bin/kubectl"; else type -P kubectl; fi
}

kubectl() { "$(kubectl_path)" "$@"; }
