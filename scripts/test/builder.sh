#!/usr/bin/env bash
# Which program builds images, with a fake docker whose engine works and that has no BuildKit (fakes/docker), and a fake
# buildah that says yes to everything.
set -euo pipefail
here=$(cd "$(dirname "${BASH_SOURCE[0]}")" && pwd)
source "$here/../lib.sh"
source "$here/../images/builder.sh"
source "$here/expect.sh"

FOLDER=$(mktemp -d)
trap 'rm -rf "$FOLDER"' EXIT
cp "$here/fakes/docker" "$FOLDER/docker"
printf '#!/bin/sh\nexit 0\n' >"$FOLDER/buildah"
chmod +x "$FOLDER/buildah"

chosen() (PATH=$FOLDER:$PATH TTS_BUILDER=$1 && choose_builder && printf '%s\n' "$BUILDER")

expect "docker without BuildKit falls back to buildah" test "$(chosen 'docker buildah')" = buildah
expect_refusal "docker needs its buildx plugin" chosen docker
