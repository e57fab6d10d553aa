//! What a namespace allows: `ResourceQuotas` and `LimitRanges`, as the planner's quota and policy.
use std::collections::BTreeMap;

use k8s_openapi::{
    api::core::v1::{LimitRange, LimitRangeItem, Pod, ResourceQuota, ResourceQuotaSpec},
    apimachinery::pkg::api::resource::Quantity as KubeQuantity,
};
use serde::Serialize;
use tts_crds::quantity::Quantity;
use tts_planner::{Policy, Quota};

use super::{
    occupancy,
    requests::{self, Amount, Resources, cores, mebibytes},
};

/// What pods of a deployment take of their namespace's quota now.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq)]
pub struct Taken {
    pub amount: Amount,
    pub gpus: u32,
    pub pods: u32,
}

/// What these pods take, those without a node included; `gpu_resource` is what they request GPUs by.
pub fn taken(pods: &[Pod], gpu_resource: &str) -> Taken {
    let specs = pods.iter().filter_map(occupancy::unfinished);
    specs.fold(Taken::default(), |sum, spec| Taken {
        amount: sum.amount.plus(requests::of_pod(spec)),
        gpus: sum
            .gpus
            .saturating_add(requests::devices(spec, gpu_resource)),
        pods: sum.pods.saturating_add(1),
    })
}

/// What a namespace leaves to one deployment, its running pods included, and what each of its pods may be.
#[derive(Clone, Copy, Debug, Default, PartialEq, Serialize)]
#[serde(rename_all = "camelCase")]
pub struct NamespaceLimits {
    pub quota: Quota,
    /// Pods without a CPU limit would be refused, or given a limit that nobody measured with.
    pub cpu_limit_required: bool,
    /// Cores and MiB.
    pub max_cpu_per_pod: Option<f64>,
    pub max_memory_per_pod: Option<f64>,
    pub min_cpu_per_pod: f64,
    pub min_memory_per_pod: f64,
}

impl NamespaceLimits {
    /// Tightens a policy; what it already forbids stays forbidden.
    pub fn apply(&self, policy: &mut Policy) {
        policy.cpu_limit_required |= self.cpu_limit_required;
        policy.max_cpu_per_pod = least(policy.max_cpu_per_pod, self.max_cpu_per_pod);
        policy.max_memory_per_pod = least(policy.max_memory_per_pod, self.max_memory_per_pod);
        policy.min_cpu_per_pod = policy.min_cpu_per_pod.max(self.min_cpu_per_pod);
        policy.min_memory_per_pod = policy.min_memory_per_pod.max(self.min_memory_per_pod);
    }
}

/// Reads the quotas and limit ranges of one namespace. `own`: what the deployment's running pods take.
///
/// Where CPU or memory limits are counted too, the pod's limit is what a quota has less of; limits are taken for requests
/// then, which is exact for memory and for Guaranteed pods, and too generous by a core per pod for CPU of others.
/// Not read: quotas for other priority classes or for pods that end, which do not count the server's pods, and a limit
/// range's greatest ratio of limit and request.
pub fn namespace_limits(
    quotas: &[ResourceQuota],
    ranges: &[LimitRange],
    gpu_resource: &str,
    own: Taken,
) -> NamespaceLimits {
    let mut limits = NamespaceLimits::default();
    for quota in quotas {
        let Some(spec) = quota.spec.as_ref().filter(|spec| counts_servers(spec)) else {
            continue;
        };
        let status = quota.status.as_ref();
        let hard = status
            .and_then(|status| status.hard.as_ref())
            .or(spec.hard.as_ref());
        let used = status.and_then(|status| status.used.as_ref());
        limits.cpu_limit_required |= hard.is_some_and(|hard| hard.contains_key("limits.cpu"));
        let left = Left { hard, used };
        let total = &mut limits.quota;
        for name in ["cpu", "requests.cpu", "limits.cpu"] {
            let milli = left.of(name, own.amount.milli, Quantity::milli);
            total.cpu = least(total.cpu, milli.map(cores));
        }
        for name in ["memory", "requests.memory", "limits.memory"] {
            let bytes = left.of(name, own.amount.bytes, Quantity::bytes);
            total.memory = least(total.memory, bytes.map(mebibytes));
        }
        let count = |name: &str, own: u32| {
            let count = left.of(name, own.into(), Quantity::bytes)?;
            Some(u32::try_from(count).unwrap_or(u32::MAX))
        };
        total.gpus = fewest(
            total.gpus,
            count(&format!("requests.{gpu_resource}"), own.gpus),
        );
        for name in ["pods", "count/pods"] {
            total.pods = fewest(total.pods, count(name, own.pods));
        }
    }
    let items = ranges.iter().filter_map(|range| range.spec.as_ref());
    for item in items.flat_map(|spec| &spec.limits) {
        add_range(&mut limits, item);
    }
    limits
}

