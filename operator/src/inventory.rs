//! Nodes and their classes: nodes of one class are interchangeable for a measurement.
use std::collections::BTreeMap;

use k8s_openapi::api::core::v1::{Node, Pod, Taint, Toleration};
use kube::ResourceExt as _;
use tts_crds::quantity::Quantity;

use crate::labels;

/// A user's own name for the class of a node.
const CLASS: &str = "tts-operator.dev/node-class";
/// Labels that name a kind of machine, the most specific first.
const KINDS: [&str; 3] = [
    "nvidia.com/gpu.product",
    "node.kubernetes.io/instance-type",
    "beta.kubernetes.io/instance-type",
];

/// The class of a node: the user's own label, the GPU's product, the instance type, else architecture and size.
pub fn class_of(node: &Node) -> String {
    let label = |name: &str| node.labels().get(name).filter(|value| !value.is_empty());
    if let Some(class) = label(CLASS) {
        return class.clone();
    }
    let named = KINDS.iter().find_map(|name| label(name));
    // Kind, minikube and k3s write the name of the distribution here, which says nothing about the machine.
    let named = named.filter(|name| !matches!(name.as_str(), "k3s" | "kind" | "minikube"));
    let name = named.map_or_else(
        || {
            let arch = label("kubernetes.io/arch").map_or("unknown", String::as_str);
            format!("{arch}-{:.0}-cpu", allocatable_cpu(node).ceil())
        },
        Clone::clone,
    );
    let characters = name
        .chars()
        .map(|character| match character.to_ascii_lowercase() {
            character if character.is_ascii_alphanumeric() => character,
            _ => '-',
        });
    let name: String = characters.take(63).collect();
    name.trim_matches('-').to_owned()
}

/// Cores that pods can have.
pub fn allocatable_cpu(node: &Node) -> f64 {
    node.status
        .as_ref()
        .and_then(|status| status.allocatable.as_ref()?.get("cpu"))
        .map_or(0.0, |cpu| cores(&cpu.0))
}

fn cores(text: &str) -> f64 {
    Quantity::parse(text).map_or(0.0, |cpu| {
        #[expect(clippy::cast_precision_loss, reason = "thousandths of cores")]
        let milli = cpu.milli() as f64;
        milli / 1000.0
    })
}

/// Why pods with these tolerations cannot be scheduled to a node; `None` if they can.
pub fn unusable(node: &Node, tolerations: &[Toleration]) -> Option<String> {
    let spec = node.spec.as_ref();
    if spec.and_then(|spec| spec.unschedulable) == Some(true) {
        return Some("cordoned".to_owned());
    }
    let taint = spec
        .and_then(|spec| spec.taints.as_ref())
        .into_iter()
        .flatten()
        .filter(|taint| taint.effect != "PreferNoSchedule")
        .find(|taint| {
            !tolerations
                .iter()
                .any(|toleration| tolerates(toleration, taint))
        });
    if let Some(taint) = taint {
        return Some(format!("taint {}:{}", taint.key, taint.effect));
    }
    let ready = node
        .status
        .iter()
        .filter_map(|status| status.conditions.as_ref())
        .flatten()
        .any(|condition| condition.type_ == "Ready" && condition.status == "True");
    (!ready).then(|| "not ready".to_owned())
}

/// Whether a toleration matches a taint: no key matches each key, no effect each effect.
fn tolerates(toleration: &Toleration, taint: &Taint) -> bool {
    let key = toleration.key.as_deref().unwrap_or_default();
    let effect = toleration.effect.as_deref().unwrap_or_default();
    let value = match toleration.operator.as_deref() {
        Some("Exists") => true,
        None | Some("Equal" | "") => {
            !key.is_empty()
                && toleration.value.as_deref().unwrap_or_default()
                    == taint.value.as_deref().unwrap_or_default()
        }
        Some(_) => false,
    };
    value && (key.is_empty() || key == taint.key) && (effect.is_empty() || effect == taint.effect)
}

/// What runs on a node.
#[derive(Clone, Copy, Debug, Default, PartialEq)]
pub struct Occupancy {
    /// Pods of ours that serve.
    pub serving: u32,
    /// Cores that all pods request.
    pub requested: f64,
}

