//! [`PlannedDeployment`] in, Kubernetes objects out: no I/O, cannot fail.
use std::collections::BTreeMap;

use k8s_openapi::{
    api::{
        apps::v1::{ControllerRevision, Deployment},
        autoscaling::v2::HorizontalPodAutoscaler,
        core::v1::{Service, ServiceAccount},
        networking::v1::NetworkPolicy,
        policy::v1::PodDisruptionBudget,
    },
    apimachinery::pkg::apis::meta::v1::ObjectMeta,
};

use super::plan::{PlannedDeployment, PlannedWorkload};
use crate::labels::{self, SERVER};

mod deployment;
mod horizontal_pod_autoscaler;
mod network_policy;
mod pod_disruption_budget;
mod revision;
mod service;
mod service_account;

/// The desired objects of the deployment.
pub struct Resources {
    pub service_account: ServiceAccount,
    pub service: Service,
    pub pod_disruption_budget: PodDisruptionBudget,
    /// `None` until a template was accepted for the first time.
    pub workload: Option<Workload>,
}

/// What depends on the accepted template.
pub struct Workload {
    pub revision: ControllerRevision,
    pub network_policy: NetworkPolicy,
    pub deployment: Deployment,
    /// `None` where the number of pods does not follow the load.
    pub autoscaler: Option<HorizontalPodAutoscaler>,
}

pub fn build(planned: &PlannedDeployment) -> Resources {
    Resources {
        service_account: service_account::build(planned),
        service: service::build(planned),
        pod_disruption_budget: pod_disruption_budget::build(planned),
        workload: planned.planned_workload().map(|planned| Workload {
            revision: revision::build(&planned),
            network_policy: network_policy::build(&planned),
            deployment: deployment::build(&planned),
            autoscaler: horizontal_pod_autoscaler::build(&planned),
        }),
    }
}

/// Labels that identify the pods.
pub fn selector(planned: &PlannedDeployment) -> BTreeMap<String, String> {
    labels::selector(SERVER, &planned.tts.name)
}

fn metadata(planned: &PlannedDeployment) -> ObjectMeta {
    let tts = &planned.tts;
    labels::metadata(SERVER, &tts.name, &tts.name, &tts.namespace, &tts.owner)
}

#[cfg(test)]
mod tests;
