# shellcheck shell=bash
# The one place that brings images to a registry.

# push_image NAME REGISTRY TAG...: pushes the image under each tag and prints `<registry>/<name>@<digest>`
push_image() {
    local name=$1 registry=$2 tag archive digest references=()
    shift 2
    archive=$(image_archive "$name")
    [[ -f $archive ]] || fail "the image $name is not built" "build it with: make images"
    for tag in "$@"; do references+=("$registry/$name:$tag"); done
    [[ -n ${BUILDER:-} ]] || choose_builder
    digest=$(engine_push "$archive" "${references[@]}") || fail "could not push ${references[*]}" \
        "check that the registry can be reached and that you are logged in to it: $BUILDER login ${registry%%/*}" \
        "TTS_REGISTRY_INSECURE=1 allows a registry without TLS (not with docker, whose engine has a list of its own)"
    printf '%s/%s@%s\n' "$registry" "$name" "$digest"
}

# chart_version: the tag that the chart installs by default
chart_version() { sed -n 's/^appVersion: *"\{0,1\}\([^"]*\)"\{0,1\}$/\1/p' "$REPO/charts/tts-operator/Chart.yaml"; }

# require_registry REGISTRY: host with an optional port and path, as it stands before an image's name
require_registry() {
    local example="for example: make push REGISTRY=registry.example.com/speech"
    [[ -n $1 ]] || fail "REGISTRY is not set: it names the registry that the images are pushed to" "$example"
    [[ $1 != *://* ]] || fail "REGISTRY='$1' is a URL; an image name has no scheme" "leave out '${1%%://*}://', $example"
    [[ $1 =~ ^[a-zA-Z0-9.-]+(:[0-9]+)?(/[a-z0-9]+([._-]+[a-z0-9]+)*)*$ ]] ||
        fail "REGISTRY='$1' is not a registry: a host, optionally with a port, and a path in lower case, without a tag" "$example"
    [[ ${1%%/*} == *[.:]* || ${1%%/*} == localhost ]] ||
        fail "REGISTRY='$1' names no host: its first part has neither a dot nor a port" \
            "for Docker Hub: make push REGISTRY=docker.io/$1"
}

# require_tags TAG...
require_tags() {
    local tag
    for tag in "$@"; do
        [[ $tag =~ ^[a-zA-Z0-9_][a-zA-Z0-9._-]{0,127}$ ]] ||
            fail "'$tag' is not a tag: letters, digits, '.', '_' and '-', at most 128, and not '.' or '-' first" \
                'separate several with spaces: make push REGISTRY=… TAGS="0.1.0 latest"'
    done
}
