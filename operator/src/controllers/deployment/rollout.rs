//! The progress of a rollout, according to the live Deployment and its pods. Pure.
use std::{sync::Arc, time::Duration};

use jiff::Timestamp;
use k8s_openapi::api::apps::v1::Deployment;
use k8s_openapi::api::core::v1::Pod;
use kube::ResourceExt as _;

use crate::{
    jobs::since,
    pods::{self, Trouble},
};

/// Annotation of the Deployment: its last rollout counts against the budget while it lasts.
pub const TAKES_TURN: &str = "tts-operator.dev/takes-turn";

/// Progress of the rollout.
#[derive(Debug, Default, PartialEq, Eq)]
pub struct Rollout {
    pub exists: bool,
    pub wanted: i32,
    pub replicas: i32,
    pub updated: i32,
    pub ready: i32,
    pub available: i32,
    /// Whether the Deployment controller has seen the current template and replica count.
    current: bool,
    /// Why the Deployment controller gave up.
    failure: Option<String>,
    /// Why a pod does not run, for the first such pod.
    trouble: Option<Trouble>,
}

impl Rollout {
    pub fn of(deployment: Option<&Deployment>, pods: &[Arc<Pod>]) -> Self {
        let Some(deployment) = deployment else {
            return Self::default();
        };
        let status = deployment.status.clone().unwrap_or_default();
        let mut living: Vec<_> = pods
            .iter()
            .filter(|pod| pod.metadata.deletion_timestamp.is_none())
            .collect();
        living.sort_by_key(|pod| pod.name_any());
        Self {
            exists: true,
            wanted: deployment
                .spec
                .as_ref()
                .and_then(|spec| spec.replicas)
                .unwrap_or(1),
            replicas: status.replicas.unwrap_or(0),
            updated: status.updated_replicas.unwrap_or(0),
            ready: status.ready_replicas.unwrap_or(0),
            available: status.available_replicas.unwrap_or(0),
            current: is_current(deployment),
            failure: status
                .conditions
                .into_iter()
                .flatten()
                .find(|c| {
                    (c.type_ == "Progressing" && c.status == "False")
                        || (c.type_ == "ReplicaFailure" && c.status == "True")
                })
                .map(|c| c.message.or(c.reason).unwrap_or_default()),
            trouble: living.into_iter().find_map(|pod| {
                let trouble = pods::trouble(pod)?;
                Some(Trouble {
                    text: format!("pod {}: {}", pod.name_any(), trouble.text),
                    ..trouble
                })
            }),
        }
    }

    /// At least one pod serves, whatever the number that is wanted at the moment.
    pub fn serves(&self) -> bool {
        self.exists && self.available > 0
    }

    /// No pods, as the spec asks for.
    pub fn scaled_to_zero(&self) -> bool {
        self.exists && self.current && self.wanted == 0 && self.replicas == 0
    }

    /// All pods are those of the current template, and as many as are wanted serve.
    pub fn complete(&self) -> bool {
        self.exists
            && self.current
            && self.available >= self.wanted
            && self.updated >= self.wanted
            && self.replicas <= self.wanted
    }

    /// Why it does not go on by itself. A pod in trouble is given some time.
    pub fn stuck(&self, patience: Duration, now: Timestamp) -> Option<&str> {
        // What is known of an earlier template says nothing about this one.
        let failure = self.failure.as_deref().filter(|_| self.current);
        let trouble = self.trouble.as_ref().filter(|trouble| {
            trouble
                .since
                .is_some_and(|start| since(start, now) >= patience)
        });
        failure
            .or(trouble.map(|trouble| trouble.text.as_str()))
            .filter(|_| !self.complete())
    }

    /// When trouble that is new now has lasted for `patience`.
    pub fn stuck_in(&self, patience: Duration, now: Timestamp) -> Option<Duration> {
        let start = self.trouble.as_ref()?.since?;
        patience.checked_sub(since(start, now))
    }

    /// All pods that exist are those of the current template.
    pub fn all_updated(&self) -> bool {
        self.exists && self.current && self.updated == self.replicas
    }

    pub fn counts(&self) -> String {
        format!(
            "{} of {} pods are available, {} run the current version",
            self.available, self.wanted, self.updated
        )
    }

    /// The numbers, and why a pod does not run.
    pub fn in_words(&self) -> String {
        match &self.trouble {
            Some(trouble) => format!("{}; {}", self.counts(), trouble.text),
            None => self.counts(),
        }
    }
}

fn is_current(deployment: &Deployment) -> bool {
    let status = deployment.status.as_ref();
    status.and_then(|status| status.observed_generation) >= deployment.metadata.generation
}

/// Whether all pods that are wanted serve with the current template.
pub fn is_complete(deployment: &Deployment) -> bool {
    Rollout::of(Some(deployment), &[]).complete()
}

/// Whether this deployment is being rolled out and others have to wait for it. The Deployment controller notes
/// the end of a rollout in the condition; pods that fail later do not count.
pub fn takes_turn(deployment: &Deployment) -> bool {
    let ended = deployment
        .status
        .iter()
        .flat_map(|status| status.conditions.iter().flatten())
        .any(|c| c.type_ == "Progressing" && c.reason.as_deref() == Some("NewReplicaSetAvailable"));
    deployment.metadata.deletion_timestamp.is_none()
        && deployment.annotations().contains_key(TAKES_TURN)
        && !(ended && is_current(deployment))
}

