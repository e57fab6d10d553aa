# shellcheck shell=bash
# A cluster that somebody uses for other things too. A run works with a private copy of one context, refuses where it
# finds the product or anything of the names it would use, marks what it makes, and removes exactly that.
# A run is known by an ID: the namespace PURPOSE carries it as a label, and a file here remembers it, so that the next
# run can clean up after one that was killed.

RUN_LABEL=tts-operator.dev/run
PRODUCT_CRDS=(ttsvoices.tts-operator.dev ttsdeployments.tts-operator.dev ttsbenchmarks.tts-operator.dev ttsprofiles.tts-operator.dev)

# select_own_cluster PURPOSE
select_own_cluster() {
    reach_own_cluster "$1"
    image_way >/dev/null
    require_nothing_of_others "$1"
    say "This run uses the context '$TTS_E2E_CONTEXT' of TTS_E2E_KUBECONFIG. It makes namespaces whose names start with" \
        "$1, and the cluster-wide objects that the operator needs (CRDs, roles)."
}

# reach_own_cluster PURPOSE: the private copy of the context, an API server that answers, no other run
reach_own_cluster() {
    [[ -n ${TTS_E2E_KUBECONFIG:-} ]] || fail "TTS_E2E_CONTEXT is set and TTS_E2E_KUBECONFIG is not" \
        "set TTS_E2E_KUBECONFIG to the kubeconfig that has the context '$TTS_E2E_CONTEXT'"
    kubectl_path >/dev/null || fail "a cluster of yours is used with kubectl, and there is none in PATH" "install kubectl"
    copy_context
    kubectl get --raw /readyz >/dev/null || fail "the cluster of the context '$TTS_E2E_CONTEXT' does not answer" \
        "check the context, or unset TTS_E2E_KUBECONFIG and TTS_E2E_CONTEXT to use a throwaway cluster"
    OWN_FOLDER=$CACHE/own-clusters/$(kubectl get namespace kube-system --output 'jsonpath={.metadata.uid}')
    mkdir -p "$OWN_FOLDER"
    lock_run "$1"
}

# copy_context: the one context, with its credentials, in a file of this process that nobody else can read. It goes with
# forget_context, or with the next run after a process that was killed.
copy_context() {
    local names copy=$CACHE/own-clusters/kubeconfig-$BASHPID
    forget_contexts_of_the_dead
    names=$(KUBECONFIG=$TTS_E2E_KUBECONFIG kubectl config get-contexts --output name 2>&1) ||
        fail "TTS_E2E_KUBECONFIG=$TTS_E2E_KUBECONFIG cannot be read: $names"
    [[ -n $names ]] || fail "TTS_E2E_KUBECONFIG=$TTS_E2E_KUBECONFIG has no context" \
        "it is a file, or a list of files separated by colons, as in KUBECONFIG"
    grep -qxF -- "${TTS_E2E_CONTEXT:-}" <<<"$names" ||
        fail "TTS_E2E_CONTEXT is '${TTS_E2E_CONTEXT:-}'; set it to one of the contexts of TTS_E2E_KUBECONFIG:" "${names//$'\n'/, }"
    mkdir -p "${copy%/*}"
    rm -f "$copy"
    (umask 077 && KUBECONFIG=$TTS_E2E_KUBECONFIG kubectl config view --raw --flatten --minify \
        --context "$TTS_E2E_CONTEXT" >"$copy")
    OWN_CONTEXT_COPY=$copy
    use_kubeconfig "$copy"
}

forget_context() { [[ -z ${OWN_CONTEXT_COPY:-} ]] || rm -f "$OWN_CONTEXT_COPY"; }

forget_contexts_of_the_dead() {
    local copy
    for copy in "$CACHE"/own-clusters/kubeconfig-*; do
        if [[ -f $copy ]] && ! kill -0 "${copy##*-}" 2>/dev/null; then rm -f "$copy"; fi
    done
}

# lock_run PURPOSE: held until this process ends
lock_run() {
    exec 7>"$OWN_FOLDER/$1.lock"
    ! have flock || flock --nonblock 7 || fail "another run of this user is using the context '$TTS_E2E_CONTEXT'" "wait until it has ended"
}

