# shellcheck shell=bash
# The cluster that the demo and the tests use: the one that KUBECONFIG names, or else a throwaway one.

THROWAWAY_KUBECONFIG=$CLUSTERS/node/admin.kubeconfig

# uses_throwaway: also when KUBECONFIG is what `make cluster-up` printed
uses_throwaway() { [[ -z ${KUBECONFIG:-} || $KUBECONFIG == "$CLUSTERS"/*/admin.kubeconfig ]]; }

# throwaway_name: the instance that KUBECONFIG names
throwaway_name() { basename "$(dirname "${KUBECONFIG:-$THROWAWAY_KUBECONFIG}")"; }

own_context() { "$REPO/bin/kubectl" config current-context 2>/dev/null || true; }

# image_way: how images reach the nodes of the cluster in use
image_way() {
    if uses_throwaway; then
        printf 'throwaway\n'
    elif [[ -n ${TTS_IMAGE_REGISTRY:-} ]]; then
        printf 'registry\n'
    elif [[ $(own_context) == kind-* ]]; then
        have kind || fail "the current context is $(own_context), and the command kind is not here" \
            "install kind, or name a registry that the nodes can pull from in TTS_IMAGE_REGISTRY"
        printf 'kind\n'
    else
        fail "no way to bring images to the cluster of KUBECONFIG=$KUBECONFIG (context '$(own_context)')" \
            "set TTS_IMAGE_REGISTRY to a registry that you can push to and its nodes can pull from, for example" \
            "TTS_IMAGE_REGISTRY=registry.example.com/team; a context named kind-… needs none"
    fi
}

# bring_images: prints `registry tag`. On a cluster that lives on, the tag follows the content: a node keeps what it has
# pulled under a tag.
bring_images() {
    local way tag=dev name archive
    way=$(image_way)
    for name in tts-operator tts-server; do
        archive=$(image_archive "$name")
        [[ -f $archive ]] || fail "the image $name is not built" "build it with: make images"
    done
    case $way in
    throwaway)
        "$REPO/e2e/cluster/cluster.sh" load --name "$(throwaway_name)" \
            "$(image_archive tts-operator)" "$(image_archive tts-server)"
        printf 'localhost dev\n'
        ;;
    kind)
        for name in tts-operator tts-server; do
            kind load image-archive --name "${KIND_CLUSTER:-$(own_context | sed 's/^kind-//')}" "$(image_archive "$name")" >&2
        done
        printf 'localhost dev\n'
        ;;
    registry)
        choose_builder
        tag=dev-$(content_key "$(image_archive tts-operator)" "$(image_archive tts-server)")
        for name in tts-operator tts-server; do
            push_image "$name" "$TTS_IMAGE_REGISTRY" "$tag" >&2
        done
        printf '%s %s\n' "$TTS_IMAGE_REGISTRY" "$tag"
        ;;
    esac
}