/// A server's pod has one container, so that a limit for pods and one for containers mean the same.
fn add_range(limits: &mut NamespaceLimits, item: &LimitRangeItem) {
    if !matches!(item.type_.as_str(), "Container" | "Pod") {
        return;
    }
    let amount = |resources: Option<&Resources>, name| requests::quantity(resources, name);
    let (max, min) = (item.max.as_ref(), item.min.as_ref());
    let (most_cpu, most_memory) = (amount(max, "cpu"), amount(max, "memory"));
    // A maximum is also the default limit of containers without one.
    limits.cpu_limit_required |= most_cpu.is_some()
        || amount(item.default.as_ref(), "cpu").is_some()
        || amount(item.max_limit_request_ratio.as_ref(), "cpu").is_some();
    let most_cpu = most_cpu.map(|cpu| cores(cpu.milli()));
    let most_memory = most_memory.map(|memory| mebibytes(memory.bytes()));
    limits.max_cpu_per_pod = least(limits.max_cpu_per_pod, most_cpu);
    limits.max_memory_per_pod = least(limits.max_memory_per_pod, most_memory);
    let least_cpu = amount(min, "cpu").map_or(0.0, |cpu| cores(cpu.milli()));
    // Rounded up: what is below the minimum is refused.
    let least_memory = amount(min, "memory").map_or(0.0, |memory| {
        mebibytes(memory.bytes().saturating_add((1 << 20) - 1))
    });
    limits.min_cpu_per_pod = limits.min_cpu_per_pod.max(least_cpu);
    limits.min_memory_per_pod = limits.min_memory_per_pod.max(least_memory);
}

/// Whether a quota counts pods that run for ever, have requests, no priority class and no affinity across namespaces.
fn counts_servers(spec: &ResourceQuotaSpec) -> bool {
    let scopes = spec.scopes.iter().flatten().map(String::as_str);
    let selected = spec
        .scope_selector
        .iter()
        .filter_map(|selector| selector.match_expressions.as_ref())
        .flatten()
        .map(
            |wanted| match (wanted.scope_name.as_str(), wanted.operator.as_str()) {
                ("PriorityClass", "DoesNotExist" | "NotIn") => "NoPriorityClass",
                (scope, _) => scope,
            },
        );
    scopes.chain(selected).all(|scope| {
        matches!(
            scope,
            "NotTerminating" | "NotBestEffort" | "NoPriorityClass"
        )
    })
}

struct Left<'a> {
    hard: Option<&'a BTreeMap<String, KubeQuantity>>,
    used: Option<&'a BTreeMap<String, KubeQuantity>>,
}

impl Left<'_> {
    /// What is left of a resource, and what the deployment's own pods take of it; `None` where it has no limit.
    fn of(&self, name: &str, own: u64, value: fn(&Quantity) -> u64) -> Option<u64> {
        let hard = value(&requests::quantity(self.hard, name)?);
        let used = requests::quantity(self.used, name).map_or(0, |used| value(&used));
        // Somebody else's pods may have been counted already: never more than the whole.
        Some(hard.saturating_sub(used.saturating_sub(own)))
    }
}

fn least(a: Option<f64>, b: Option<f64>) -> Option<f64> {
    a.into_iter().chain(b).reduce(f64::min)
}

