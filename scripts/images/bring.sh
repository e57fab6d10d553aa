# shellcheck shell=bash
# How the images reach the nodes of the cluster in use.

# image_way: throwaway, kind or registry
image_way() {
    case $(cluster_way) in
    throwaway | kind) cluster_way ;;
    own)
        if [[ -n ${TTS_IMAGE_REGISTRY:-} ]]; then
            printf 'registry\n'
        elif [[ ${TTS_E2E_CONTEXT:-} == kind-* ]]; then
            have kind || fail "the context '$TTS_E2E_CONTEXT' needs the command kind, which is not installed" \
                "install kind, or name a registry that the nodes can pull from in TTS_IMAGE_REGISTRY"
            printf 'kind\n'
        else
            fail "no way to bring images to the cluster of the context '${TTS_E2E_CONTEXT:-}'" \
                "set TTS_IMAGE_REGISTRY to a registry that you can push to and its nodes can pull from, for example" \
                "TTS_IMAGE_REGISTRY=registry.example.com/team; a context named kind-… needs none"
        fi
        ;;
    esac
}

# kind_cluster_name: of the context, or the one that the demo creates
kind_cluster_name() {
    if [[ $(cluster_way) == own ]]; then printf '%s\n' "${TTS_E2E_CONTEXT#kind-}"; else printf '%s\n' "$DEMO"; fi
}

# content_tag: of both images. A node keeps what it has pulled under a tag, so on a cluster that lives on the tag follows
# the content.
content_tag() { printf 'dev-%s\n' "$(content_key "$(image_archive tts-operator)" "$(image_archive tts-server)")"; }

# bring_images THROWAWAY_NAME: prints `registry tag`
bring_images() {
    local way tag name archive
    way=$(image_way)
    for name in tts-operator tts-server; do
        archive=$(image_archive "$name")
        [[ -f $archive ]] || fail "the image $name is not built" "build it with: make images"
    done
    case $way in
    throwaway)
        "$REPO/e2e/cluster/cluster.sh" load --name "$1" "$(image_archive tts-operator)" "$(image_archive tts-server)"
        printf 'localhost dev\n'
        ;;
    kind)
        tag=$(content_tag)
        for name in tts-operator tts-server; do load_into_kind "$name" "localhost/$name:$tag" >&2; done
        printf 'localhost %s\n' "$tag"
        ;;
    registry)
        tag=$(content_tag)
        for name in tts-operator tts-server; do push_image "$name" "$TTS_IMAGE_REGISTRY" "$tag" >&2; done
        printf '%s %s\n' "$TTS_IMAGE_REGISTRY" "$tag"
        ;;
    esac
}

# load_into_kind NAME REFERENCE
load_into_kind() {
    local folder status=0
    folder=$(mktemp -d)
    python3 "$REPO/scripts/images/retag.py" "$(image_archive "$1")" "$2" "$folder/$1.tar" &&
        kind load image-archive --name "$(kind_cluster_name)" "$folder/$1.tar" || status=$?
    rm -rf "$folder"
    return $status
}