# require_nothing_of_others PURPOSE: only reads
require_nothing_of_others() {
    local found=()
    if is_own_run "$1"; then return; fi
    mapfile -t found < <(list_product)
    ((${#found[@]} == 0)) || fail "the cluster of the context '$TTS_E2E_CONTEXT' holds what this run did not create:" \
        "${found[@]/#/- }" \
        "Nothing was changed. Use a cluster without tts-operator, or unset TTS_E2E_KUBECONFIG and TTS_E2E_CONTEXT" \
        "to use a throwaway cluster."
}

# list_product: CRDs, namespaces, Helm releases and the operator's objects that this run would collide with
list_product() {
    kubectl get customresourcedefinitions --output name | grep '\.tts-operator\.dev$' || true
    kubectl get namespaces tts-system tts-operator-demo tts-operator-e2e --ignore-not-found --output name
    kubectl get namespaces --selector "$RUN_LABEL" --output name
    kubectl get secrets --all-namespaces --selector owner=helm --output \
        'jsonpath={range .items[*]}helm release {.metadata.namespace}/{.metadata.labels.name}{"\n"}{end}' |
        grep -E '/tts-operator' | sort --unique || true
    kubectl get deployments,clusterroles,clusterrolebindings --all-namespaces --selector app.kubernetes.io/name=tts-operator \
        --output 'jsonpath={range .items[*]}{.kind} {.metadata.namespace}/{.metadata.name}{"\n"}{end}' | sed 's# /# #'
}

# is_own_run PURPOSE: whether a former run of this user is still there
is_own_run() {
    local id
    id=$(run_id "$1")
    [[ -n $id && $(kubectl get namespace "$1" --ignore-not-found --output "jsonpath={.metadata.labels['tts-operator\.dev/run']}") == "$id" ]]
}

run_id() { cat "$OWN_FOLDER/$1.run" 2>/dev/null || true; }

# claim_cluster PURPOSE: cleans up after a former run of this user and marks the namespace of this one. The ID is
# written down first: a run that is killed in between leaves a file, not an object that nobody knows.
claim_cluster() {
    if is_own_run "$1"; then
        step "Removing what a former run left"
        remove_run "$1"
    fi
    require_nothing_of_others "$1"
    printf '%s-%s\n' "$CLONE_ID" "$(od -An -N4 -tx4 /dev/urandom | tr -d ' ')" >"$OWN_FOLDER/$1.run"
    kubectl create --filename - <<NAMESPACE >/dev/null
apiVersion: v1
kind: Namespace
metadata:
  name: $1
  labels: {$RUN_LABEL: $(run_id "$1"), pod-security.kubernetes.io/enforce: restricted}
NAMESPACE
    TTS_RUN_ID=$(run_id "$1")
    export TTS_RUN_ID
}

# remove_run PURPOSE: exactly what the run made. It keeps everything where somebody else has made objects of our kinds
# meanwhile: they would go with the CRDs.
remove_run() {
    local purpose=$1 selector ours foreign
    is_own_run "$purpose" || return 0
    selector=$RUN_LABEL=$(run_id "$purpose")
    ours=$(kubectl get namespaces --selector "$selector" --output 'jsonpath={.items[*].metadata.name}')
    foreign=$(foreign_objects "$ours")
    [[ -z $foreign ]] || fail "these objects were not made by the run, and would be deleted with the CRDs:" "$foreign" \
        "nothing was removed; delete them or move them to another cluster, then try again"
    # Objects first, while the operator and the CRDs are there.
    local namespace
    for namespace in $ours; do
        [[ $namespace == "$purpose" ]] || kubectl delete namespace "$namespace" --wait=true --timeout=180s
    done
    if [[ $purpose == tts-operator-e2e ]]; then remove_releases; fi
    kubectl delete clusterrolebindings,clusterroles,customresourcedefinitions --selector "$selector" --ignore-not-found
    kubectl delete namespace "$purpose" --wait=true --timeout=180s
    rm -f "$OWN_FOLDER/$purpose.run"
}

# remove_releases: the tests install by Helm, whose releases say what they own
remove_releases() {
    local release crd
    for release in tts-operator-e2e tts-operator-e2e-crds; do
        "$HELM" uninstall "$release" --namespace tts-operator-e2e --ignore-not-found --wait
    done
    # The chart keeps the CRDs unless it is told otherwise.
    for crd in "${PRODUCT_CRDS[@]}"; do
        if [[ $(kubectl get customresourcedefinition "$crd" --ignore-not-found \
            --output "jsonpath={.metadata.annotations['meta\.helm\.sh/release-name']}") == tts-operator-e2e-crds ]]; then
            kubectl delete customresourcedefinition "$crd"
        fi
    done
}

# foreign_objects NAMESPACES: voices and deployments outside of them
foreign_objects() {
    local kind served kinds=()
    served=$(kubectl get customresourcedefinitions --output 'jsonpath={.items[*].metadata.name}')
    for kind in "${PRODUCT_CRDS[@]}"; do [[ " $served " != *" $kind "* ]] || kinds+=("$kind"); done
    ((${#kinds[@]} > 0)) || return 0
    kubectl get "$(IFS=, && printf '%s' "${kinds[*]}")" --all-namespaces --output \
        'jsonpath={range .items[*]}{.metadata.namespace} {.kind} {.metadata.name}{"\n"}{end}' |
        awk -v ours=" $1 " 'index(ours, " " $1 " ") == 0'
}
