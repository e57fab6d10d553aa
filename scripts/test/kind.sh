#!/usr/bin/env bash
# `make demo CLUSTER=kind` with a fake kind (fakes/kind): the demo runs to its end, and kind's command lines are compared.
set -euo pipefail
here=$(cd "$(dirname "${BASH_SOURCE[0]}")" && pwd)
source "$here/../lib.sh"
source "$here/../go-tools.sh"
source "$here/../install/onnxruntime.sh"
source "$here/../images/base.sh"
source "$here/../images/archives.sh"
source "$here/../images/bring.sh"
source "$here/expect.sh"

FOLDER=$(mktemp -d)
export FAKE_KIND_RECORD=$FOLDER/record
NAME=tts-operator-demo
finish() {
    "$REPO/e2e/cluster/cluster.sh" down --name fakekind
    rm -rf "$FOLDER" "$CLUSTERS/kind-$NAME"
}
trap finish EXIT

# The fakes stand for an engine and kind; docker must not be asked to build images.
with_fakes() { (cd "$FOLDER" && PATH=$here/fakes:$PATH TTS_BUILDER=buildah TTS_DEMO=speech TTS_DEMO_ON=kind "$REPO/scripts/demo.sh"); }

rm -rf "$CLUSTERS/kind-$NAME"
printf '%s\n' "$NAME" >"$FAKE_KIND_RECORD.clusters"
expect_refusal "there is a kind cluster '$NAME' that this clone did not create" with_fakes
rm "$FAKE_KIND_RECORD.clusters" "$FAKE_KIND_RECORD"

with_fakes
expect "the demo on kind speaks" test -s "$FOLDER/hello.wav"
tag=$(content_tag)
sed -E 's#/[^ ]*/(tts-[a-z]+\.tar)#\1#; s#--kubeconfig [^ ]*/kubeconfig#--kubeconfig kubeconfig#' "$FAKE_KIND_RECORD" >"$FOLDER/lines"
diff "$FOLDER/lines" - <<LINES || fail "kind was called in another way (see the difference above)"
kind get clusters
kind get clusters
kind create cluster --name $NAME --kubeconfig kubeconfig --wait 180s
kind load image-archive --name $NAME tts-operator.tar
kind load image-archive --name $NAME tts-server.tar
LINES
say "ok: kind's command lines are as expected"
images=$(KUBECONFIG=$CLUSTERS/kind-$NAME/kubeconfig "$REPO/bin/kubectl" get pods --all-namespaces --output 'jsonpath={.items[*].spec.containers[*].image}')
expect "the pods run the images under the tag of their content" grep -q "localhost/tts-server:$tag" <<<"$images"
