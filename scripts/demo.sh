#!/usr/bin/env bash
# From a fresh clone to hello.wav: builds everything, starts a throwaway cluster (or takes the one that KUBECONFIG
# names), installs the operator, applies docs/examples/quickstart.yaml and asks the Service to speak.
# The text is in TTS_DEMO_TEXT; it is never part of a command.
set -euo pipefail
here=$(cd "$(dirname "${BASH_SOURCE[0]}")" && pwd)
source "$here/lib.sh"
source "$here/cluster-in-use.sh"

WAV=$PWD/hello.wav
NAMESPACE=default
TUNNEL=
export TTS_DEMO_TEXT=${TTS_DEMO_TEXT:-The quick brown fox jumps over the lazy dog.}

main() {
    local start=$SECONDS
    cd "$REPO"
    announce_cluster
    "$here/setup" demo
    "$here/build.sh"
    step "Images"
    "$here/images.sh" build
    provide_cluster
    trap finish EXIT
    install_operator
    deploy_voice
    step "Asking the Service to speak"
    speak
    show "$((SECONDS - start))"
}

announce_cluster() {
    if uses_throwaway; then
        say "A throwaway Kubernetes is used; set KUBECONFIG to use a cluster of yours."
    else
        say "The cluster of KUBECONFIG=$KUBECONFIG is used. The operator goes to the namespace tts-system and" \
            "the objects rms and greeter to the namespace $NAMESPACE; they stay there."
        # Says early when there is no way to bring images there.
        if [[ -x bin/kubectl ]]; then image_way >/dev/null; fi
    fi
}

# Without KUBECONFIG each demo starts from nothing, so that it shows what it says.
provide_cluster() {
    if [[ -n ${KUBECONFIG:-} ]]; then
        kubectl get --raw /readyz >/dev/null || fail "the cluster of KUBECONFIG=$KUBECONFIG does not answer" \
            "unset KUBECONFIG to use a throwaway one"
        return
    fi
    step "Throwaway cluster"
    e2e/cluster/cluster.sh down --name node
    e2e/cluster/cluster.sh up --name node >/dev/null
    export KUBECONFIG=$THROWAWAY_KUBECONFIG
}

install_operator() {
    local registry tag
    step "Images to the cluster's nodes"
    read -r registry tag < <("$here/images.sh" load)
    [[ -n ${tag:-} ]] || fail "the images did not get to the cluster"
    step "Installing the CRDs and the operator"
    kubectl apply --server-side --force-conflicts --filename crds/yaml
    kubectl wait --for=condition=Established --timeout=30s --filename crds/yaml >/dev/null
    sed -E "s#localhost/(tts-[a-z]+):dev#$registry/\\1:$tag#g" deploy/install.yaml | kubectl apply --filename -
    kubectl --namespace tts-system rollout status deployment/tts-operator --timeout=120s
}

deploy_voice() {
    step "Applying docs/examples/quickstart.yaml"
    kubectl --namespace "$NAMESPACE" apply --filename docs/examples/quickstart.yaml
    kubectl --namespace "$NAMESPACE" wait --for=condition=Ready ttsdeployment/greeter --timeout=180s
}

speak() {
    local endpoint url connect=()
    endpoint=$(kubectl --namespace "$NAMESPACE" get ttsdeployment greeter --output 'jsonpath={.status.endpoint}')
    url=$endpoint/v1/audio/speech
    # The Service's name is known inside the cluster only; from here its address is, or a tunnel to it.
    if uses_throwaway; then
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
    if uses_throwaway; then
        say "The cluster stays up: export KUBECONFIG=$KUBECONFIG"
        say "Stop it with: make cluster-down"
    else
        say "Remove it with: kubectl delete -f docs/examples/quickstart.yaml -f deploy/install.yaml -f crds/yaml"
    fi
}

finish() {
    local status=$?
    [[ -z $TUNNEL ]] || kill "$TUNNEL" 2>/dev/null || true
    ((status == 0)) || explain
}

# explain: what a person would ask for next when something did not work
explain() {
    {
        printf '\n==> The demo failed. What the cluster says:\n'
        kubectl get pods --all-namespaces --output wide
        kubectl --namespace "$NAMESPACE" describe ttsvoices,ttsdeployments
        kubectl get events --all-namespaces --sort-by=.lastTimestamp | tail -n 30
        printf '\n--- the operator\n'
        kubectl --namespace tts-system logs deployment/tts-operator --tail=30
        printf '\n--- the server\n'
        kubectl --namespace "$NAMESPACE" logs deployment/greeter --all-containers --tail=30
    } >&2 || true
}

kubectl() { "$REPO/bin/kubectl" "$@"; }

main
