//! The pods that serve the voices.
use std::collections::BTreeMap;

use k8s_openapi::{
    api::apps::v1::{Deployment, DeploymentSpec, DeploymentStrategy, RollingUpdateDeployment},
    apimachinery::pkg::{apis::meta::v1::LabelSelector, util::intstr::IntOrString},
};

use super::{PlannedWorkload, metadata, selector};
use crate::controllers::deployment::{
    rollout::TAKES_TURN, template::STARTUP_SECONDS, validate::Scaling,
};

/// How long a new pod may take, including the pull of its image and the downloads of its voices.
const PROGRESS_DEADLINE_SECONDS: i32 = STARTUP_SECONDS + 600;

/// Until an autoscaler takes over, a planned deployment has the pods that its peak needs.
fn replicas(planned: &PlannedWorkload<'_>) -> Option<i32> {
    let accepted = planned.accepted;
    match planned.deployment.tts.scaling {
        Scaling::Static(replicas) => Some(replicas),
        Scaling::External => None,
        Scaling::Auto => {
            let plan = accepted
                .plan
                .as_ref()
                .filter(|_| accepted.considered.is_some());
            let planned = plan.map_or(1, |stored| stored.plan.replicas.fixed());
            Some(i32::try_from(planned).unwrap_or(i32::MAX))
        }
    }
}

pub(super) fn build(planned: &PlannedWorkload<'_>) -> Deployment {
    let accepted = planned.accepted;
    let mut metadata = metadata(planned.deployment);
    if accepted.takes_turn {
        metadata.annotations = Some(BTreeMap::from([(TAKES_TURN.to_owned(), "true".to_owned())]));
    }
    Deployment {
        metadata,
        spec: Some(DeploymentSpec {
            replicas: replicas(planned),
            revision_history_limit: Some(3),
            progress_deadline_seconds: Some(PROGRESS_DEADLINE_SECONDS),
            selector: LabelSelector {
                match_labels: Some(selector(planned.deployment)),
                ..LabelSelector::default()
            },
            // A new pod is ready before an old one is removed: a rollout loses no capacity.
            strategy: Some(DeploymentStrategy {
                type_: Some("RollingUpdate".to_owned()),
                rolling_update: Some(RollingUpdateDeployment {
                    max_surge: Some(IntOrString::Int(1)),
                    max_unavailable: Some(IntOrString::Int(0)),
                }),
            }),
            template: accepted.template.clone(),
            ..DeploymentSpec::default()
        }),
        status: None,
    }
}
