# shellcheck shell=bash
# The second half of the demo: the voice is measured on the demo's node, and its pods are planned from that.
# TTS_DEMO is `full` (a measurement of about five minutes), `quick` (a profile that an earlier demo left in the cache folder, else a
# measurement of short levels, about two minutes), or `speech` (none of it).

# Where a quick demo finds the measurement of an earlier one.
KEPT_PROFILE=$CACHE/demo/profile.yaml
# Longer than any measurement of the demo.
MEASURED_WITHIN=600

on_demo() { kubectl --namespace "$NAMESPACE" "$@"; }

plan_voice() {
    case ${TTS_DEMO:=full} in
    full | quick) ;;
    speech) return 0 ;;
    *) fail "TTS_DEMO is '$TTS_DEMO'; use full, quick or speech" ;;
    esac
    step "Objectives: first audio within 500 ms for 95 % of 5 requests per second"
    if [[ $TTS_DEMO == quick && -s $KEPT_PROFILE ]] && on_demo apply --filename "$KEPT_PROFILE"; then
        say "    with the measurement that an earlier demo on this machine left in the cache"
    fi
    on_demo patch ttsdeployment greeter --type=merge --patch \
        '{"spec": {"objectives": {"timeToFirstAudio": "500ms"}, "load": {"peakRequestsPerSecond": "5"}, "sizing": {"benchmark": "Ask"}}}'
    wait_for "the plan, or a benchmark" planned_or_asked
    if ! is_planned; then
        measure_voice
        wait_for "the plan" is_planned
        keep_profile
    fi
    interruptible kubectl --namespace "$NAMESPACE" wait --for=condition=UpToDate ttsdeployment/greeter --timeout=120s >/dev/null
    interruptible kubectl --namespace "$NAMESPACE" wait --for=condition=Ready ttsdeployment/greeter --timeout=120s
    step "Why these pods: tts-operator why greeter"
    "$REPO/bin/tts-operator" why greeter --namespace "$NAMESPACE"
}

is_planned() { [[ -n $(on_demo get ttsdeployment greeter --output 'jsonpath={.status.plan.nodeClass}') ]]; }

benchmark() { on_demo get ttsbenchmarks --output 'jsonpath={.items[0].metadata.name}' 2>/dev/null; }

planned_or_asked() { is_planned || [[ -n $(benchmark) ]]; }

# measure_voice: approves the benchmark that waits, and follows it
measure_voice() {
    local name spec='{"approval": "Auto"}' job
    name=$(benchmark)
    step "Measuring: TtsBenchmark $name"
    if [[ $TTS_DEMO == quick ]]; then
        spec='{"approval": "Auto", "levelSeconds": 1}'
        say "    short levels, because this is the quick demo: the numbers are rough"
    fi
    on_demo patch ttsbenchmark "$name" --type=merge --patch "{\"spec\": $spec}"
    wait_for "the measurement to start" has_started
    job=$(on_demo get pods --selector app.kubernetes.io/name=tts-profile --output 'jsonpath={.items[0].metadata.name}')
    # Its progress; the profile itself is the long line at the end. The pod may be gone before the log was followed to its end.
    interruptible kubectl --namespace "$NAMESPACE" logs --follow --container profile "$job" |
        sed --unbuffered --quiet --regexp-extended 's/^(measuring|anchor|pass|[0-9]+ level)/    \1/p' ||
        warn "the log of the measurement cannot be followed; the measurement goes on"
}

has_started() {
    [[ $(on_demo get pods --selector app.kubernetes.io/name=tts-profile \
        --output 'jsonpath={.items[0].status.containerStatuses[0].started}' 2>/dev/null) == true ]] || is_planned
}

keep_profile() {
    mkdir -p "$(dirname "$KEPT_PROFILE")"
    on_demo get ttsprofiles --output json | python3 -c '
import json, sys
items = json.load(sys.stdin)["items"]
for item in items:
    item.pop("status", None)
    item["metadata"] = {"name": item["metadata"]["name"]}
json.dump({"apiVersion": "v1", "kind": "List", "items": items}, sys.stdout)' >"$KEPT_PROFILE.partial"
    mv "$KEPT_PROFILE.partial" "$KEPT_PROFILE"
}

# wait_for WHAT COMMAND
wait_for() {
    local deadline=$((SECONDS + MEASURED_WITHIN))
    until "$2"; do
        ((SECONDS < deadline)) || fail "still waiting for $1 after $MEASURED_WITHIN s"
        sleep 1
    done
}