fn fewest(a: Option<u32>, b: Option<u32>) -> Option<u32> {
    a.into_iter().chain(b).min()
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::inventory::NVIDIA;

    fn limits(quotas: &str, ranges: &str, own: Taken) -> NamespaceLimits {
        let quotas: Vec<ResourceQuota> = serde_saphyr::from_str(quotas).unwrap();
        let ranges: Vec<LimitRange> = serde_saphyr::from_str(ranges).unwrap();
        namespace_limits(&quotas, &ranges, NVIDIA, own)
    }

    #[test]
    fn a_namespace_without_limits_has_none() {
        assert_eq!(
            limits("[]", "[]", Taken::default()),
            NamespaceLimits::default()
        );
    }

    #[test]
    fn what_is_left_includes_the_deployments_own_pods() {
        let pod = "{metadata: {}, spec: {nodeName: a, containers: [{name: server, resources: {requests: {cpu: 1500m, memory: 1Gi}, limits: {nvidia.com/gpu: '1'}}}]}}";
        let pods: Vec<Pod> = serde_saphyr::from_str(&format!("[{pod}, {pod}]")).unwrap();
        let own = taken(&pods, NVIDIA);
        let quota = "[{metadata: {}, spec: {hard: {requests.cpu: '10', memory: 20Gi, requests.nvidia.com/gpu: '4', pods: '20'}},
                       status: {hard: {requests.cpu: '10', memory: 20Gi, requests.nvidia.com/gpu: '4', pods: '20'},
                                used: {requests.cpu: '7', memory: 18Gi, requests.nvidia.com/gpu: '2', pods: '19'}}}]";
        let found = limits(quota, "[]", own).quota;
        assert_eq!(
            found,
            Quota {
                cpu: Some(6.0),
                memory: Some(4096.0),
                gpus: Some(4),
                pods: Some(3)
            }
        );
    }

    #[test]
    fn the_tightest_of_several_quotas_counts() {
        let quotas = "[{metadata: {}, spec: {hard: {requests.cpu: '10', count/pods: '5'}}},
                       {metadata: {}, spec: {hard: {limits.cpu: '8', pods: '7', requests.amd.com/gpu: '1'}}}]";
        let found = limits(quotas, "[]", Taken::default());
        assert_eq!(found.quota.cpu, Some(8.0));
        assert_eq!(found.quota.pods, Some(5));
        assert_eq!(found.quota.gpus, None);
        assert!(found.cpu_limit_required);
    }

    #[test]
    fn quotas_of_other_pods_do_not_count() {
        let quota =
            |scope: &str| format!("[{{metadata: {{}}, spec: {{hard: {{pods: '1'}}, {scope}}}}}]");
        for (scope, counts) in [
            ("scopes: [NotTerminating, NotBestEffort]", true),
            ("scopes: [Terminating]", false),
            ("scopes: [NotTerminating, BestEffort]", false),
            ("scopes: [CrossNamespacePodAffinity]", false),
            (
                "scopeSelector: {matchExpressions: [{scopeName: PriorityClass, operator: In, values: [high]}]}",
                false,
            ),
            (
                "scopeSelector: {matchExpressions: [{scopeName: PriorityClass, operator: DoesNotExist}]}",
                true,
            ),
            (
                "scopeSelector: {matchExpressions: [{scopeName: NotTerminating, operator: Exists}]}",
                true,
            ),
        ] {
            let found = limits(&quota(scope), "[]", Taken::default());
            assert_eq!(found.quota.pods.is_some(), counts, "{scope}");
        }
    }

    #[test]
    fn limit_ranges_bound_a_pod() {
        let ranges = "[{metadata: {}, spec: {limits: [
            {type: Container, max: {cpu: '4', memory: 8Gi}, min: {cpu: 100m, memory: '1000000'}},
            {type: Pod, max: {cpu: '3'}},
            {type: PersistentVolumeClaim, max: {storage: 1Gi, cpu: 1m}}]}}]";
        let found = limits("[]", ranges, Taken::default());
        assert_eq!(
            found,
            NamespaceLimits {
                cpu_limit_required: true,
                max_cpu_per_pod: Some(3.0),
                max_memory_per_pod: Some(8192.0),
                min_cpu_per_pod: 0.1,
                min_memory_per_pod: 1.0,
                ..NamespaceLimits::default()
            }
        );
        let mut policy = Policy {
            max_cpu_per_pod: Some(2.0),
            min_memory_per_pod: 64.0,
            ..Policy::default()
        };
        found.apply(&mut policy);
        assert_eq!(policy.max_cpu_per_pod, Some(2.0));
        assert_eq!(policy.max_memory_per_pod, Some(8192.0));
        assert!((policy.min_memory_per_pod - 64.0).abs() < 1e-9);
        assert!(policy.cpu_limit_required);
    }

    #[test]
    fn a_default_limit_would_be_given_to_pods_without_one() {
        for (limits_of, required) in [
            ("default: {cpu: 500m}", true),
            ("maxLimitRequestRatio: {cpu: '2'}", true),
            ("defaultRequest: {cpu: 500m}", false),
            ("default: {memory: 1Gi}", false),
        ] {
            let ranges = format!(
                "[{{metadata: {{}}, spec: {{limits: [{{type: Container, {limits_of}}}]}}}}]"
            );
            let found = limits("[]", &ranges, Taken::default());
            assert_eq!(found.cpu_limit_required, required, "{limits_of}");
        }
    }

    #[test]
    fn odd_quantities_are_no_limits() {
        let quota = "[{metadata: {}, spec: {hard: {requests.cpu: many, pods: '-1', requests.memory: 8Ei}}}]";
        let found = limits(quota, "[]", Taken::default());
        assert_eq!(found.quota, Quota::default());
    }

    #[test]
    fn a_quota_that_is_used_up_leaves_nothing() {
        let quota = "[{metadata: {}, spec: {hard: {pods: '1'}}, status: {hard: {pods: '1'}, used: {pods: '3'}}}]";
        assert_eq!(limits(quota, "[]", Taken::default()).quota.pods, Some(0));
    }
}