/// What runs on each node, by its name.
pub fn occupancy(pods: &[Pod]) -> BTreeMap<String, Occupancy> {
    let mut nodes: BTreeMap<String, Occupancy> = BTreeMap::new();
    for pod in pods {
        let phase = pod
            .status
            .as_ref()
            .and_then(|status| status.phase.as_deref());
        let Some(spec) = pod
            .spec
            .as_ref()
            .filter(|_| !matches!(phase, Some("Succeeded" | "Failed")))
        else {
            continue;
        };
        let Some(node) = &spec.node_name else {
            continue;
        };
        let entry = nodes.entry(node.clone()).or_default();
        if pod.labels().get(labels::NAME).map(String::as_str) == Some(labels::SERVER.name) {
            entry.serving += 1;
        }
        let requests = spec
            .containers
            .iter()
            .filter_map(|container| container.resources.as_ref()?.requests.as_ref()?.get("cpu"));
        entry.requested += requests.map(|cpu| cores(&cpu.0)).sum::<f64>();
    }
    nodes
}

#[cfg(test)]
mod tests {
    use super::*;

    fn node(text: &str) -> Node {
        serde_saphyr::from_str(text).unwrap()
    }

    #[test]
    fn classes_come_from_the_most_specific_label() {
        for (labels, class) in [
            (
                "{tts-operator.dev/node-class: strong, node.kubernetes.io/instance-type: m6i.large}",
                "strong",
            ),
            (
                "{nvidia.com/gpu.product: Tesla-T4, node.kubernetes.io/instance-type: g4dn.xlarge}",
                "tesla-t4",
            ),
            ("{node.kubernetes.io/instance-type: m6i.large}", "m6i-large"),
            (
                "{node.kubernetes.io/instance-type: k3s, kubernetes.io/arch: arm64}",
                "arm64-4-cpu",
            ),
            ("{kubernetes.io/arch: amd64}", "amd64-4-cpu"),
        ] {
            let node = node(&format!(
                "{{metadata: {{labels: {labels}}}, status: {{allocatable: {{cpu: 3920m}}}}}}"
            ));
            assert_eq!(class_of(&node), class);
        }
    }

    #[test]
    fn nodes_that_take_no_pods_say_why() {
        let ready = "status: {conditions: [{type: Ready, status: 'True'}]}";
        let reason = |spec: &str, status: &str| {
            let node = node(&format!("{{metadata: {{}}, spec: {spec}, {status}}}"));
            unusable(&node, &[])
        };
        assert_eq!(reason("{}", ready), None);
        assert_eq!(
            reason("{unschedulable: true}", ready).as_deref(),
            Some("cordoned")
        );
        assert_eq!(
            reason("{taints: [{key: gpu, effect: NoSchedule}]}", ready).as_deref(),
            Some("taint gpu:NoSchedule")
        );
        assert_eq!(
            reason("{taints: [{key: spot, effect: PreferNoSchedule}]}", ready),
            None
        );
        assert_eq!(reason("{}", "status: {}").as_deref(), Some("not ready"));
    }

    #[test]
    fn tolerated_taints_keep_no_pod_away() {
        let node = node(
            "{metadata: {}, spec: {taints: [{key: gpu, value: l4, effect: NoSchedule}]}, status: {conditions: [{type: Ready, status: 'True'}]}}",
        );
        for (toleration, usable) in [
            ("{operator: Exists}", true),
            ("{key: gpu, operator: Exists}", true),
            ("{key: gpu, value: l4}", true),
            (
                "{key: gpu, operator: Equal, value: l4, effect: NoSchedule}",
                true,
            ),
            ("{key: gpu, value: t4}", false),
            ("{key: cpu, operator: Exists}", false),
            ("{key: gpu, operator: Exists, effect: NoExecute}", false),
            ("{key: gpu, operator: Gt, value: '1'}", false),
            ("{value: l4}", false),
        ] {
            let tolerations = [serde_saphyr::from_str(toleration).unwrap()];
            let found = unusable(&node, &tolerations);
            assert_eq!(found.is_none(), usable, "{toleration}: {found:?}");
        }
    }

    #[test]
    fn pods_that_ended_take_nothing() {
        let pods: Vec<Pod> = serde_saphyr::from_str(
            "[{metadata: {labels: {app.kubernetes.io/name: tts-server}}, spec: {nodeName: a, containers: [{name: c, resources: {requests: {cpu: 250m}}}, {name: d, resources: {requests: {cpu: '1'}}}]}, status: {phase: Running}},
              {metadata: {}, spec: {nodeName: a, containers: [{name: c, resources: {requests: {cpu: '2'}}}]}, status: {phase: Succeeded}},
              {metadata: {}, spec: {containers: [{name: c}]}}]",
        )
        .unwrap();
        let found = occupancy(&pods);
        assert_eq!(found.len(), 1);
        assert_eq!(
            found["a"],
            Occupancy {
                serving: 1,
                requested: 1.25
            }
        );
    }
}
