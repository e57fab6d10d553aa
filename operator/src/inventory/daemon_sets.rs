//! What runs on every node: the pods of `DaemonSets` and the kubelet's own static pods.
//!
//! Not respected, because only the scheduler or admission could tell: pod affinity and anti-affinity, host ports, the overhead
//! of a `RuntimeClass`, requests that a `LimitRange` or a webhook fills in, and nodes that are already full.
use k8s_openapi::api::{
    apps::v1::DaemonSet,
    core::v1::{Node, NodeSelectorRequirement, NodeSelectorTerm, Pod, PodSpec, Toleration},
};
use kube::ResourceExt as _;

use super::{
    requests::{self, Amount},
    taints,
};

/// Taints with this prefix tell a node's state; the controller tolerates them for every `DaemonSet`.
/// <https://kubernetes.io/docs/concepts/workloads/controllers/daemonset/#taints-and-tolerations>
const STATE: &str = "node.kubernetes.io/";

/// What the `DaemonSets` request on a node.
pub(super) fn requests(sets: &[DaemonSet], node: &Node) -> Amount {
    sets.iter()
        .filter_map(|set| set.spec.as_ref()?.template.spec.as_ref())
        .filter(|pod| runs_on(pod, node))
        .fold(Amount::default(), |sum, pod| {
            sum.plus(requests::of_pod(pod))
        })
}

/// Whether a pod belongs to a `DaemonSet`.
pub(super) fn is_of_daemon_set(pod: &Pod) -> bool {
    is_owned_by(pod, "DaemonSet")
}

/// Whether a pod is static: the kubelet runs it from a file, and it is a part of the node.
pub(super) fn is_static(pod: &Pod) -> bool {
    is_owned_by(pod, "Node")
        || pod
            .annotations()
            .contains_key("kubernetes.io/config.mirror")
}

fn is_owned_by(pod: &Pod, kind: &str) -> bool {
    pod.owner_references()
        .iter()
        .any(|owner| owner.kind == kind && owner.controller == Some(true))
}

fn runs_on(pod: &PodSpec, node: &Node) -> bool {
    let mut labels = pod.node_selector.iter().flatten();
    if !labels.all(|(key, value)| node.labels().get(key) == Some(value)) {
        return false;
    }
    let required = pod
        .affinity
        .as_ref()
        .and_then(|affinity| affinity.node_affinity.as_ref())
        .and_then(|affinity| {
            affinity
                .required_during_scheduling_ignored_during_execution
                .as_ref()
        });
    if let Some(required) = required {
        let mut terms = required.node_selector_terms.iter();
        if !terms.any(|term| matches(term, node)) {
            return false;
        }
    }
    let tolerations: &[Toleration] = pod.tolerations.as_deref().unwrap_or_default();
    taints::of(node)
        .iter()
        .filter(|taint| !taint.key.starts_with(STATE))
        .all(|taint| taints::tolerated(taint, tolerations))
}

/// An empty term matches no node.
fn matches(term: &NodeSelectorTerm, node: &Node) -> bool {
    let expressions = term.match_expressions.as_deref().unwrap_or_default();
    let fields = term.match_fields.as_deref().unwrap_or_default();
    let name = node.name_any();
    !(expressions.is_empty() && fields.is_empty())
        && expressions
            .iter()
            .all(|wanted| holds(wanted, node.labels().get(&wanted.key)))
        // `metadata.name` is the only field there is.
        && fields.iter().all(|wanted| holds(wanted, Some(&name)))
}

fn holds(wanted: &NodeSelectorRequirement, value: Option<&String>) -> bool {
    let values = wanted.values.as_deref().unwrap_or_default();
    let is_in = || value.is_some_and(|value| values.contains(value));
    let number = |text: &String| text.parse::<i64>().ok();
    let compared = || number(value?).zip(number(values.first()?));
    match wanted.operator.as_str() {
        "In" => is_in(),
        "NotIn" => !is_in(),
        "Exists" => value.is_some(),
        "DoesNotExist" => value.is_none(),
        "Gt" => compared().is_some_and(|(is, limit)| is > limit),
        "Lt" => compared().is_some_and(|(is, limit)| is < limit),
        _ => false,
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    fn node() -> Node {
        serde_saphyr::from_str(
            "{metadata: {name: ash, labels: {kubernetes.io/os: linux, disk: ssd, cores: '16'}},
              spec: {taints: [{key: pool, value: speech, effect: NoSchedule}, {key: node.kubernetes.io/not-ready, effect: NoExecute},
                              {key: spot, effect: PreferNoSchedule}]}}",
        )
        .unwrap()
    }

    fn runs(spec: &str) -> bool {
        let tolerations = "tolerations: [{key: pool, operator: Exists}]";
        let spec = serde_saphyr::from_str(&format!("{{containers: [], {tolerations}, {spec}}}"));
        runs_on(&spec.unwrap(), &node())
    }

    fn affine(term: &str) -> bool {
        runs(&format!(
            "affinity: {{nodeAffinity: {{requiredDuringSchedulingIgnoredDuringExecution: {{nodeSelectorTerms: [{term}]}}}}}}"
        ))
    }

    #[test]
    fn selectors_are_respected() {
        assert!(runs("nodeSelector: {kubernetes.io/os: linux}"));
        assert!(!runs("nodeSelector: {kubernetes.io/os: windows}"));
        assert!(!runs("nodeSelector: {missing: ''}"));
    }

    #[test]
    fn affinity_is_respected() {
        for (expression, expected) in [
            ("{key: disk, operator: In, values: [hdd, ssd]}", true),
            ("{key: disk, operator: NotIn, values: [ssd]}", false),
            ("{key: missing, operator: NotIn, values: [ssd]}", true),
            ("{key: disk, operator: Exists}", true),
            ("{key: disk, operator: DoesNotExist}", false),
            ("{key: cores, operator: Gt, values: ['8']}", true),
            ("{key: cores, operator: Lt, values: ['8']}", false),
            ("{key: disk, operator: Gt, values: ['8']}", false),
            ("{key: disk, operator: Resembles}", false),
        ] {
            assert_eq!(
                affine(&format!("{{matchExpressions: [{expression}]}}")),
                expected,
                "{expression}"
            );
        }
        assert!(affine(
            "{matchFields: [{key: metadata.name, operator: In, values: [ash]}]}"
        ));
        assert!(!affine(
            "{matchFields: [{key: metadata.name, operator: In, values: [birch]}]}"
        ));
        assert!(!affine("{}"), "an empty term matches nothing");
        assert!(
            affine("{}, {matchExpressions: [{key: disk, operator: Exists}]}"),
            "one term is enough"
        );
    }

    #[test]
    fn taints_of_a_pool_have_to_be_tolerated_but_not_those_of_a_state() {
        let pod = serde_saphyr::from_str("{containers: []}").unwrap();
        assert!(!runs_on(&pod, &node()));
        assert!(runs("hostNetwork: false"));
    }
}
