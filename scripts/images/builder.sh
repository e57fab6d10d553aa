# shellcheck shell=bash
# The program that builds images: docker, podman or buildah, the first whose engine works.

# choose_builder: sets BUILDER. A docker client is often there without an engine, so each is asked for its engine.
# TTS_BUILDER names the one to use.
choose_builder() {
    for BUILDER in ${TTS_BUILDER:-docker podman buildah}; do
        if builder_works; then
            [[ $BUILDER != buildah ]] || buildah_command
            return
        fi
    done
    fail "no program that builds images works here: tried docker, podman and buildah" \
        "start one, or install buildah with: apt-get install buildah" "(docker needs its buildx plugin)"
}

# Docker without BuildKit cannot build our Containerfiles: the plugin is a package of its own.
builder_works() {
    have "$BUILDER" && timeout 20 "$BUILDER" info >/dev/null 2>&1 || return
    [[ $BUILDER != docker ]] || docker buildx version >/dev/null 2>&1
}

# buildah keeps its images in the cache folder. chroot needs no user namespace; vfs, which copies a whole image for each
# layer, is for machines that are containers themselves and cannot mount an overlay.
own_buildah() { BUILDAH_ISOLATION=chroot "${BUILDAH[@]}" "$@"; }

buildah_command() {
    BUILDAH=(buildah --root "$CACHE/containers" --runroot "$CACHE/containers/run" --storage-driver overlay)
    "${BUILDAH[@]}" info >/dev/null 2>&1 ||
        BUILDAH=(buildah --root "$CACHE/containers-vfs" --runroot "$CACHE/containers-vfs/run" --storage-driver vfs)
}

# engine_pull NAME: quietly, since a machine without a way to a registry is no error
engine_pull() {
    local command=("$BUILDER")
    [[ $BUILDER != buildah ]] || command=("${BUILDAH[@]}")
    timeout 120 "${command[@]}" pull "$1" >/dev/null 2>&1
}

engine_has_image() {
    case $BUILDER in
    buildah) own_buildah inspect --type image "$1" >/dev/null 2>&1 ;;
    *) "$BUILDER" image inspect "$1" >/dev/null 2>&1 ;;
    esac
}

# engine_import TARBALL NAME: an image out of a root file system
engine_import() {
    case $BUILDER in
    buildah)
        local container
        container=$(own_buildah from scratch) &&
            own_buildah add --quiet "$container" "$1" / &&
            own_buildah commit --quiet --rm "$container" "$2"
        ;;
    *) "$BUILDER" import "$1" "$2" ;;
    esac
}

# engine_build CONTEXT NAME ARCH BUILD_ARGUMENT...
engine_build() {
    local context=$1 name=$2 arch=$3 argument
    shift 3
    local flags=(--platform "linux/$arch" --network host --file "$context/Containerfile")
    for argument in "$@"; do flags+=(--build-arg "$argument"); done
    case $BUILDER in
    # buildah of Debian 12 sets neither of the two arguments by itself.
    buildah) own_buildah build --layers --pull=false --tag "$name" --build-arg "TARGETARCH=$arch" \
        --build-arg "BUILDPLATFORM=linux/$(machine_arch)" "${flags[@]}" "$context" ;;
    podman) podman build --layers --pull=missing --tag "$name" "${flags[@]}" "$context" ;;
    docker) DOCKER_BUILDKIT=1 docker build --tag "$name" "${flags[@]}" "$context" ;;
    esac
}

# engine_save NAME ARCHIVE: one OCI archive, uncompressed where that is a choice: it never leaves the machine
engine_save() {
    case $BUILDER in
    buildah) own_buildah push --quiet --disable-compression "$1" "oci-archive:$2:$1" ;;
    podman) podman save --quiet --format oci-archive --output "$2" "$1" ;;
    docker) docker save --output "$2" "$1" ;;
    esac
}

# engine_push ARCHIVE REFERENCE...: pushes what engine_save wrote and prints the digest under which the registry has it. An
# engine that compresses the layers on the way changes the digest, so it is the one of the push that counts.
engine_push() {
    local archive=$1 image reference digest pushed=''
    shift
    image=$(engine_load "$archive") || return
    for reference in "$@"; do
        digest=$(engine_push_one "$image" "$reference") || return
        if [[ -z $digest || (-n $pushed && $digest != "$pushed") ]]; then
            printf 'error: %s was pushed with the digest %s and not with %s\n' "$reference" "'$digest'" "'$pushed'" >&2
            return 1
        fi
        pushed=$digest
    done
    printf '%s\n' "$pushed"
}

# engine_load ARCHIVE: prints what the engine calls the image
engine_load() {
    case $BUILDER in
    # By identifier: the name in the archive may meanwhile belong to an image of another clone.
    buildah) own_buildah pull --quiet "oci-archive:$1" ;;
    podman) podman load --quiet --input "$1" | sed -n 's/^Loaded image.*: //p' ;;
    docker) docker load --quiet --input "$1" | sed -n 's/^Loaded image[^:]*: //p' ;;
    esac
}

# engine_push_one IMAGE REFERENCE: prints the digest. Messages of the engine go to stderr.
engine_push_one() {
    local flags=() file status=0
    [[ -z ${TTS_REGISTRY_INSECURE:-} ]] || flags+=(--tls-verify=false)
    file=$(mktemp)
    case $BUILDER in
    buildah) own_buildah push --quiet "${flags[@]}" --digestfile "$file" "$1" "docker://$2" >&2 || status=$? ;;
    podman) podman push --quiet "${flags[@]}" --digestfile "$file" "$1" "docker://$2" >&2 || status=$? ;;
    # The engine of docker decides itself which registries may be insecure.
    docker)
        { docker tag "$1" "$2" && docker push "$2"; } >"$file.log" || status=$?
        cat "$file.log" >&2
        sed -n 's/.* digest: \(sha256:[0-9a-f]*\) .*/\1/p' "$file.log" >"$file"
        ;;
    esac
    cat "$file"
    rm -f "$file" "$file.log"
    return $status
}
