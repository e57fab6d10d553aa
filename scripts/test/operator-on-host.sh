#!/usr/bin/env bash
# operator-on-host.sh PROGRAM: the operator as a process of this machine, on a throwaway cluster of its own. It waits for
# the CRDs, serves a voice, reverts drift, plans, scales, resizes, reports bad objects, reads its settings again, deletes, exports metrics,
# and releases its lease when it stops. The end-to-end tests run the operator in pods; scripts/test/coverage.sh runs an
# instrumented one here.
set -euo pipefail
here=$(cd "$(dirname "${BASH_SOURCE[0]}")" && pwd)
source "$here/../lib.sh"
source "$here/expect.sh"

PROGRAM=${1:?the program to test is missing}
NAME=onhost
FOLDER=$(mktemp -d)
SETTINGS=$FOLDER/settings.yaml
OPERATOR=

main() {
    trap finish EXIT
    cd "$REPO"
    e2e/cluster/cluster.sh down --name "$NAME"
    e2e/cluster/cluster.sh up --name "$NAME" >/dev/null
    KUBECONFIG=$(e2e/cluster/cluster.sh kubeconfig --name "$NAME")
    export KUBECONFIG
    local registry tag
    read -r registry tag < <(scripts/images.sh load "$NAME")
    [[ -n ${tag:-} ]] || fail "the images did not get to the cluster"

    bad_options_are_refused
    start_operator "$registry/tts-server:$tag"
    it_waits_for_the_crds
    it_serves_a_voice
    it_reverts_drift
    it_plans
    it_scales
    it_resizes
    it_reports_bad_objects
    it_reads_its_settings_again "$registry/tts-server:$tag"
    it_leaves_nothing_behind
    it_exports_metrics
    it_stops_and_releases_the_lease
}

finish() {
    local status=$?
    # After a failure it may have ended already.
    if [[ -n $OPERATOR ]]; then kill -KILL "$OPERATOR" 2>/dev/null || true; fi
    if ((status != 0)) && [[ -s $FOLDER/operator.log ]]; then
        say "--- the operator's log:"
        tail -n 40 "$FOLDER/operator.log"
    fi
    e2e/cluster/cluster.sh down --name "$NAME"
    rm -rf "$FOLDER"
    return $status
}

kubectl() { bin/kubectl "$@"; }

# soon COMMAND...: until it succeeds, for a minute
soon() {
    local deadline=$((SECONDS + 60))
    until "$@" >/dev/null 2>&1; do
        ((SECONDS < deadline)) || return 1
        sleep 0.2
    done
}

field() { kubectl get "$1" --output "jsonpath=$2"; }
field_is() { [[ $(field "$1" "$2") == "$3" ]]; }
condition() { field "$1" "{.status.conditions[?(@.type==\"$2\")].$3}"; }
condition_says() { [[ $(condition "$1" Ready message) == *"$2"* ]]; }
answer() { curl --silent --noproxy '*' --max-time 5 "http://$ADDRESS$1"; }
answer_has() { grep -q -- "$2" <<<"$(answer "$1")"; }
log_has() { grep -q -- "$1" "$FOLDER/operator.log"; }
absent() { [[ -z $(kubectl get "$@" --ignore-not-found --output name) ]]; }

# settings IMAGE [DOWNLOADS]: what the operator reads, replaced in one step
settings() {
    printf 'server: {image: "%s"}\ndownloads: {%s}\n' "$1" "${2:-}" >"$SETTINGS.new"
    mv "$SETTINGS.new" "$SETTINGS"
}

bad_options_are_refused() {
    local run=("$PROGRAM" run --settings "$SETTINGS")
    expect_refusal "$SETTINGS" "${run[@]}"
    settings ''
    expect_refusal "server.image" "${run[@]}"
    settings x 'allowHttps: true'
    expect_refusal "unknown field" "${run[@]}"
    settings x "caFile: $REPO/README.md"
    expect_refusal "contains no PEM certificate" "${run[@]}"
    settings x
    expect_refusal "use address:port" "${run[@]}" --listen nowhere
    expect "crds prints all kinds" test "$("$PROGRAM" crds | grep -c '^kind: CustomResourceDefinition')" = 4
}

