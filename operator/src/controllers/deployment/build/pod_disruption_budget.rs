//! How many pods node drains may evict at once.
use k8s_openapi::{
    api::policy::v1::{PodDisruptionBudget, PodDisruptionBudgetSpec},
    apimachinery::pkg::{apis::meta::v1::LabelSelector, util::intstr::IntOrString},
};

use super::{PlannedDeployment, metadata, selector};

pub(super) fn build(planned: &PlannedDeployment) -> PodDisruptionBudget {
    PodDisruptionBudget {
        metadata: metadata(planned),
        spec: Some(PodDisruptionBudgetSpec {
            // Not minAvailable: with one replica it would block every drain forever.
            max_unavailable: Some(IntOrString::Int(1)),
            selector: Some(LabelSelector {
                match_labels: Some(selector(planned)),
                ..LabelSelector::default()
            }),
            // Evicting a pod that does not serve does no harm.
            unhealthy_pod_eviction_policy: Some("AlwaysAllow".to_owned()),
            ..PodDisruptionBudgetSpec::default()
        }),
        status: None,
    }
}
