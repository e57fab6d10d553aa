#!/usr/bin/env bash
# Builds the images and pushes them to the registry in TTS_PUSH_REGISTRY under the tags in TTS_PUSH_TAGS, separated by
# spaces; without any, under the version that the chart installs by default. `make push` sets both.
set -euo pipefail
here=$(cd "$(dirname "${BASH_SOURCE[0]}")" && pwd)
source "$here/lib.sh"
source "$here/install/onnxruntime.sh"
source "$here/images/builder.sh"
source "$here/images/base.sh"
source "$here/images/archives.sh"
source "$here/images/push.sh"

main() {
    local registry=${TTS_PUSH_REGISTRY:-} tags name tag pinned digests=()
    read -r -a tags <<<"${TTS_PUSH_TAGS:-$(chart_version)}"
    require_registry "$registry"
    require_tags "${tags[@]}"

    "$here/build.sh"
    "$here/setup" images
    step "Images"
    "$here/images.sh" build
    step "Pushing to $registry"
    for name in tts-operator tts-server; do
        pinned=$(push_image "$name" "$registry" "${tags[@]}")
        digests+=("${pinned#*@}")
        for tag in "${tags[@]}"; do
            printf '%-48s %s\n' "$registry/$name:$tag" "${pinned#*@}"
        done
    done
    say "To pin an installation to these digests: --set image.operator.digest=${digests[0]}" \
        "--set image.server.digest=${digests[1]}"
}

main
