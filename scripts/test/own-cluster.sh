#!/usr/bin/env bash
# shellcheck disable=SC2030,SC2031 # each run has an environment of its own, in a subshell
# What a run may do to a cluster of the user's, on an API server that stands for one: it refuses where somebody else's
# installation is, without one write; it removes exactly what it made, after SIGTERM and after SIGKILL; and KUBECONFIG of
# the environment gets no request.
set -euo pipefail
here=$(cd "$(dirname "${BASH_SOURCE[0]}")" && pwd)
source "$here/../lib.sh"
source "$here/../go-tools.sh"
source "$here/../install/onnxruntime.sh"
source "$here/../images/base.sh"
source "$here/../images/archives.sh"
source "$here/../images/bring.sh"
source "$here/../cluster/in-use.sh"
source "$here/../cluster/own.sh"
source "$here/expect.sh"

NAME=users
KUBECTL=("$(go_tool_dir kubeone)/kubeone" kubectl)
HELM=$(go_tool_dir helm)/helm
export HELM
USERS_KUBECONFIG=$CLUSTERS/$NAME/admin.kubeconfig
AUDIT=$CLUSTERS/$NAME/log/audit.log
FOLDER=$(mktemp -d)

main() {
    trap finish EXIT
    "$REPO/e2e/cluster/cluster.sh" down --name "$NAME"
    "$REPO/e2e/cluster/cluster.sh" up --name "$NAME" --node=none >/dev/null
    export TTS_IMAGE_REGISTRY=registry.example.com/team
    unset TTS_RUN_ID TTS_DEMO_ON

    bad_settings_are_refused
    a_copy_of_one_context_is_used
    what_a_killed_run_made_is_removed_by_the_next
    what_a_terminated_run_made_is_removed
    objects_of_others_are_kept
    somebody_elses_installation_is_refused
    the_ambient_kubeconfig_gets_no_request
}

finish() {
    local status=$?
    "$REPO/e2e/cluster/cluster.sh" down --name "$NAME"
    rm -rf "$FOLDER"
    forget_contexts_of_the_dead
    return $status
}

users() { KUBECONFIG=$USERS_KUBECONFIG "${KUBECTL[@]}" "$@"; }
as_own() { env TTS_E2E_KUBECONFIG="$USERS_KUBECONFIG" TTS_E2E_CONTEXT=throwaway "$@"; }
writes() { awk '/"username":"admin"/ && !/"verb":"(get|list)"/ { writes++ } END { print writes + 0 }' "$AUDIT"; }

# run COMMAND...: in a shell of its own with the cluster selected, as the demo and the tests do it
run() (
    export TTS_E2E_KUBECONFIG=$USERS_KUBECONFIG TTS_E2E_CONTEXT=throwaway
    select_cluster tts-operator-e2e none
    "$@"
)

bad_settings_are_refused() {
    expect_refusal "TTS_E2E_CONTEXT is ''; set it to one of the contexts of TTS_E2E_KUBECONFIG" \
        env TTS_E2E_KUBECONFIG="$USERS_KUBECONFIG" "$REPO/scripts/demo.sh"
    expect_refusal "throwaway" env TTS_E2E_KUBECONFIG="$USERS_KUBECONFIG" TTS_E2E_CONTEXT=zz "$REPO/scripts/test.sh"
    expect_refusal "TTS_E2E_CONTEXT is set and TTS_E2E_KUBECONFIG is not" env TTS_E2E_CONTEXT=throwaway "$REPO/scripts/demo.sh"
    expect_refusal "has no context" env TTS_E2E_KUBECONFIG="$FOLDER/absent" TTS_E2E_CONTEXT=throwaway "$REPO/scripts/demo.sh"
    expect_refusal "no way to bring images" \
        env --unset=TTS_IMAGE_REGISTRY TTS_E2E_KUBECONFIG="$USERS_KUBECONFIG" TTS_E2E_CONTEXT=throwaway "$REPO/scripts/demo.sh"
}

# copied_context KUBECONFIG_LIST: the mode of the copy, and the copy
copied_context() (
    export TTS_E2E_KUBECONFIG=$1 TTS_E2E_CONTEXT=throwaway
    select_cluster tts-operator-e2e none >/dev/null
    stat --format '%a' "$KUBECONFIG"
    cat "$KUBECONFIG"
    forget_context
)

a_copy_of_one_context_is_used() {
    local other=$FOLDER/other copied
    printf 'apiVersion: v1\nkind: Config\ncontexts: [{name: other, context: {cluster: c, user: u}}]\nclusters: [{name: c, cluster: {server: "https://127.0.0.1:9"}}]\nusers: [{name: u, user: {token: secret}}]\ncurrent-context: other\n' >"$other"
    copied=$(copied_context "$other:$USERS_KUBECONFIG")
    expect "the copy is readable by its user alone" grep -qx 600 <<<"$copied"
    expect "a list of kubeconfig files works" grep -q 'current-context: throwaway' <<<"$copied"
    expect "the copy holds no other context" fails grep -q 'token: secret' <<<"$copied"
}

