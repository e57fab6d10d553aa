//! The status of the deployment. Pure: the controller writes it.
use jiff::Timestamp;
use k8s_openapi::api::{apps::v1::Deployment, core::v1::Pod};
use kube::{Resource as _, ResourceExt as _};
use tts_crds::v1alpha1::{TtsDeployment, TtsDeploymentStatus};

use super::{
    apply::Applied,
    build,
    validate::{ValidatedDeployment, Voices},
};
use crate::{
    conditions::{
        self, READY, RECONCILING, STALLED,
        Status::{False, True, Unknown},
        Verdict,
    },
    controllers::{labels, pods},
};

const VOICES_READY: &str = "VoicesReady";
const SIZED: &str = "Sized";
const AVAILABLE: &str = "Available";

pub fn status(
    object: &TtsDeployment,
    tts: &ValidatedDeployment,
    applied: &Applied,
    now: Timestamp,
) -> TtsDeploymentStatus {
    let generation = object.meta().generation;
    let rollout = Rollout::of(applied.deployment.as_ref(), &applied.pods);
    let previous = object
        .status
        .as_ref()
        .map(|status| status.conditions.as_slice())
        .unwrap_or_default();
    TtsDeploymentStatus {
        observed_generation: generation.unwrap_or_default(),
        conditions: conditions::merge(previous, verdicts(tts, &rollout), generation, now),
        replicas: rollout.replicas,
        ready_replicas: rollout.ready,
        selector: Some(labels::to_selector(&build::selector(tts))),
        endpoint: Some(build::endpoint(tts)),
        voices: tts.voice_states.clone(),
    }
}

/// Progress of the rollout.
#[derive(Debug, Default, PartialEq, Eq)]
struct Rollout {
    wanted: i32,
    replicas: i32,
    updated: i32,
    ready: i32,
    available: i32,
    /// Whether the numbers apply to the current template and replica count.
    current: bool,
    /// Why it does not progress.
    stuck: Option<String>,
    exists: bool,
    /// Why a pod does not run, for the first such pod.
    trouble: Option<String>,
}

impl Rollout {
    fn of(deployment: Option<&Deployment>, pods: &[Pod]) -> Self {
        let Some(deployment) = deployment else {
            return Self::default();
        };
        let status = deployment.status.clone().unwrap_or_default();
        Self {
            wanted: deployment
                .spec
                .as_ref()
                .and_then(|spec| spec.replicas)
                .unwrap_or(1),
            replicas: status.replicas.unwrap_or(0),
            updated: status.updated_replicas.unwrap_or(0),
            ready: status.ready_replicas.unwrap_or(0),
            available: status.available_replicas.unwrap_or(0),
            current: status.observed_generation >= deployment.metadata.generation,
            stuck: status
                .conditions
                .into_iter()
                .flatten()
                .find(|c| {
                    (c.type_ == "Progressing" && c.status == "False")
                        || (c.type_ == "ReplicaFailure" && c.status == "True")
                })
                .map(|c| c.message.or(c.reason).unwrap_or_default()),
            exists: true,
            trouble: pods.iter().find_map(|pod| {
                let trouble = pods::trouble(pod)?;
                Some(format!("pod {}: {trouble}", pod.name_any()))
            }),
        }
    }

    fn available(&self) -> bool {
        self.exists && self.current && self.available >= self.wanted
    }

    fn complete(&self) -> bool {
        self.available() && self.updated >= self.wanted && self.replicas <= self.wanted
    }

    fn in_words(&self) -> String {
        let numbers = format!(
            "{} of {} pods are available, {} run the current version",
            self.available, self.wanted, self.updated
        );
        match &self.trouble {
            Some(trouble) => format!("{numbers}; {trouble}"),
            None => numbers,
        }
    }
}

