#!/usr/bin/env bash
# shellcheck disable=SC2153 # AMBIENT is set by listener.py's caller
# For own-cluster.sh: a run whose KUBECONFIG names the cluster of the file $AMBIENT, and that asks its cluster something by
# kubectl and helm. No cluster is up, so both fail.
set -euo pipefail
here=$(cd "$(dirname "${BASH_SOURCE[0]}")" && pwd)
source "$here/../lib.sh"
source "$here/../cluster/in-use.sh"

export KUBECONFIG=$AMBIENT HELM_KUBECONTEXT=ambient
select_cluster tts-operator-demo none
kubectl get nodes || true
"$HELM" list --all-namespaces || true
