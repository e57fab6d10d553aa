#!/usr/bin/env bash
# From a fresh clone to hello.wav: builds everything, starts a throwaway cluster (or a kind cluster, or uses the one that
# TTS_E2E_KUBECONFIG and TTS_E2E_CONTEXT name), installs the operator, applies docs/examples/quickstart.yaml and asks the
# Service to speak; then measures the voice and plans its pods (TTS_DEMO, see demo/plan.sh). `demo.sh remove` undoes a demo on a cluster of yours.
# The text is in TTS_DEMO_TEXT; it is never part of a command.
set -euo pipefail
here=$(cd "$(dirname "${BASH_SOURCE[0]}")" && pwd)
source "$here/lib.sh"
source "$here/images/bring.sh"
source "$here/cluster/in-use.sh"
source "$here/cluster/kind.sh"
source "$here/cluster/own.sh"
source "$here/demo/plan.sh"

WAV=$PWD/hello.wav
# Names everything that the demo makes in a cluster that is not its own.
export DEMO=tts-operator-demo
# The throwaway cluster's name; `make test` runs a demo on one of its own.
THROWAWAY=${TTS_DEMO_CLUSTER:-node}
SYSTEM=tts-system
NAMESPACE=default
TUNNEL=
CLAIMED=
# Whether a failure has anything to explain: a refused run has not touched a cluster.
STARTED=
export TTS_DEMO_TEXT=${TTS_DEMO_TEXT:-The quick brown fox jumps over the lazy dog.}

main() {
    local start=$SECONDS
    cd "$REPO"
    exit_on_signals finish
    select_cluster "$DEMO" "$THROWAWAY"
    interruptible "$here/setup" demo
    interruptible "$here/build.sh"
    step "Images"
    interruptible "$here/images.sh" build
    provide_cluster
    install_operator
    deploy_voice
    step "Asking the Service to speak"
    speak
    plan_voice
    show "$((SECONDS - start))"
}

# provide_cluster: each demo starts from nothing, so that it shows what it says
provide_cluster() {
    STARTED=yes
    case $CLUSTER_WAY in
    throwaway)
        step "Throwaway cluster"
        e2e/cluster/cluster.sh down --name "$THROWAWAY"
        e2e/cluster/cluster.sh up --name "$THROWAWAY" >/dev/null
        ;;
    kind)
        step "kind cluster"
        start_kind "$DEMO"
        ;;
    own)
        claim_cluster "$DEMO"
        CLAIMED=yes
        SYSTEM=$DEMO
        NAMESPACE=$DEMO
        ;;
    esac
}

install_operator() {
    local registry tag
    step "Images to the cluster's nodes"
    read -r registry tag < <("$here/images.sh" load "$THROWAWAY")
    [[ -n ${tag:-} ]] || fail "the images did not get to the cluster"
    step "Installing the CRDs and the operator"
    render "$registry" "$tag" | kubectl apply --server-side --filename -
    interruptible kubectl wait --for=condition=Established --timeout=30s --filename crds/yaml >/dev/null
    interruptible kubectl --namespace "$SYSTEM" rollout status --timeout=120s \
        "deployment/$(kubectl --namespace "$SYSTEM" get deployments --selector app.kubernetes.io/name=tts-operator --output 'jsonpath={.items[0].metadata.name}')"
}

# render REGISTRY TAG: deploy/install.yaml and the CRDs as they are, or under the demo's names and with its label
render() {
    local folder
    folder=$(mktemp -d)
    sed -E "s#localhost/(tts-[a-z]+):dev#$1/\\1:$2#g" deploy/install.yaml >"$folder/install.yaml"
    cp crds/yaml/*.yaml "$folder/"
    if [[ $CLUSTER_WAY == own ]]; then
        (cd "$folder" && printf 'resources:\n%s\nnamespace: %s\nnameSuffix: -demo\nlabels: [{pairs: {%s: %s}}]\n' \
            "$(printf -- '- %s\n' *.yaml)" "$DEMO" "$RUN_LABEL" "$TTS_RUN_ID" >kustomization.yaml)
        kubectl kustomize "$folder"
    else
        for file in "$folder"/*.yaml; do cat "$file" && printf -- '---\n'; done
    fi
    rm -rf "$folder"
}

deploy_voice() {
    step "Applying docs/examples/quickstart.yaml"
    kubectl --namespace "$NAMESPACE" apply --filename docs/examples/quickstart.yaml
    interruptible kubectl --namespace "$NAMESPACE" wait --for=condition=Ready ttsdeployment/greeter --timeout=180s
}

speak() {
    local endpoint url connect=()
    endpoint=$(kubectl --namespace "$NAMESPACE" get ttsdeployment greeter --output 'jsonpath={.status.endpoint}')
    url=$endpoint/v1/audio/speech
    # The Service's name is known inside the cluster only; from here its address is, or a tunnel to it.
    if [[ $CLUSTER_WAY == throwaway ]]; then
        connect=(--connect-to "::$(kubectl --namespace "$NAMESPACE" get service greeter --output 'jsonpath={.spec.clusterIP}'):")
    else
        open_tunnel
        connect=(--connect-to "::127.0.0.1:$TUNNEL_PORT")
    fi
    say "    POST $url"
    python3 -c 'import json, os; print(json.dumps({"model": "tts-1", "voice": "rms", "input": os.environ["TTS_DEMO_TEXT"], "response_format": "wav"}))' |
        curl --silent --show-error --fail-with-body --noproxy '*' --max-time 60 "${connect[@]}" \
            --header 'Content-Type: application/json' --data-binary @- --output "$WAV.partial" "$url" || {
        [[ ! -s $WAV.partial ]] || say "the server's answer: $(head -c 2000 "$WAV.partial")" >&2
        rm -f "$WAV.partial"
        fail "the server did not speak"
    }
    check_wav "$WAV.partial"
    mv "$WAV.partial" "$WAV"
}

open_tunnel() {
    local log
    log=$(mktemp)
    kubectl --namespace "$NAMESPACE" port-forward service/greeter :80 --address 127.0.0.1 >"$log" 2>&1 &
    TUNNEL=$!
    local deadline=$((SECONDS + 30))
    until TUNNEL_PORT=$(sed -n 's/^Forwarding from 127\.0\.0\.1:\([0-9]*\).*/\1/p' "$log") && [[ -n $TUNNEL_PORT ]]; do
        if ((SECONDS > deadline)) || ! kill -0 "$TUNNEL" 2>/dev/null; then
            fail "no tunnel to the Service: $(<"$log")"
        fi
        sleep 0.1
    done
    rm "$log"
}

