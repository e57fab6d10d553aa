#!/usr/bin/env bash
# The documented install on a cluster of one's own: the commands of README.md, as they stand there, against a throwaway
# cluster and a registry in its network; then an installation that is pinned to digests, and a changed image.
set -euo pipefail
here=$(cd "$(dirname "${BASH_SOURCE[0]}")" && pwd)
source "$here/../scripts/lib.sh"
source "$here/../scripts/go-tools.sh"
source "$here/../scripts/install/onnxruntime.sh"
source "$here/../scripts/images/builder.sh"
source "$here/../scripts/images/base.sh"
source "$here/../scripts/images/archives.sh"
source "$here/../scripts/images/push.sh"

# A name of its own, so that a developer's cluster stays up.
NAME=registry
SCRATCH=$(mktemp -d)
REGISTRY_PID=

main() {
    cd "$REPO"
    trap finish EXIT
    choose_builder
    cluster down --name "$NAME"
    cluster up --name "$NAME" >/dev/null 2>"$SCRATCH/up.log" || fail "no cluster: $(<"$SCRATCH/up.log")"
    KUBECONFIG=$(cluster kubeconfig --name "$NAME")
    PATH=$REPO/bin:$(go_tool_dir helm):$PATH
    # The registry has no TLS, and neither it nor the tunnel is behind a proxy.
    export KUBECONFIG PATH TTS_REGISTRY_INSECURE=1 NO_PROXY='*' no_proxy='*'
    start_registry
    type_readme
    install_by_digest
    roll_out_a_changed_image
}

# The address of the API server is one that the node and the host both reach.
start_registry() {
    local address
    address=$(kubectl config view --output 'jsonpath={.clusters[0].cluster.server}' | sed -E 's#^https://(.*):[0-9]+$#\1#')
    HOST=$address:5000
    mkdir -p "$CLUSTERS/$NAME/registries/$HOST"
    printf 'server = "http://%s"\n' "$HOST" >"$CLUSTERS/$NAME/registries/$HOST/hosts.toml"
    cat >"$SCRATCH/registry.yaml" <<CONFIG
version: 0.1
log: {level: info}
storage:
  filesystem: {rootdirectory: $SCRATCH/registry}
http: {addr: "$HOST"}
CONFIG
    # `enter` becomes the registry, so this is its process.
    e2e/cluster/cluster.sh enter --name "$NAME" "$(go_tool_dir registry)/registry" serve "$SCRATCH/registry.yaml" \
        >"$SCRATCH/registry.log" 2>&1 &
    REGISTRY_PID=$!
    local deadline=$((SECONDS + 20))
    until curl --silent --fail --max-time 2 "http://$HOST/v2/" >/dev/null; do
        if ((SECONDS > deadline)) || ! kill -0 "$REGISTRY_PID"; then fail "the registry did not start: $(<"$SCRATCH/registry.log")"; fi
        sleep 0.1
    done
}

# readme_commands: the lines with a prompt of the console blocks in "On your own cluster"
readme_commands() {
    awk '/^##+ / { inside = /^## On your own cluster$/ }
        /^```/ { block = inside && /^```console$/; next }
        block && sub(/^\$ /, "")' "$REPO/README.md"
}

# All in one shell, as a person types them; only the registry's address and the place of the recording differ.
type_readme() {
    local script=$SCRATCH/typed.sh count
    {
        # shellcheck disable=SC2016 # for the shell that runs it
        printf '%s\n' 'set -eE' 'trap '\''echo "failed: $BASH_COMMAND" >&2'\'' ERR'
        readme_commands | sed "s#registry\.example\.com#$HOST#g; s#-o hello\.wav#-o $SCRATCH/hello.wav#" |
            while read -r line; do printf 'printf "%%s\\n" %q\n%s\n' "\$ $line" "$line"; done
    } >"$script"
    count=$(readme_commands | wc -l)
    ((count >= 10)) || fail "only $count commands were found in README.md: has the section been renamed?"
    for word in 'make push' 'helm install tts-operator ' 'helm test' 'curl' 'helm uninstall'; do
        readme_commands | grep -q "$word" || fail "README.md no longer has the command '$word'"
    done
    step "README.md, On your own cluster: $count commands"
    bash "$script" </dev/null || fail "a command of README.md does not work as it stands (see above)"
    [[ $(head -c 4 "$SCRATCH/hello.wav") == RIFF ]] || fail "curl got no WAV file"
    # Uninstalled as README.md says, nothing but the CRDs is left.
    # Children of deleted objects are collected a moment later.
    await_no_deployments || fail "the uninstallation left deployments behind"
    kubectl get crd ttsvoices.tts-operator.dev >/dev/null
    grep -q 'GET.*/v2/speech/tts-server/.*containerd' "$SCRATCH/registry.log" || fail "the node pulled no image"
}

