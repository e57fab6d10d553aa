//! Whether a node takes pods now.
use std::fmt;

use k8s_openapi::api::core::v1::{Node, Taint};
use kube::ResourceExt as _;
use serde::{Serialize, Serializer};

use super::taints;

/// Why a node takes no pods, whatever they tolerate.
#[derive(Clone, Debug, PartialEq, Eq)]
pub enum Obstacle {
    Cordoned,
    /// With what is known about the reason; may be empty.
    NotReady(String),
    /// It has a taint that is removed when it is ready.
    Starting(String),
    /// An autoscaler or the cloud is about to remove it.
    Leaving(String),
    /// Its operating system is not Linux.
    OperatingSystem(String),
    /// The class is one of GPUs, and it offers none.
    NoGpu(String),
    /// The server cannot use its GPU.
    UnsupportedGpu(String),
}

impl fmt::Display for Obstacle {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        match self {
            Self::Cordoned => f.write_str("cordoned"),
            Self::NotReady(reason) if reason.is_empty() => f.write_str("not ready"),
            Self::NotReady(reason) => write!(f, "not ready: {reason}"),
            Self::Starting(taint) => write!(f, "starting: taint {taint}"),
            Self::Leaving(reason) => write!(f, "being removed: {reason}"),
            Self::OperatingSystem(name) => write!(f, "its operating system is {name}"),
            Self::NoGpu(resource) => write!(
                f,
                "it offers no {resource}: the driver or the device plugin does not run, or its GPUs are unhealthy"
            ),
            Self::UnsupportedGpu(reason) => f.write_str(reason),
        }
    }
}

impl Serialize for Obstacle {
    fn serialize<S: Serializer>(&self, serializer: S) -> Result<S::Ok, S::Error> {
        serializer.collect_str(self)
    }
}

const UNSCHEDULABLE: &str = "node.kubernetes.io/unschedulable";
/// Taints of the node controller.
const NOT_READY: [(&str, &str); 6] = [
    ("node.kubernetes.io/not-ready", ""),
    ("node.kubernetes.io/unreachable", "unreachable"),
    (
        "node.kubernetes.io/network-unavailable",
        "network unavailable",
    ),
    ("node.kubernetes.io/disk-pressure", "disk pressure"),
    ("node.kubernetes.io/memory-pressure", "memory pressure"),
    ("node.kubernetes.io/pid-pressure", "too many processes"),
];
/// Taints until a part of the node has started.
const STARTING: [&str; 4] = [
    "node.cloudprovider.kubernetes.io/uninitialized",
    "karpenter.sh/unregistered",
    "node.cilium.io/agent-not-ready",
    "ebs.csi.aws.com/agent-not-ready",
];
/// Taints before a node is removed.
const LEAVING: [&str; 6] = [
    "ToBeDeletedByClusterAutoscaler",
    "karpenter.sh/disrupted",
    "karpenter.sh/disruption",
    "node.cloudprovider.kubernetes.io/shutdown",
    "node.kubernetes.io/out-of-service",
    "cloud.google.com/impending-node-termination",
];

/// What keeps every pod of ours off the node.
pub(super) fn obstacle(node: &Node) -> Option<Obstacle> {
    let taints = taints::of(node);
    let spec = node.spec.as_ref();
    if spec.and_then(|spec| spec.unschedulable) == Some(true)
        || taints.iter().any(|taint| taint.key == UNSCHEDULABLE)
    {
        return Some(Obstacle::Cordoned);
    }
    if node.metadata.deletion_timestamp.is_some() {
        return Some(Obstacle::Leaving("the node is being deleted".to_owned()));
    }
    let found = |key: &str| taints.iter().find(|taint| taint.key == key);
    if let Some(taint) = LEAVING.iter().find_map(|key| found(key)) {
        return Some(Obstacle::Leaving(format!("taint {}", taints::text(taint))));
    }
    // Before it is ready: a node that has just been created is neither.
    if let Some(taint) = STARTING.iter().find_map(|key| found(key)) {
        return Some(Obstacle::Starting(taints::text(taint)));
    }
    let ready = node
        .status
        .iter()
        .filter_map(|status| status.conditions.as_ref())
        .flatten()
        .find(|condition| condition.type_ == "Ready");
    let unreachable = ready.is_some_and(|ready| ready.status == "Unknown");
    if ready.is_none_or(|ready| ready.status != "True") {
        let reason = if unreachable { "unreachable" } else { "" };
        return Some(Obstacle::NotReady(reason.to_owned()));
    }
    if let Some((_, reason)) = NOT_READY.iter().find(|(key, _)| found(key).is_some()) {
        return Some(Obstacle::NotReady((*reason).to_owned()));
    }
    let system = node.labels().get("kubernetes.io/os");
    system
        .filter(|system| *system != "linux")
        .map(|system| Obstacle::OperatingSystem(system.clone()))
}

