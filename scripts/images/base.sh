# shellcheck shell=bash
# The Debian that the images take their system files from: the public slim image, or, where no registry can be reached,
# the same release made from Debian's packages under the same name.

BASE_IMAGE=${TTS_BASE_IMAGE:-docker.io/library/debian:bookworm-slim}

# base_release: `bookworm` of docker.io/library/debian:bookworm-slim
base_release() {
    local tag=${BASE_IMAGE##*:}
    printf '%s\n' "${tag%%-*}"
}

# base_glibc: the version of its C library, which a binary may not exceed; nothing for a base we do not know
base_glibc() {
    case $BASE_IMAGE in
    *debian:bookworm*) printf '2.36\n' ;;
    *debian:trixie*) printf '2.41\n' ;;
    esac
}

provide_base() {
    if engine_has_image "$BASE_IMAGE" || engine_pull "$BASE_IMAGE"; then return; fi
    [[ $BASE_IMAGE == *debian:* ]] || fail "the base image $BASE_IMAGE cannot be pulled" \
        "unset TTS_BASE_IMAGE, or log in to its registry"
    have mmdebstrap || fail "the base image $BASE_IMAGE cannot be pulled, and mmdebstrap, which can make it, is not here" \
        "install it with: apt-get install mmdebstrap"
    local tarball
    tarball=$CACHE/base/debian-$(base_release)-$(machine_arch).tar
    [[ -f $tarball ]] ||
        with_progress "Debian $(base_release) from its packages, since no registry can be reached (about 40 s, once)" \
            make_base "$tarball"
    with_progress "$BASE_IMAGE for $BUILDER (about 15 s, once)" engine_import "$tarball" "$BASE_IMAGE"
}

make_base() {
    mkdir -p "$(dirname "$1")"
    mmdebstrap --variant=minbase --architectures="$(machine_arch)" "$(base_release)" "$1.partial.tar" &&
        mv "$1.partial.tar" "$1"
}