start_operator() {
    local port
    port=$(python3 -c 'import socket; s = socket.socket(); s.bind(("127.0.0.1", 0)); print(s.getsockname()[1])')
    ADDRESS=127.0.0.1:$port
    settings "$1"
    "$PROGRAM" run --settings "$SETTINGS" --listen "$ADDRESS" --leader-elect --pod-name on-host >"$FOLDER/operator.log" 2>&1 &
    OPERATOR=$!
}

it_waits_for_the_crds() {
    expect "it is alive without the CRDs" soon answer_has /livez ok
    expect "it names the CRD it waits for" soon answer_has /readyz ttsvoices.tts-operator.dev
    kubectl apply --server-side --filename crds/yaml >/dev/null
    expect "it is ready when they are there" soon answer_has /readyz ok
    expect "it holds the lease" soon log_has "holding the lease"
}

it_serves_a_voice() {
    kubectl apply --filename docs/examples/quickstart.yaml >/dev/null
    expect "the voice is verified" kubectl wait --for=condition=Ready ttsvoice/rms --timeout=120s
    expect "the deployment serves it" kubectl wait --for=condition=Ready ttsdeployment/greeter --timeout=120s
}

it_reverts_drift() {
    kubectl patch deployment greeter --type=json \
        --patch '[{"op": "replace", "path": "/spec/template/spec/containers/0/args", "value": ["serve", "--broken"]}]' >/dev/null
    expect "drift is reverted" soon lacks_drift
    kubectl delete service greeter --wait=true >/dev/null
    expect "a deleted Service is made again" soon kubectl get service greeter
    expect "and it serves again" kubectl wait --for=condition=Ready ttsdeployment/greeter --timeout=120s
}

lacks_drift() { [[ $(field deployment/greeter '{.spec.template.spec.containers[0].args}') != *--broken* ]]; }

# A measurement of this machine, which is the node's, stands in for that of the benchmark that is asked for.
it_plans() {
    local class
    sed '$a\  sizing: {benchmark: Ask}' docs/examples/planned.yaml | kubectl apply --filename - >/dev/null
    expect "default pods serve until the voice is measured" kubectl wait --for=condition=Ready ttsdeployment/planned --timeout=120s
    expect "a benchmark is asked for" soon benchmark_waits
    class=$(kubectl get ttsbenchmarks --output 'jsonpath={.items[0].spec.nodeClass}')
    bin/tts-server profile --voice builtin:rms --allocatable 1 --level-seconds 1 --output "$FOLDER/profile.yaml" 2>/dev/null
    sed -i "s/class: .*/class: $class/" "$FOLDER/profile.yaml"
    kubectl apply --filename "$FOLDER/profile.yaml" >/dev/null
    expect "a plan is made from a profile" soon field_is ttsdeployment/planned '{.status.plan.nodeClass}' "$class"
    expect "its pods serve" kubectl wait --for=condition=UpToDate --for=condition=Ready ttsdeployment/planned --timeout=120s
    expect "the plan is among the metrics" soon answer_has /metrics 'tts_operator_planned_replicas{name="planned"'
    "$PROGRAM" why planned --namespace default >"$FOLDER/why"
    expect "why tells the class" grep -q "on nodes of class $class" "$FOLDER/why"
    kubectl get nodes,daemonsets --all-namespaces --output yaml >"$FOLDER/nodes.yaml"
    "$PROGRAM" plan -f docs/examples/planned.yaml --profiles "$FOLDER/profile.yaml" --nodes "$FOLDER/nodes.yaml" >"$FOLDER/plan"
    expect "a plan of files names the same class" grep -q "class $class" "$FOLDER/plan"
    kubectl delete ttsdeployment/planned --wait=true >/dev/null
    expect "without the deployment its metrics are gone" soon lacks_plan
}

benchmark_waits() { [[ $(kubectl get ttsbenchmarks --output 'jsonpath={.items[0].status.conditions[?(@.type=="Ready")].reason}') == WaitingForApproval ]]; }
lacks_plan() { ! answer_has /metrics 'name="planned"'; }

