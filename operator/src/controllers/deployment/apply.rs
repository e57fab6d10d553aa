//! Applies the built child objects, or only reads the live ones.
use k8s_openapi::api::{apps::v1::Deployment, core::v1::Pod};

use super::{
    build::{self, Resources, Workload},
    validate::ValidatedDeployment,
};
use crate::{
    children::{Children, Error},
    controllers::labels,
};

/// The live objects, from which alone the status is computed.
pub struct Applied {
    /// `None` before the voices were ready for the first time.
    pub deployment: Option<Deployment>,
    pub pods: Vec<Pod>,
}

pub async fn apply(
    children: &Children<'_>,
    tts: &ValidatedDeployment,
    desired: Resources,
) -> Result<Applied, Error> {
    // No `..`: a new kind of child that is not applied does not compile.
    let Resources {
        service_account,
        service,
        pod_disruption_budget,
        workload,
    } = desired;

    // Before the pods: their ServiceAccount, and what protects them from the start.
    children.ensure(service_account).await?;
    children.ensure(service).await?;
    children.ensure(pod_disruption_budget).await?;
    match workload {
        Some(Workload {
            network_policy,
            deployment,
        }) => {
            children.ensure(network_policy).await?;
            let deployment = children.ensure(deployment).await?;
            Ok(Applied {
                deployment: Some(deployment),
                pods: children.list(&pods_of(tts)).await?,
            })
        }
        None => read_live(children, tts).await,
    }
}

fn pods_of(tts: &ValidatedDeployment) -> String {
    labels::to_selector(&build::selector(tts))
}

/// Reads the live objects without writing.
pub async fn read_live(
    children: &Children<'_>,
    tts: &ValidatedDeployment,
) -> Result<Applied, Error> {
    Ok(Applied {
        deployment: children.get(&tts.name).await?,
        pods: children.list(&pods_of(tts)).await?,
    })
}