await_no_deployments() {
    local deadline=$((SECONDS + 60))
    until [[ -z $(kubectl get deployments --all-namespaces --output name) ]]; do
        ((SECONDS < deadline)) || return 1
        sleep 0.2
    done
}

install_by_digest() {
    step "Installation by digest"
    OPERATOR=$(push_image tts-operator "$HOST/pinned" any)
    SERVER=$(push_image tts-server "$HOST/pinned" any)
    # The CRDs are still there. The tag does not exist: only the digest is asked for.
    install_chart "$SERVER"
    kubectl apply --filename docs/examples/quickstart.yaml >/dev/null
    kubectl wait --for=condition=Ready --timeout=120s ttsdeployment/greeter >/dev/null
    expect_image tts-system app.kubernetes.io/name=tts-operator "$OPERATOR"
    expect_image default app.kubernetes.io/instance=greeter "$SERVER"
}

# install_chart SERVER: <registry>/tts-server@<digest>
install_chart() {
    helm upgrade --install tts-operator charts/tts-operator --namespace tts-system --wait --timeout=3m \
        --set "image.registry=$HOST/pinned,image.tag=not-pushed" \
        --set "image.operator.digest=${OPERATOR#*@},image.server.digest=${1#*@}" >/dev/null
}

# expect_image NAMESPACE SELECTOR NAME@DIGEST: what containerd says it runs
expect_image() {
    local running
    running=$(kubectl --namespace "$1" get pods --selector "$2" --field-selector=status.phase=Running \
        --output 'jsonpath={range .items[*]}{.status.containerStatuses[0].imageID}{"\n"}{end}' | sort -u)
    [[ $running == "$3" ]] || fail "the pods of $2 run '$running' and not '$3'"
    say "ok: the pods of $2 run $3"
}

roll_out_a_changed_image() {
    step "A changed image"
    local context=$SCRATCH/changed base changed digest
    mkdir "$context"
    base=$(engine_load "$(image_archive tts-server)")
    printf 'FROM %s\nLABEL changed=yes\n' "$base" >"$context/Containerfile"
    { engine_build "$context" localhost/tts-server-changed:dev "$TARGETARCH" &&
        engine_save localhost/tts-server-changed:dev "$context/changed.tar"; } >"$SCRATCH/changed.log" 2>&1 ||
        fail "the changed image was not built: $(<"$SCRATCH/changed.log")"
    digest=$(engine_push "$context/changed.tar" "$HOST/pinned/tts-server:any")
    changed=$HOST/pinned/tts-server@$digest
    [[ $changed != "$SERVER" ]] || fail "the changed image has the digest of the first one"
    # The tag has moved and the installation is pinned: nothing of it follows.
    expect_image default app.kubernetes.io/instance=greeter "$SERVER"
    install_chart "$changed"
    kubectl wait --for="jsonpath={.spec.template.spec.containers[0].image}=$HOST/pinned/tts-server:not-pushed@$digest" \
        --timeout=60s deployment/greeter >/dev/null
    kubectl rollout status --timeout=120s deployment/greeter >/dev/null
    await_image default app.kubernetes.io/instance=greeter "$changed"
    helm test tts-operator --namespace tts-system --timeout=4m >/dev/null
    say "ok: helm test"
}

# await_image NAMESPACE SELECTOR NAME@DIGEST: the old pods are Running until they have drained
await_image() {
    local deadline=$((SECONDS + 90))
    until (expect_image "$@") >/dev/null 2>&1; do
        ((SECONDS < deadline)) || break
        sleep 0.5
    done
    expect_image "$@"
}

finish() {
    local status=$?
    if ((status != 0)); then
        kubectl get pods --all-namespaces >&2 || true
        kubectl get events --all-namespaces --sort-by=.lastTimestamp 2>/dev/null | tail -n 15 >&2 || true
    fi
    [[ -z $REGISTRY_PID ]] || { kill "$REGISTRY_PID" && wait "$REGISTRY_PID"; } 2>/dev/null || true
    cluster down --name "$NAME" || true
    rm -rf "$SCRATCH"
}

cluster() { e2e/cluster/cluster.sh "$@"; }
kubectl() { "$REPO/bin/kubectl" "$@"; }

main
