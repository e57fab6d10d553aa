//! What pods request, as the scheduler counts it.
use std::collections::BTreeMap;

use k8s_openapi::{
    api::core::v1::{PodSpec, ResourceRequirements},
    apimachinery::pkg::api::resource::Quantity as KubeQuantity,
};
use tts_crds::quantity::Quantity;

pub(super) type Resources = BTreeMap<String, KubeQuantity>;

/// CPU and memory.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq)]
pub struct Amount {
    /// Thousandths of cores.
    pub milli: u64,
    pub bytes: u64,
}

impl Amount {
    pub(super) fn of(resources: Option<&Resources>) -> Self {
        Self {
            milli: quantity(resources, "cpu").map_or(0, |cpu| cpu.milli()),
            bytes: quantity(resources, "memory").map_or(0, |memory| memory.bytes()),
        }
    }

    pub fn cores(self) -> f64 {
        cores(self.milli)
    }

    /// Whole MiB.
    pub fn mebibytes(self) -> f64 {
        mebibytes(self.bytes)
    }

    pub(super) fn plus(self, other: Self) -> Self {
        Self {
            milli: self.milli.saturating_add(other.milli),
            bytes: self.bytes.saturating_add(other.bytes),
        }
    }

    /// What is left; never negative.
    pub(super) fn minus(self, other: Self) -> Self {
        Self {
            milli: self.milli.saturating_sub(other.milli),
            bytes: self.bytes.saturating_sub(other.bytes),
        }
    }

    fn max(self, other: Self) -> Self {
        Self {
            milli: self.milli.max(other.milli),
            bytes: self.bytes.max(other.bytes),
        }
    }
}

#[expect(clippy::cast_precision_loss, reason = "thousandths of cores")]
pub(super) fn cores(milli: u64) -> f64 {
    milli as f64 / 1000.0
}

/// Whole MiB, rounded down.
#[expect(clippy::cast_precision_loss, reason = "mebibytes")]
pub(super) fn mebibytes(bytes: u64) -> f64 {
    (bytes >> 20) as f64
}

/// A resource; `None` where it is missing or its text is no quantity.
pub(super) fn quantity(resources: Option<&Resources>, name: &str) -> Option<Quantity> {
    Quantity::parse(&resources?.get(name)?.0).ok()
}

/// A number of devices or pods; 0 where it is missing.
pub(super) fn count(resources: Option<&Resources>, name: &str) -> u32 {
    quantity(resources, name).map_or(0, |count| u32::try_from(count.bytes()).unwrap_or(u32::MAX))
}

/// Requests of a container. One that is missing is its limit: the API server fills it in for pods, but not for templates.
fn of_container(resources: Option<&ResourceRequirements>) -> Amount {
    let Some(resources) = resources else {
        return Amount::default();
    };
    let requests = resources.requests.as_ref();
    let limits = resources.limits.as_ref();
    let either = |name| quantity(requests, name).or_else(|| quantity(limits, name));
    Amount {
        milli: either("cpu").map_or(0, |cpu| cpu.milli()),
        bytes: either("memory").map_or(0, |memory| memory.bytes()),
    }
}

/// What a pod takes of its node: the containers and sidecars together or, if more, the largest of the init containers
/// beside the sidecars that were started before it; resources of the pod as a whole replace that; overhead is added.
/// <https://kubernetes.io/docs/concepts/workloads/pods/sidecar-containers/#resource-sharing-within-containers>
pub(super) fn of_pod(spec: &PodSpec) -> Amount {
    let mut sidecars = Amount::default();
    let mut starting = Amount::default();
    for container in spec.init_containers.iter().flatten() {
        let own = of_container(container.resources.as_ref());
        if container.restart_policy.as_deref() == Some("Always") {
            sidecars = sidecars.plus(own);
        } else {
            starting = starting.max(sidecars.plus(own));
        }
    }
    let running = spec.containers.iter().fold(sidecars, |sum, container| {
        sum.plus(of_container(container.resources.as_ref()))
    });
    let mut amount = running.max(starting);
    let whole = of_container(spec.resources.as_ref());
    if whole.milli > 0 {
        amount.milli = whole.milli;
    }
    if whole.bytes > 0 {
        amount.bytes = whole.bytes;
    }
    amount.plus(Amount::of(spec.overhead.as_ref()))
}

/// Devices of a kind that a pod's containers request.
pub(super) fn devices(spec: &PodSpec, resource: &str) -> u32 {
    let of = |container: &k8s_openapi::api::core::v1::Container| {
        let resources = container.resources.as_ref();
        let limits = resources.and_then(|resources| resources.limits.as_ref());
        let requests = resources.and_then(|resources| resources.requests.as_ref());
        count(limits, resource).max(count(requests, resource))
    };
    spec.containers
        .iter()
        .fold(0, |sum: u32, container| sum.saturating_add(of(container)))
}

#[cfg(test)]
mod tests {
    use super::*;

    fn pod(text: &str) -> Amount {
        of_pod(&serde_saphyr::from_str(text).unwrap())
    }

    fn amount(milli: u64, mebi: u64) -> Amount {
        Amount {
            milli,
            bytes: mebi << 20,
        }
    }

    #[test]
    fn containers_add_up_and_limits_stand_for_requests() {
        let found = pod(
            "{containers: [{name: a, resources: {requests: {cpu: 100m, memory: 64Mi}, limits: {cpu: '2', memory: 1Gi}}},
                           {name: b, resources: {limits: {cpu: '1', memory: 32Mi}}}, {name: c}]}",
        );
        assert_eq!(found, amount(1100, 96));
    }

    #[test]
    fn init_containers_count_when_they_take_more() {
        let init = "initContainers: [{name: i, resources: {requests: {cpu: 500m, memory: 16Mi}}}]";
        let found = pod(&format!(
            "{{{init}, containers: [{{name: a, resources: {{requests: {{cpu: 100m, memory: 64Mi}}}}}}]}}"
        ));
        assert_eq!(found, amount(500, 64));
    }

    #[test]
    fn a_sidecar_runs_beside_containers_and_later_init_containers() {
        let found = pod(
            "{initContainers: [
                {name: early, resources: {requests: {cpu: 300m, memory: 300Mi}}},
                {name: proxy, restartPolicy: Always, resources: {requests: {cpu: 200m, memory: 64Mi}}},
                {name: late, resources: {requests: {cpu: 250m, memory: 8Mi}}}],
              containers: [{name: a, resources: {requests: {cpu: 100m, memory: 64Mi}}}]}",
        );
        assert_eq!(found, amount(450, 300));
    }

    #[test]
    fn resources_of_the_pod_replace_and_overhead_is_added() {
        let found = pod(
            "{overhead: {cpu: 250m, memory: 120Mi}, resources: {requests: {cpu: '1'}},
              containers: [{name: a, resources: {requests: {cpu: 100m, memory: 64Mi}}}]}",
        );
        assert_eq!(found, amount(1250, 184));
    }

    #[test]
    fn odd_quantities_count_as_nothing_or_as_very_much() {
        let found = pod(
            "{containers: [{name: a, resources: {requests: {cpu: '-1', memory: lots}}},
                           {name: b, resources: {requests: {cpu: 7E, memory: 7Ei}}},
                           {name: c, resources: {requests: {cpu: 7E, memory: 7Ei}}},
                           {name: d, resources: {requests: {cpu: 7E, memory: 7Ei}}}]}",
        );
        assert_eq!(found.milli, u64::MAX);
        assert_eq!(found.bytes, u64::MAX);
    }
}
