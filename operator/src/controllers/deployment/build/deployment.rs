//! The pods that serve the voices.
use std::collections::BTreeMap;

use k8s_openapi::{
    api::apps::v1::{Deployment, DeploymentSpec, DeploymentStrategy, RollingUpdateDeployment},
    apimachinery::pkg::{apis::meta::v1::LabelSelector, util::intstr::IntOrString},
};

use super::{PlannedWorkload, metadata, selector};
use crate::controllers::deployment::{
    replicas::SETTER, rollout::TAKES_TURN, template::STARTUP_SECONDS,
};

/// How long a new pod may take, including the pull of its image and the downloads of its voices.
const PROGRESS_DEADLINE_SECONDS: i32 = STARTUP_SECONDS + 600;

pub(super) fn build(planned: &PlannedWorkload<'_>) -> Deployment {
    let accepted = planned.accepted;
    let mut metadata = metadata(planned.deployment);
    let setter: &str = planned.replicas.setter.into();
    let mut annotations = BTreeMap::from([(SETTER.to_owned(), setter.to_owned())]);
    if accepted.takes_turn {
        annotations.insert(TAKES_TURN.to_owned(), "true".to_owned());
    }
    metadata.annotations = Some(annotations);
    Deployment {
        metadata,
        spec: Some(DeploymentSpec {
            replicas: planned.replicas.number,
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
