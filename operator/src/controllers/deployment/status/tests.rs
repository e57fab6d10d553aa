use k8s_openapi::api::{apps::v1::Deployment, core::v1::Pod};
use tts_crds::v1alpha1::TtsVoice;

use super::*;
use crate::controllers::deployment::fixtures::{BUILTIN, deployment, planned, ready_voice};

const SPEC: &str = "  voices: [{name: bass}]\n  scaling: {replicas: 2}";

/// A Deployment of two pods, of which so many are updated and available.
fn live(observed: i64, updated: i32, available: i32) -> Deployment {
    serde_json::from_value(serde_json::json!({
        "metadata": {"generation": 2},
        "spec": {"replicas": 2, "selector": {}, "template": {}},
        "status": {
            "observedGeneration": observed, "replicas": 2, "updatedReplicas": updated,
            "availableReplicas": available,
        },
    }))
    .unwrap()
}

struct Case {
    spec: &'static str,
    voice: Option<TtsVoice>,
    deployment: Option<Deployment>,
    pods: Vec<Pod>,
    rolled_out: Option<i64>,
    seconds: i64,
}

impl Case {
    fn of(deployment: Option<Deployment>, rolled_out: Option<i64>) -> Self {
        Self {
            spec: SPEC,
            voice: Some(ready_voice("bass", BUILTIN)),
            deployment,
            pods: Vec::new(),
            rolled_out,
            seconds: 1_000,
        }
    }

    /// The conditions as `Type=Status Reason`, and the revision that was rolled out.
    fn seen(self) -> (Vec<String>, Option<i64>) {
        let planned = planned(self.spec, vec![self.voice]);
        let mut object = deployment(self.spec);
        object.status = Some(TtsDeploymentStatus {
            rolled_out_revision: self.rolled_out,
            ..TtsDeploymentStatus::default()
        });
        let applied = Applied::for_test(self.deployment, self.pods);
        let now = Timestamp::from_second(self.seconds).unwrap();
        let (status, _) = status(&object, &planned, &applied, &Seen::default(), now);
        let conditions = status
            .conditions
            .iter()
            .filter(|c| {
                ["Ready", "Available", "Reconciling", "Stalled"].contains(&c.type_.as_str())
            })
            .map(|c| format!("{}={} {}", c.type_, c.status, c.reason))
            .collect();
        (conditions, status.rolled_out_revision)
    }

    fn conditions(self) -> Vec<String> {
        self.seen().0
    }
}

#[test]
fn before_the_first_pods() {
    let case = Case::of(None, None);
    assert_eq!(
        case.conditions(),
        [
            "Available=False NotStarted",
            "Ready=False RollingOut",
            "Reconciling=True RollingOut"
        ]
    );
}

#[test]
fn the_first_rollout_is_ready_when_all_its_pods_are() {
    assert_eq!(
        Case::of(Some(live(2, 2, 1)), None).conditions(),
        [
            "Available=True Serving",
            "Ready=False RollingOut",
            "Reconciling=True RollingOut"
        ]
    );
    let (conditions, rolled_out) = Case::of(Some(live(2, 2, 2)), None).seen();
    assert_eq!(conditions, ["Available=True Serving", "Ready=True Serving"]);
    assert_eq!(rolled_out, Some(1));
}

#[test]
fn ready_does_not_depend_on_the_number_of_pods_of_the_moment() {
    assert_eq!(
        Case::of(Some(live(2, 2, 1)), Some(1)).conditions(),
        [
            "Available=True Serving",
            "Ready=True Serving",
            "Reconciling=True Scaling"
        ]
    );
}

#[test]
fn a_change_that_the_cluster_has_not_seen_flips_nothing() {
    // Only the number of pods was changed.
    assert_eq!(
        Case::of(Some(live(1, 2, 2)), Some(1)).conditions(),
        [
            "Available=True Serving",
            "Ready=True Serving",
            "Reconciling=True Scaling"
        ]
    );
    // Another template, of which the numbers say nothing yet.
    assert_eq!(
        Case::of(Some(live(1, 2, 2)), Some(0)).conditions(),
        [
            "Available=True Serving",
            "Ready=False RollingOut",
            "Reconciling=True RollingOut"
        ]
    );
}

fn without_room(since: i64) -> Pod {
    serde_json::from_value(serde_json::json!({
        "metadata": {"name": "p"},
        "status": {"conditions": [{
            "type": "PodScheduled", "status": "False", "message": "no room",
            "lastTransitionTime": Timestamp::from_second(since).unwrap(),
        }]},
    }))
    .unwrap()
}

#[test]
fn a_pod_without_a_place_stalls_the_rollout_after_two_minutes() {
    let at = |seconds, rolled_out| {
        let mut case = Case::of(Some(live(2, 2, 1)), rolled_out);
        case.pods = vec![without_room(1_000)];
        case.seconds = seconds;
        case.conditions()
    };
    assert_eq!(
        at(1_119, None),
        [
            "Available=True Serving",
            "Ready=False RollingOut",
            "Reconciling=True RollingOut"
        ]
    );
    assert_eq!(
        at(1_120, None),
        [
            "Available=True Serving",
            "Ready=False RolloutStuck",
            "Stalled=True RolloutStuck"
        ]
    );
    // What serves stays ready.
    assert_eq!(
        at(1_120, Some(1)),
        [
            "Available=True Serving",
            "Ready=True Serving",
            "Stalled=True RolloutStuck"
        ]
    );
}

#[test]
fn no_pods_at_the_users_word_are_ready_and_say_so() {
    let zero: Deployment = serde_json::from_value(serde_json::json!({
        "metadata": {"generation": 3}, "spec": {"replicas": 0, "selector": {}, "template": {}},
        "status": {"observedGeneration": 3},
    }))
    .unwrap();
    let mut case = Case::of(Some(zero), None);
    case.spec = "  voices: [{name: bass}]\n  scaling: {replicas: 0}";
    assert_eq!(
        case.conditions(),
        ["Available=True ScaledToZero", "Ready=True ScaledToZero"]
    );
}

#[test]
fn a_missing_voice_is_not_ready_and_what_runs_is_available() {
    let mut case = Case::of(Some(live(2, 2, 2)), Some(1));
    case.voice = None;
    assert_eq!(
        case.conditions(),
        [
            "Available=True Serving",
            "Ready=False VoiceMissing",
            "Reconciling=True VoiceMissing"
        ]
    );
}

#[test]
fn a_paused_deployment_is_ready_while_it_serves() {
    let mut case = Case::of(Some(live(2, 2, 1)), None);
    case.spec = "  voices: [{name: bass}]\n  paused: true";
    let (conditions, rolled_out) = case.seen();
    assert_eq!(conditions, ["Available=True Serving", "Ready=True Paused"]);
    assert_eq!(rolled_out, None, "what was not applied was not rolled out");
}
