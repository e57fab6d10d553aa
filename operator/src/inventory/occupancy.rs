//! What runs on the nodes now.
use std::collections::BTreeMap;

use k8s_openapi::api::core::v1::{Pod, PodSpec};
use kube::ResourceExt as _;

use super::{daemon_sets, requests};
use crate::labels;

/// What runs on a node.
#[derive(Clone, Copy, Debug, Default, PartialEq)]
pub struct Occupancy {
    /// Pods of ours that serve.
    pub serving: u32,
    /// Cores that pods request, without those that allocatable is less by already.
    pub requested: f64,
}

/// What runs on each node, by its name. `daemon_sets`: whether their requests have been subtracted from what nodes offer.
pub fn occupancy(pods: &[Pod], daemon_sets: bool) -> BTreeMap<String, Occupancy> {
    let mut nodes: BTreeMap<String, Occupancy> = BTreeMap::new();
    for (node, pod, spec) in running(pods) {
        let entry = nodes.entry(node.to_owned()).or_default();
        if pod.labels().get(labels::NAME).map(String::as_str) == Some(labels::SERVER.name) {
            entry.serving += 1;
        }
        if !is_subtracted(pod, daemon_sets) {
            entry.requested += requests::of_pod(spec).cores();
        }
    }
    nodes
}

/// What a pod asks for, until it ends.
pub(super) fn unfinished(pod: &Pod) -> Option<&PodSpec> {
    let phase = pod
        .status
        .as_ref()
        .and_then(|status| status.phase.as_deref());
    let ended = matches!(phase, Some("Succeeded" | "Failed"));
    pod.spec.as_ref().filter(|_| !ended)
}

/// Pods that take something of a node, and that node's name.
pub(super) fn running(pods: &[Pod]) -> impl Iterator<Item = (&str, &Pod, &PodSpec)> {
    pods.iter().filter_map(|pod| {
        let spec = unfinished(pod)?;
        Some((spec.node_name.as_deref()?, pod, spec))
    })
}

/// Whether what the pod requests is subtracted from what its node offers.
pub(super) fn is_subtracted(pod: &Pod, daemon_sets: bool) -> bool {
    daemon_sets::is_static(pod) || daemon_sets && daemon_sets::is_of_daemon_set(pod)
}

/// Whether the pod is this operator's: it inspects, measures, or serves, as one of `deployment` where that is given.
pub(super) fn is_own(pod: &Pod, deployment: Option<(&str, &str)>) -> bool {
    let name = pod.labels().get(labels::NAME).map(String::as_str);
    let serves = name == Some(labels::SERVER.name);
    let passes = [labels::INSPECTION, labels::BENCHMARK]
        .iter()
        .any(|role| name == Some(role.name));
    let in_question = deployment.is_none_or(|(namespace, name)| {
        pod.namespace().as_deref() == Some(namespace)
            && pod.labels().get(labels::INSTANCE).map(String::as_str) == Some(name)
    });
    passes || serves && in_question
}

#[cfg(test)]
mod tests {
    use super::*;

    fn pods() -> Vec<Pod> {
        let daemon = "ownerReferences: [{apiVersion: apps/v1, kind: DaemonSet, name: d, uid: u, controller: true}]";
        let text = format!(
            "[{{metadata: {{labels: {{app.kubernetes.io/name: tts-server}}}}, spec: {{nodeName: a, containers: [{{name: c, resources: {{requests: {{cpu: 250m}}}}}}, {{name: d, resources: {{requests: {{cpu: '1'}}}}}}]}}, status: {{phase: Running}}}},
              {{metadata: {{}}, spec: {{nodeName: a, containers: [{{name: c, resources: {{requests: {{cpu: '2'}}}}}}]}}, status: {{phase: Succeeded}}}},
              {{metadata: {{{daemon}}}, spec: {{nodeName: a, containers: [{{name: c, resources: {{requests: {{cpu: 100m}}}}}}]}}}},
              {{metadata: {{annotations: {{kubernetes.io/config.mirror: x}}}}, spec: {{nodeName: a, containers: [{{name: c, resources: {{requests: {{cpu: 100m}}}}}}]}}}},
              {{metadata: {{}}, spec: {{containers: [{{name: c}}]}}}}]"
        );
        serde_saphyr::from_str(&text).unwrap()
    }

    #[test]
    fn pods_that_ended_or_were_subtracted_take_nothing() {
        let found = occupancy(&pods(), true);
        assert_eq!(found.len(), 1);
        assert_eq!(
            found["a"],
            Occupancy {
                serving: 1,
                requested: 1.25
            }
        );
    }

    #[test]
    fn pods_of_daemon_sets_that_were_not_subtracted_count() {
        let requested = occupancy(&pods(), false)["a"].requested;
        assert!((requested - 1.35).abs() < 1e-9, "{requested}");
    }
}