fn verdicts(tts: &ValidatedDeployment, rollout: &Rollout) -> Vec<Verdict> {
    let (voices, sized) = match &tts.voices {
        Voices::Ready { size, .. } => (
            Verdict::new(VOICES_READY, True, "Inspected", "all voices are ready"),
            Verdict::new(SIZED, True, size.mode, &size.explanation),
        ),
        Voices::NotReady { reason, message } => (
            Verdict::new(VOICES_READY, False, *reason, message),
            Verdict::new(
                SIZED,
                Unknown,
                "VoicesNotReady",
                "the pod size depends on the voices, and not all of them are ready",
            ),
        ),
    };
    let available = if !rollout.exists {
        Verdict::new(
            AVAILABLE,
            False,
            "NotStarted",
            "no pods yet; they are created once all voices are ready",
        )
    } else if rollout.available() {
        Verdict::new(AVAILABLE, True, "Serving", rollout.in_words())
    } else {
        Verdict::new(AVAILABLE, False, "RollingOut", rollout.in_words())
    };

    let mut verdicts = ready(tts, rollout, &voices);
    verdicts.extend([voices, sized, available]);
    verdicts
}

/// `Ready`, and `Reconciling` or `Stalled` where they apply.
fn ready(tts: &ValidatedDeployment, rollout: &Rollout, voices: &Verdict) -> Vec<Verdict> {
    if tts.paused {
        let status = if rollout.available() { True } else { False };
        let message = format!(
            "spec.paused is true: no changes are made; {}",
            rollout.in_words()
        );
        return vec![Verdict::new(READY, status, "Paused", message)];
    }
    if voices.status != True {
        let waiting = Verdict::new(READY, False, &voices.reason, &voices.message);
        return vec![waiting.as_type(RECONCILING, True), waiting];
    }
    if rollout.complete() {
        return vec![Verdict::new(READY, True, "Serving", rollout.in_words())];
    }
    if let Some(why) = &rollout.stuck {
        let message = format!("{}; {why}", rollout.in_words());
        let stuck = Verdict::new(READY, False, "RolloutStuck", message);
        return vec![stuck.as_type(STALLED, True), stuck];
    }
    let rolling = Verdict::new(READY, False, "RollingOut", rollout.in_words());
    vec![rolling.as_type(RECONCILING, True), rolling]
}

#[cfg(test)]
mod tests {
    use super::*;

    fn rollout(yaml: &str) -> Rollout {
        let deployment: Deployment = serde_saphyr::from_str(yaml).unwrap();
        Rollout::of(Some(&deployment), &[])
    }

    #[test]
    fn a_rollout_is_complete_when_only_available_pods_of_the_current_version_are_left() {
        let complete = rollout(
            "{metadata: {generation: 2}, spec: {replicas: 2, selector: {}, template: {}}, status: {observedGeneration: 2, replicas: 2, updatedReplicas: 2, availableReplicas: 2}}",
        );
        assert!(complete.available() && complete.complete());
        let old_pod_left = rollout(
            "{metadata: {generation: 2}, spec: {replicas: 2, selector: {}, template: {}}, status: {observedGeneration: 2, replicas: 3, updatedReplicas: 2, availableReplicas: 3}}",
        );
        assert!(old_pod_left.available() && !old_pod_left.complete());
        let not_seen_yet = rollout(
            "{metadata: {generation: 3}, spec: {replicas: 2, selector: {}, template: {}}, status: {observedGeneration: 2, replicas: 2, updatedReplicas: 2, availableReplicas: 2}}",
        );
        assert!(!not_seen_yet.available());
    }

    #[test]
    fn a_rollout_that_made_no_progress_is_stuck() {
        let stuck = rollout(
            "{spec: {replicas: 1, selector: {}, template: {}}, status: {conditions: [{type: Progressing, status: 'False', reason: ProgressDeadlineExceeded, message: late}]}}",
        );
        assert_eq!(stuck.stuck.as_deref(), Some("late"));
    }

    #[test]
    fn scaled_to_zero_is_complete() {
        let zero = rollout("{spec: {replicas: 0, selector: {}, template: {}}, status: {}}");
        assert!(zero.complete());
    }

    #[test]
    fn before_the_first_pods_nothing_is_available() {
        assert!(!Rollout::of(None, &[]).available());
    }
}
