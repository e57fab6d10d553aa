//! Applies the built child objects, or only reads the live ones.
use std::sync::Arc;

use k8s_openapi::api::{
    apps::v1::Deployment,
    autoscaling::v2::HorizontalPodAutoscaler,
    core::v1::{Pod, Service},
};
use kube::ResourceExt as _;

use super::{
    build::{self, Resources, Workload},
    plan::PlannedDeployment,
    replicas,
};
use crate::{
    FIELD_MANAGER,
    cache::{Cache, Watched},
    children::{Children, Error},
    controllers::scope::Scope,
};

/// The live objects, from which alone the status is computed: only this module makes one.
pub struct Applied {
    /// `None` before a template was accepted for the first time.
    deployment: Option<Arc<Deployment>>,
    autoscaler: Option<Arc<HorizontalPodAutoscaler>>,
    service: Option<Arc<Service>>,
    pods: Vec<Arc<Pod>>,
}

impl Applied {
    pub fn deployment(&self) -> Option<&Deployment> {
        self.deployment.as_deref()
    }

    pub fn autoscaler(&self) -> Option<&HorizontalPodAutoscaler> {
        self.autoscaler.as_deref()
    }

    pub fn pods(&self) -> &[Arc<Pod>] {
        &self.pods
    }

    /// URL of the endpoint inside the cluster.
    pub fn endpoint(&self) -> Option<String> {
        let service = self.service.as_ref()?;
        Some(format!(
            "http://{}.{}.svc",
            service.name_any(),
            service.namespace()?
        ))
    }

    #[cfg(test)]
    pub fn for_test(deployment: Option<Deployment>, pods: Vec<Pod>) -> Self {
        Self {
            deployment: deployment.map(Arc::new),
            autoscaler: None,
            service: None,
            pods: pods.into_iter().map(Arc::new).collect(),
        }
    }
}

pub async fn apply(
    children: &Children<'_>,
    scope: &Scope,
    planned: &PlannedDeployment,
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
    children
        .ensure(&scope.service_accounts, FIELD_MANAGER, service_account)
        .await?;
    children
        .ensure(&scope.services, FIELD_MANAGER, service)
        .await?;
    children
        .ensure(
            &scope.disruption_budgets,
            FIELD_MANAGER,
            pod_disruption_budget,
        )
        .await?;
    if let Some(workload) = workload {
        let Workload {
            revision,
            network_policy,
            deployment,
            autoscaler,
        } = workload;
        // First the record: what is rolled out can be restored from then on.
        let revision = children
            .ensure(&scope.revisions, FIELD_MANAGER, revision)
            .await?;
        children
            .ensure(&scope.network_policies, FIELD_MANAGER, network_policy)
            .await?;
        // Before the Deployment: it would change a number of pods that is outside its bounds.
        if autoscaler.is_none() {
            children.delete_others(&scope.autoscalers, &[]).await?;
        }
        let live = own(children, &scope.deployments, planned);
        if let Some(part) = live.and_then(|live| replicas::hand_over(&live, &deployment)) {
            children
                .apply_part(
                    &scope.deployments,
                    replicas::KEEPER,
                    &planned.tts.name,
                    &part,
                )
                .await?;
        }
        children
            .ensure(&scope.deployments, FIELD_MANAGER, deployment)
            .await?;
        // After the Deployment, for the same reason.
        if let Some(autoscaler) = autoscaler {
            children
                .ensure(&scope.autoscalers, FIELD_MANAGER, autoscaler)
                .await?;
        }
        children
            .delete_others(&scope.revisions, &[&revision.name_any()])
            .await?;
    }
    Ok(read(children, scope, planned))
}

/// Reads the live objects without writing.
pub fn read(children: &Children<'_>, scope: &Scope, planned: &PlannedDeployment) -> Applied {
    let selector = build::selector(planned);
    Applied {
        deployment: own(children, &scope.deployments, planned),
        autoscaler: own(children, &scope.autoscalers, planned),
        service: own(children, &scope.services, planned),
        pods: scope.pods.filter(|pod| {
            pod.namespace().as_deref() == Some(planned.tts.namespace.as_str())
                && selector
                    .iter()
                    .all(|(key, value)| pod.labels().get(key) == Some(value))
        }),
    }
}

fn own<K: Watched>(
    children: &Children<'_>,
    cache: &Cache<K>,
    planned: &PlannedDeployment,
) -> Option<Arc<K>> {
    cache
        .get(&planned.tts.namespace, &planned.tts.name)
        .filter(|live| children.ownership(&**live).is_ours())
}