# make_things: what the tests make, as far as an API server without nodes goes
make_things() {
    claim_cluster tts-operator-e2e
    "$HELM" install tts-operator-e2e-crds "$REPO/charts/tts-operator-crds" --namespace tts-operator-e2e
    "$HELM" install tts-operator-e2e "$REPO/charts/tts-operator" --namespace tts-operator-e2e --set image.registry=localhost
    kubectl create namespace tts-operator-e2e-test
    kubectl label namespace tts-operator-e2e-test "$RUN_LABEL=$TTS_RUN_ID"
    touch "$FOLDER/made"
}

stay() { exec sleep infinity; }

# a_run: in the background, so in a shell of its own
a_run() {
    trap 'exit 143' TERM
    trap 'stop_interruptible; remove_run tts-operator-e2e; forget_context' EXIT
    export TTS_E2E_KUBECONFIG=$USERS_KUBECONFIG TTS_E2E_CONTEXT=throwaway
    select_cluster tts-operator-e2e none
    make_things
    interruptible stay
}

# start_run: a run in the background that has made its objects
start_run() {
    rm -f "$FOLDER/made"
    a_run >"$FOLDER/run.log" 2>&1 &
    RUN_PID=$!
    local deadline=$((SECONDS + 60))
    until [[ -e $FOLDER/made ]]; do
        if ((SECONDS > deadline)) || ! kill -0 "$RUN_PID" 2>/dev/null; then fail "the run did not start: $(<"$FOLDER/run.log")"; fi
        sleep 0.1
    done
}

nothing_is_left() {
    local left
    left=$(users get namespaces,customresourcedefinitions,clusterroles,clusterrolebindings --output name | grep 'tts' || true)
    [[ -z $left ]] || { say "left: $left" && return 1; }
}

what_a_killed_run_made_is_removed_by_the_next() {
    users create namespace tts-of-a-friend >/dev/null
    start_run
    pkill -KILL --parent "$RUN_PID" || true
    kill -KILL "$RUN_PID"
    wait "$RUN_PID" 2>/dev/null || true
    expect "a killed run leaves its objects" users get crd ttsvoices.tts-operator.dev
    run claim_cluster tts-operator-e2e >"$FOLDER/next.log" 2>&1 || fail "the next run cannot start: $(<"$FOLDER/next.log")"
    expect "the next run removes them" fails users get crd ttsvoices.tts-operator.dev
    run remove_run tts-operator-e2e >/dev/null
    expect "a namespace with a similar name is kept" users get namespace tts-of-a-friend
    users delete namespace tts-of-a-friend >/dev/null
    expect "nothing else is left" nothing_is_left
}

what_a_terminated_run_made_is_removed() {
    start_run
    kill -TERM "$RUN_PID"
    wait "$RUN_PID" || true
    expect "a run that gets SIGTERM removes what it made" nothing_is_left
}

objects_of_others_are_kept() {
    start_run
    users create --filename - >/dev/null <<'VOICE'
apiVersion: tts-operator.dev/v1alpha1
kind: TtsVoice
metadata: {name: precious, namespace: default}
spec: {source: {builtin: {name: rms}}}
VOICE
    kill -TERM "$RUN_PID"
    wait "$RUN_PID" || true
    expect "a voice that somebody made meanwhile is kept" users get ttsvoice precious
    expect "and named" grep -q "default TtsVoice precious" "$FOLDER/run.log"
    users delete ttsvoice precious >/dev/null
    run remove_run tts-operator-e2e >/dev/null
    expect "without it the run can be removed" nothing_is_left
}

somebody_elses_installation_is_refused() {
    local before script
    "$HELM" --kubeconfig "$USERS_KUBECONFIG" install tts-operator-crds "$REPO/charts/tts-operator-crds" --namespace tts-system \
        --create-namespace >/dev/null
    "$HELM" --kubeconfig "$USERS_KUBECONFIG" install tts-operator "$REPO/charts/tts-operator" --namespace tts-system \
        --set image.registry=registry.example.com >/dev/null
    before=$(writes)
    ((before > 0)) || fail "the audit log shows no write at all: this test could not fail"
    for script in demo test; do
        expect_refusal "helm release tts-system/tts-operator" as_own "$REPO/scripts/$script.sh"
        expect_refusal "customresourcedefinition.apiextensions.k8s.io/ttsvoices.tts-operator.dev" as_own "$REPO/scripts/$script.sh"
        expect_refusal "namespace/tts-system" as_own "$REPO/scripts/$script.sh"
    done
    expect "the refused runs wrote nothing" test "$(writes)" = "$before"
}

# A listener stands for the cluster of KUBECONFIG: one connection is one too many.
the_ambient_kubeconfig_gets_no_request() {
    local log
    log=$(AMBIENT=$FOLDER/ambient python3 "$here/listener.py" "$here/with-ambient.sh" 2>&1 || true)
    expect "KUBECONFIG of the environment gets no request" grep -qx '0 connections' <<<"$log"
    expect "and that is said" grep -q 'KUBECONFIG is set and is not used' <<<"$log"
}

main