it_resizes() {
    local before
    before=$(pods_of station)
    kubectl patch ttsdeployment station --type=merge --patch '{"spec": {"sizing": {"resources": {"requests": {"cpu": "550m"}}}}}' >/dev/null
    expect "pods get more CPU" soon requests_of station '550m 550m'
    expect "and none is replaced" test "$(pods_of station)" = "$before"
}

pods_of() { kubectl get pods --selector "app.kubernetes.io/instance=$1" --output 'jsonpath={.items[*].metadata.uid}'; }
requests_of() {
    [[ $(kubectl get pods --selector "app.kubernetes.io/instance=$1" \
        --output 'jsonpath={.items[*].status.containerStatuses[0].resources.requests.cpu}') == "$2" ]]
}

it_scales() {
    kubectl scale ttsdeployment/greeter --replicas=2 >/dev/null
    expect "kubectl scale takes effect" soon field_is deployment/greeter '{.status.readyReplicas}' 2
    kubectl scale ttsdeployment/greeter --replicas=1 >/dev/null
    expect "also downwards" soon field_is deployment/greeter '{.status.replicas}' 1
    kubectl apply --filename docs/examples/manual-sizing.yaml >/dev/null
    expect "another deployment with resources and two voices" \
        kubectl wait --for=condition=Ready ttsdeployment/station --timeout=120s
}

it_reports_bad_objects() {
    local zeros
    printf -v zeros '%064d' 0
    kubectl apply --filename - >/dev/null <<OBJECTS
apiVersion: tts-operator.dev/v1alpha1
kind: TtsVoice
metadata: {name: insecure}
spec: {source: {files: [{path: voice.onnx, url: "http://127.0.0.1:9/voice.onnx", sha256: "$zeros"}, {path: voice.onnx.json, url: "http://127.0.0.1:9/voice.onnx.json", sha256: "$zeros"}]}}
---
apiVersion: tts-operator.dev/v1alpha1
kind: TtsVoice
metadata: {name: unreachable}
spec: {source: {files: [{path: voice.onnx, url: "https://127.0.0.1:9/voice.onnx", sha256: "$zeros"}, {path: voice.onnx.json, url: "https://127.0.0.1:9/voice.onnx.json", sha256: "$zeros"}]}}
---
apiVersion: tts-operator.dev/v1alpha1
kind: TtsDeployment
metadata: {name: hopeful}
spec: {voices: [{name: nobody}]}
OBJECTS
    expect "a deployment of an absent voice says which" soon condition_says ttsdeployment/hopeful nobody
    expect "a voice from http:// is refused with the reason" soon condition_says ttsvoice/insecure "plain http is disabled"
    expect "a voice whose server does not answer says so" soon condition_says ttsvoice/unreachable 127.0.0.1:9
}

it_reads_its_settings_again() {
    settings "$1" 'allowHttps: true'
    expect "settings that it cannot use are reported" soon answer_has /readyz allowHttps
    settings "$1" 'allowHttp: true'
    expect "the next ones that it can use end that" soon answer_has /readyz ok
    expect "a voice from http:// is downloaded now" soon condition_says ttsvoice/insecure 127.0.0.1:9
}

it_leaves_nothing_behind() {
    kubectl delete ttsdeployments --all --wait=true >/dev/null
    kubectl delete ttsvoices --all --wait=true >/dev/null
    expect "what belonged to the deployments is gone" soon absent deployments,services,jobs \
        --selector app.kubernetes.io/managed-by=tts-operator
}

it_exports_metrics() {
    expect "reconciliations are counted" answer_has /metrics 'tts_operator_reconcile_duration_seconds_count{controller="ttsdeployment",result="ok"}'
    expect "so are writes" answer_has /metrics 'tts_operator_writes_total{kind="Deployment",operation="apply"}'
    expect "it leads" answer_has /metrics '^tts_operator_leader 1'
}

it_stops_and_releases_the_lease() {
    local status=0
    kill -TERM "$OPERATOR"
    wait "$OPERATOR" || status=$?
    OPERATOR=
    expect "SIGTERM ends it with status 0" test "$status" = 0
    expect "nobody holds the lease" field_is lease/tts-operator '{.spec.holderIdentity}' ''
}

main
