//! [`ValidatedDeployment`] in, Kubernetes objects out: no I/O, cannot fail.
use std::collections::BTreeMap;

use k8s_openapi::{
    api::{
        apps::v1::Deployment,
        core::v1::{Service, ServiceAccount},
        networking::v1::NetworkPolicy,
        policy::v1::PodDisruptionBudget,
    },
    apimachinery::pkg::apis::meta::v1::ObjectMeta,
};

use super::validate::{ValidatedDeployment, Voices};
use crate::controllers::labels::{self, SERVER};

mod deployment;
mod network_policy;
mod pod_disruption_budget;
mod service;
mod service_account;

/// Port of the server container.
const CONTAINER_PORT: i32 = 8000;
/// Port of the Service.
const SERVICE_PORT: i32 = 80;
/// Name of the port in both.
const PORT_NAME: &str = "http";

/// The desired objects of the deployment.
pub struct Resources {
    pub service_account: ServiceAccount,
    pub service: Service,
    pub pod_disruption_budget: PodDisruptionBudget,
    /// `None` while a voice is missing or not ready: running pods are not changed.
    pub workload: Option<Workload>,
}

/// What depends on the voices.
pub struct Workload {
    pub network_policy: NetworkPolicy,
    pub deployment: Deployment,
}

pub fn build(tts: &ValidatedDeployment) -> Resources {
    Resources {
        service_account: service_account::build(tts),
        service: service::build(tts),
        pod_disruption_budget: pod_disruption_budget::build(tts),
        workload: match &tts.voices {
            Voices::Ready { served, size } => Some(Workload {
                network_policy: network_policy::build(tts, served),
                deployment: deployment::build(tts, served, size),
            }),
            Voices::NotReady { .. } => None,
        },
    }
}

/// Labels that identify the pods.
pub fn selector(tts: &ValidatedDeployment) -> BTreeMap<String, String> {
    labels::selector(SERVER, &tts.name)
}

/// URL of the endpoint inside the cluster.
pub fn endpoint(tts: &ValidatedDeployment) -> String {
    format!("http://{}.{}.svc", tts.name, tts.namespace)
}

fn metadata(tts: &ValidatedDeployment) -> ObjectMeta {
    labels::metadata(SERVER, &tts.name, &tts.name, &tts.namespace, &tts.owner)
}

#[cfg(test)]
mod tests;
