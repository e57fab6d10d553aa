# shellcheck shell=bash
# `make demo CLUSTER=kind`: a kind cluster that the demo creates and that `kind delete cluster` removes.

# select_kind NAME
select_kind() {
    local name=$1
    have kind || fail "the command kind is not installed" "see https://kind.sigs.k8s.io, or run make demo without CLUSTER=kind"
    [[ -z ${TTS_E2E_KUBECONFIG:-}${TTS_E2E_CONTEXT:-} ]] ||
        fail "CLUSTER=kind and TTS_E2E_KUBECONFIG exclude each other" "unset TTS_E2E_KUBECONFIG and TTS_E2E_CONTEXT"
    choose_kind_engine
    KIND_FOLDER=$CLUSTERS/kind-$name
    if kind_exists "$name" && [[ ! -d $KIND_FOLDER ]]; then
        fail "there is a kind cluster '$name' that this clone did not create" "delete it with: kind delete cluster --name $name"
    fi
    use_kubeconfig "$KIND_FOLDER/kubeconfig"
    say "This run uses the kind cluster '$name'."
}

# choose_kind_engine: kind looks for Docker unless it is told to use Podman
choose_kind_engine() {
    if have docker && timeout 20 docker info >/dev/null 2>&1; then return; fi
    if have podman && timeout 20 podman info >/dev/null 2>&1; then
        export KIND_EXPERIMENTAL_PROVIDER=podman
        return
    fi
    fail "kind needs Docker or Podman, and neither works for $(id -un)" "start one, or run make demo without CLUSTER=kind"
}

kind_exists() { kind get clusters 2>/dev/null | grep -qxF "$1"; }

# start_kind NAME: from nothing, so that the demo shows what it says
start_kind() {
    if kind_exists "$1"; then kind delete cluster --name "$1" >&2; fi
    mkdir -p "$KIND_FOLDER"
    kind create cluster --name "$1" --kubeconfig "$KIND_FOLDER/kubeconfig" --wait 180s >&2
}

# remove_kind NAME
remove_kind() {
    if kind_exists "$1"; then kind delete cluster --name "$1" >&2; fi
    rm -rf "$KIND_FOLDER"
}