#[cfg(test)]
mod tests {
    use super::*;

    fn deployment(yaml: &str) -> Deployment {
        serde_saphyr::from_str(yaml).unwrap()
    }

    fn rollout(yaml: &str) -> Rollout {
        Rollout::of(Some(&deployment(yaml)), &[])
    }

    #[test]
    fn a_rollout_is_complete_when_only_available_pods_of_the_current_version_are_left() {
        let complete = rollout(
            "{metadata: {generation: 2}, spec: {replicas: 2, selector: {}, template: {}}, status: {observedGeneration: 2, replicas: 2, updatedReplicas: 2, availableReplicas: 2}}",
        );
        assert!(complete.serves() && complete.complete());
        let old_pod_left = rollout(
            "{metadata: {generation: 2}, spec: {replicas: 2, selector: {}, template: {}}, status: {observedGeneration: 2, replicas: 3, updatedReplicas: 2, availableReplicas: 3}}",
        );
        assert!(old_pod_left.serves() && !old_pod_left.complete());
    }

    #[test]
    fn a_change_that_the_cluster_has_not_seen_yet_neither_completes_nor_stops_serving() {
        let unseen = rollout(
            "{metadata: {generation: 3}, spec: {replicas: 2, selector: {}, template: {}}, status: {observedGeneration: 2, replicas: 2, updatedReplicas: 2, availableReplicas: 2}}",
        );
        assert!(unseen.serves() && !unseen.complete());
    }

    #[test]
    fn a_failure_of_an_earlier_template_does_not_count() {
        let failed = |observed: i64| {
            rollout(&format!(
                "{{metadata: {{generation: 3}}, spec: {{replicas: 1, selector: {{}}, template: {{}}}}, status: {{observedGeneration: {observed}, conditions: [{{type: Progressing, status: 'False', reason: ProgressDeadlineExceeded, message: late}}]}}}}"
            ))
        };
        let stuck = |rollout: &Rollout| {
            rollout
                .stuck(Duration::ZERO, Timestamp::UNIX_EPOCH)
                .map(str::to_owned)
        };
        assert_eq!(stuck(&failed(2)), None);
        assert_eq!(stuck(&failed(3)).as_deref(), Some("late"));
    }

    #[test]
    fn a_pod_in_trouble_is_given_its_time() {
        let deployment = deployment(
            "{metadata: {}, spec: {replicas: 1, selector: {}, template: {}}, status: {}}",
        );
        let pod: Pod = serde_saphyr::from_str(
            "{metadata: {name: p}, status: {conditions: [{type: PodScheduled, status: 'False', message: no room, lastTransitionTime: '2024-01-01T00:00:00Z'}]}}",
        )
        .unwrap();
        let rollout = Rollout::of(Some(&deployment), &[Arc::new(pod)]);
        let patience = Duration::from_mins(2);
        let after = |seconds| {
            "2024-01-01T00:00:00Z".parse::<Timestamp>().unwrap() + Duration::from_secs(seconds)
        };
        assert_eq!(rollout.stuck(patience, after(119)), None);
        assert_eq!(
            rollout.stuck_in(patience, after(119)),
            Some(Duration::from_secs(1))
        );
        assert_eq!(rollout.stuck(patience, after(120)), Some("pod p: no room"));
        assert_eq!(rollout.stuck_in(patience, after(121)), None);
        assert!(
            rollout.in_words().ends_with("; pod p: no room"),
            "told at once"
        );
    }

    #[test]
    fn scaled_to_zero_is_complete() {
        let zero =
            rollout("{metadata: {}, spec: {replicas: 0, selector: {}, template: {}}, status: {}}");
        assert!(zero.complete() && zero.scaled_to_zero() && !zero.serves());
    }

    #[test]
    fn before_the_first_pods_nothing_is_available() {
        let none = Rollout::of(None, &[]);
        assert!(!none.serves() && !none.complete() && !none.scaled_to_zero());
    }

    #[test]
    fn a_rollout_takes_its_turn_until_it_ended_and_not_when_pods_fail_later() {
        let takes = |annotations: &str, observed: i64, reason: &str| {
            takes_turn(&deployment(&format!(
                "{{metadata: {{generation: 2, annotations: {annotations}}}, spec: {{selector: {{}}, template: {{}}}}, status: {{observedGeneration: {observed}, availableReplicas: 0, conditions: [{{type: Progressing, status: 'True', reason: {reason}}}]}}}}"
            )))
        };
        let marked = "{tts-operator.dev/takes-turn: 'true'}";
        assert!(takes(marked, 1, "NewReplicaSetAvailable"), "not seen yet");
        assert!(takes(marked, 2, "ReplicaSetUpdated"));
        assert!(takes(marked, 2, "ProgressDeadlineExceeded"), "the brake");
        assert!(!takes(marked, 2, "NewReplicaSetAvailable"));
        assert!(
            !takes("{}", 2, "ReplicaSetUpdated"),
            "the user's own change"
        );
    }
}
