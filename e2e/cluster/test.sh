#!/usr/bin/env bash
# The throwaway cluster itself: two at once, a crash, and a host that is as it was.
set -euo pipefail
here=$(cd "$(dirname "${BASH_SOURCE[0]}")" && pwd)
source "$here/../../scripts/lib.sh"
source "$here/../../scripts/go-tools.sh"

# Names of its own, so that a developer's clusters stay up.
API=selfapi NODE=selfnode
KUBECTL=("$(go_tool_dir kubeone)/kubeone" kubectl)
before=$(mktemp)
after=$(mktemp)

cluster() { "$here/cluster.sh" "$@"; }
on() { KUBECACHEDIR=$CLUSTERS/$1/kubectl-cache KUBECONFIG=$(cluster kubeconfig --name "$1") "${KUBECTL[@]}" "${@:2}"; }
stop_both() {
    cluster down --name "$API"
    cluster down --name "$NODE"
}
finish() {
    stop_both
    rm -f "$before" "$after"
}
trap finish EXIT

# expect WHAT COMMAND...
expect() {
    local what=$1
    shift
    if "$@" >/dev/null 2>&1; then say "ok: $what"; else fail "not so: $what"; fi
}
fails() { ! "$@"; }
reports_crash() { cluster status | grep -q "^$1: left over by a crash"; }
answers() { timeout 5 bash -c "</dev/tcp/$1/$2"; }

"$here/unit-test.sh"
stop_both
"$here/host-snapshot.sh" "$API" "$NODE" >"$before"

# same_host WHAT
same_host() {
    "$here/host-snapshot.sh" "$API" "$NODE" >"$after"
    diff "$before" "$after" || fail "not so: $1 (see the difference above)"
    say "ok: $1 ($(wc -l <"$before") facts compared)"
}

cluster up --name "$API" --node=none >/dev/null 2>&1
cluster up --name "$NODE" >/dev/null 2>&1
expect "an API server alone and a cluster with a node run at the same time" on "$API" get namespace default
expect "the node is ready" on "$NODE" wait --for=condition=Ready node/node-0 --timeout=10s
on "$NODE" run pause --image=localhost/tts-pause:dev --image-pull-policy=Never >/dev/null
expect "pods run" on "$NODE" wait --for=condition=Ready pod/pause --timeout=30s
service=$(on "$NODE" get service kubernetes --output 'jsonpath={.spec.clusterIP}')
expect "the host reaches a Service by its address" answers "$service" 443
expect "so do programs in the cluster's network" cluster enter --name "$NODE" \
    timeout 5 bash -c "</dev/tcp/$service/443"
expect "an API server alone has no node" fails on "$API" get node node-0

stop_both
same_host "after \`down\`, the host is as it was before"

# A crash: nothing gets to clean up.
cluster up --name "$NODE" >/dev/null 2>&1
on "$NODE" run pause --image=localhost/tts-pause:dev --image-pull-policy=Never >/dev/null
expect "a pod runs before the crash" on "$NODE" wait --for=condition=Ready pod/pause --timeout=30s
kill -KILL "$(<"$CLUSTERS/$NODE/supervisor.pid")"
cluster up --name "$NODE" >/dev/null 2>&1
expect "after a crash the next start works" on "$NODE" get namespace default
expect "and has nothing of the one before" fails on "$NODE" get pod pause

# Another crash, with a pod at work; this time nothing is started afterwards.
on "$NODE" run pause --image=localhost/tts-pause:dev --image-pull-policy=Never >/dev/null
expect "pods run after the crash" on "$NODE" wait --for=condition=Ready pod/pause --timeout=30s
kill -KILL "$(<"$CLUSTERS/$NODE/supervisor.pid")"
expect "status reports the crash" reports_crash "$NODE"
stop_both
same_host "after a crash and \`down\`, the host is as it was before"
