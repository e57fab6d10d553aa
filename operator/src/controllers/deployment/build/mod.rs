//! [`PlannedDeployment`] in, Kubernetes objects out: no I/O, cannot fail.
use std::collections::BTreeMap;

use k8s_openapi::{
    api::{
        apps::v1::{ControllerRevision, Deployment},
        core::v1::{Service, ServiceAccount},
        networking::v1::NetworkPolicy,
        policy::v1::PodDisruptionBudget,
    },
    apimachinery::pkg::apis::meta::v1::ObjectMeta,
};

use super::{plan::PlannedDeployment, validate::ValidatedDeployment};
use crate::controllers::labels::{self, SERVER};

mod deployment;
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
}

pub fn build(planned: &PlannedDeployment) -> Resources {
    let tts = &planned.tts;
    Resources {
        service_account: service_account::build(tts),
        service: service::build(tts),
        pod_disruption_budget: pod_disruption_budget::build(tts),
        workload: planned.workload.as_ref().map(|workload| Workload {
            revision: revision::build(planned, workload),
            network_policy: network_policy::build(tts, &workload.accepted),
            deployment: deployment::build(planned, &workload.accepted),
        }),
    }
}

/// Labels that identify the pods.
pub fn selector(tts: &ValidatedDeployment) -> BTreeMap<String, String> {
    labels::selector(SERVER, &tts.name)
}

fn metadata(tts: &ValidatedDeployment) -> ObjectMeta {
    labels::metadata(SERVER, &tts.name, &tts.name, &tts.namespace, &tts.owner)
}

#[cfg(test)]
mod tests;