# check_wav FILE: a whole RIFF/WAVE file that is long enough and not silent
check_wav() {
    python3 - "$1" <<'PYTHON'
import array, sys, wave

with wave.open(sys.argv[1]) as wav:
    rate, count = wav.getframerate(), wav.getnframes()
    samples = array.array("h", wav.readframes(count))
if len(samples) != count * wav.getnchannels() or count < rate // 5:
    sys.exit(f"error: the WAV file holds {len(samples)} samples at {rate} Hz; that is no sentence")
if max(samples) - min(samples) < 1000:
    sys.exit("error: the WAV file is silent")
print(f"    {count / rate:.2f} s of audio at {rate} Hz")
PYTHON
}

show() {
    say ""
    kubectl --namespace "$NAMESPACE" get ttsvoices,ttsdeployments
    for object in ttsvoice/rms ttsdeployment/greeter; do
        say ""
        say "$object"
        kubectl --namespace "$NAMESPACE" get "$object" \
            --output 'jsonpath={range .status.conditions[*]}{"  "}{.type}={.status}{"  "}{.reason}{": "}{.message}{"\n"}{end}'
    done
    say ""
    say "The endpoint is $(kubectl --namespace "$NAMESPACE" get ttsdeployment greeter --output 'jsonpath={.status.endpoint}')," \
        "for programs in the cluster. Spoken in $1 s, and written to"
    say "    $WAV"
    case $CLUSTER_WAY in
    throwaway)
        say "The cluster stays up: export KUBECONFIG=$KUBECONFIG"
        say "Stop it with: make cluster-down"
        ;;
    kind)
        say "The cluster stays up: export KUBECONFIG=$KUBECONFIG"
        say "Delete it with: kind delete cluster --name $DEMO"
        ;;
    own)
        say "Everything that the demo made stays, in the namespace $DEMO and as cluster-wide objects with the label"
        say "$RUN_LABEL=$TTS_RUN_ID. Remove it, and nothing else, with the same environment and: scripts/demo.sh remove"
        ;;
    esac
}

# finish: a demo on a cluster of yours that did not succeed leaves nothing there
finish() {
    [[ -z $TUNNEL ]] || kill "$TUNNEL" 2>/dev/null || true
    if ((EXIT_STATUS != 0)); then
        [[ -z $STARTED ]] || ((EXIT_STATUS >= 128)) || explain
        if [[ -n $CLAIMED ]]; then
            step "Removing what the demo made"
            remove_run "$DEMO"
        fi
    fi
    forget_context
}

remove() {
    [[ $(cluster_way) == own ]] || fail "set TTS_E2E_KUBECONFIG and TTS_E2E_CONTEXT to the cluster that the demo is on" \
        "a throwaway cluster is stopped with make cluster-down, a kind cluster with: kind delete cluster --name $DEMO"
    trap forget_context EXIT
    reach_own_cluster "$DEMO"
    is_own_run "$DEMO" || fail "the cluster of the context '$TTS_E2E_CONTEXT' has no demo that this user made"
    remove_run "$DEMO"
}

# explain: what a person would ask for next when something did not work
explain() {
    {
        printf '\n==> The demo failed. What the cluster says:\n'
        kubectl get pods --all-namespaces --output wide
        kubectl --namespace "$NAMESPACE" describe ttsvoices,ttsdeployments
        kubectl get events --all-namespaces --sort-by=.lastTimestamp | tail -n 30
        printf '\n--- the operator\n'
        kubectl --namespace "$SYSTEM" logs --selector app.kubernetes.io/name=tts-operator --tail=30
        printf '\n--- the server\n'
        kubectl --namespace "$NAMESPACE" logs deployment/greeter --all-containers --tail=30
    } >&2 || true
}

case ${1:-} in
'') main ;;
remove) remove ;;
*) fail "usage: demo.sh [remove]" ;;
esac
