#!/usr/bin/env bash
# The container images, from the Containerfiles that a release uses. Each is kept as an OCI archive in the cache folder
# under a key of its content, and is built again only when a binary, a Containerfile or the base has changed.
set -euo pipefail
here=$(cd "$(dirname "${BASH_SOURCE[0]}")" && pwd)
source "$here/lib.sh"
source "$here/install/onnxruntime.sh"
source "$here/images/builder.sh"
source "$here/images/base.sh"
source "$here/images/glibc.sh"
source "$here/images/archives.sh"
source "$here/images/push.sh"
source "$here/images/bring.sh"
source "$here/cluster/in-use.sh"

usage() {
    cat <<'USAGE'
usage: images.sh build [NAME...]   build what has changed; prints name, digest and unpacked size of each
       images.sh load NAME         bring them to the cluster in use (the throwaway one is NAME); prints `registry tag`
       images.sh archive NAME      print where the image's archive is
NAME is tts-operator, tts-server or tts-pause (the throwaway cluster's sandbox); the first two unless given.
TARGETARCH=arm64 builds for the other processor, from binaries in bin/arm64.
USAGE
}

case ${1:-} in
build)
    shift
    (($# > 0)) || set -- tts-operator tts-server
    for name in "$@"; do build_image "$name"; done
    for name in "$@"; do print_image "$name"; done
    ;;
archive) image_archive "${2:?archive needs a name}" ;;
load) bring_images "${2:-node}" ;;
*) usage >&2 && exit 2 ;;
esac