/// The taints that pods have to tolerate; those that tell the node's state are in [`obstacle`].
pub(super) fn taints_to_tolerate(node: &Node) -> Vec<Taint> {
    let mut taints = taints::of(node);
    taints.retain(|taint| {
        let key = taint.key.as_str();
        key != UNSCHEDULABLE
            && !NOT_READY.iter().any(|(state, _)| *state == key)
            && !STARTING.contains(&key)
            && !LEAVING.contains(&key)
    });
    taints
}

#[cfg(test)]
mod tests {
    use super::*;

    fn node(metadata: &str, spec: &str, status: &str) -> Node {
        serde_saphyr::from_str(&format!(
            "{{metadata: {{{metadata}}}, spec: {{{spec}}}, status: {{{status}}}}}"
        ))
        .unwrap()
    }

    const READY: &str = "conditions: [{type: Ready, status: 'True'}]";

    #[test]
    fn nodes_that_take_no_pods_say_why() {
        for (metadata, spec, status, expected) in [
            ("", "", READY, ""),
            ("", "unschedulable: true", READY, "cordoned"),
            (
                "",
                "taints: [{key: node.kubernetes.io/unschedulable, effect: NoSchedule}]",
                READY,
                "cordoned",
            ),
            ("", "", "", "not ready"),
            (
                "",
                "",
                "conditions: [{type: Ready, status: 'Unknown'}]",
                "not ready: unreachable",
            ),
            (
                "",
                "taints: [{key: node.kubernetes.io/disk-pressure, effect: NoSchedule}]",
                READY,
                "not ready: disk pressure",
            ),
            (
                "",
                "taints: [{key: node.cilium.io/agent-not-ready, effect: NoExecute}]",
                "",
                "starting: taint node.cilium.io/agent-not-ready:NoExecute",
            ),
            (
                "",
                "taints: [{key: ToBeDeletedByClusterAutoscaler, value: '1764', effect: NoSchedule}]",
                READY,
                "being removed: taint ToBeDeletedByClusterAutoscaler=1764:NoSchedule",
            ),
            (
                "deletionTimestamp: '2026-01-01T00:00:00Z'",
                "",
                READY,
                "being removed: the node is being deleted",
            ),
            (
                "labels: {kubernetes.io/os: windows}",
                "",
                READY,
                "its operating system is windows",
            ),
            // A taint that pods may tolerate is none.
            ("", "taints: [{key: gpu, effect: NoSchedule}]", READY, ""),
        ] {
            let found = obstacle(&node(metadata, spec, status));
            let text = found.map_or_else(String::new, |obstacle| obstacle.to_string());
            assert_eq!(text, expected, "{metadata} {spec} {status}");
        }
    }

    #[test]
    fn only_taints_of_a_purpose_have_to_be_tolerated() {
        let spec = "taints: [{key: node.kubernetes.io/not-ready, effect: NoExecute}, {key: spot, effect: PreferNoSchedule},
                             {key: pool, value: gpu, effect: NoSchedule}]";
        let found: Vec<String> = taints_to_tolerate(&node("", spec, READY))
            .iter()
            .map(taints::text)
            .collect();
        assert_eq!(found, ["pool=gpu:NoSchedule"]);
    }
}
