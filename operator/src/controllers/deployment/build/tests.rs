//! Whole objects compared.
use super::{Resources, Workload, build};
use crate::controllers::deployment::{
    fixtures::{BUILTIN, FILES, planned, ready_voice},
    validate::Voices,
};

fn workload(resources: Resources) -> Workload {
    resources.workload.expect("the voices are ready")
}

#[test]
fn the_smallest_deployment() {
    let tts = planned(
        "  voices: [{name: bass}]",
        vec![Some(ready_voice("bass", BUILTIN))],
    );
    let resources = build(&tts);
    insta::assert_yaml_snapshot!("smallest-service-account", resources.service_account);
    insta::assert_yaml_snapshot!("smallest-service", resources.service);
    insta::assert_yaml_snapshot!("smallest-budget", resources.pod_disruption_budget);
    let workload = workload(resources);
    insta::assert_yaml_snapshot!("smallest-revision", workload.revision);
    insta::assert_yaml_snapshot!("smallest-network-policy", workload.network_policy);
    insta::assert_yaml_snapshot!("smallest-deployment", workload.deployment);
}

#[test]
fn downloaded_voices_are_fetched_before_the_server_starts() {
    let tts = planned(
        "
  voices: [{name: bass}, {name: alto, default: true}]
  scaling: {replicas: 3}
  sizing: {mode: Manual, resources: {requests: {cpu: 1, memory: 1Gi}, limits: {cpu: 2}}}
  expose: {service: {type: LoadBalancer, annotations: {cloud.test/kind: internal}}}
  pod: {labels: {team: voice}, annotations: {note: hello}, priorityClassName: high, imagePullSecrets: [own]}
",
        vec![
            Some(ready_voice("bass", BUILTIN)),
            Some(ready_voice("alto", FILES)),
        ],
    );
    let resources = build(&tts);
    insta::assert_yaml_snapshot!("downloaded-service", resources.service);
    let workload = workload(resources);
    insta::assert_yaml_snapshot!("downloaded-network-policy", workload.network_policy);
    insta::assert_yaml_snapshot!("downloaded-deployment", workload.deployment);
}

#[test]
fn a_missing_or_unready_voice_builds_no_pods_and_says_why() {
    let mut outdated = ready_voice("alto", FILES);
    outdated.metadata.generation = Some(4);
    let tts = planned(
        "  voices: [{name: bass}, {name: alto}]",
        vec![None, Some(outdated)],
    );
    let Voices::NotReady { reason, message } = &tts.tts.voices else {
        panic!("a voice is missing");
    };
    assert_eq!(*reason, "VoiceMissing");
    assert!(
        message.contains("no TtsVoice bass") && message.contains("alto is not ready"),
        "{message}"
    );
    assert!(build(&tts).workload.is_none());
    assert_eq!(
        tts.tts
            .voice_states
            .iter()
            .map(|v| v.ready)
            .collect::<Vec<_>>(),
        [false, false]
    );
}

/// A user's labels must not take a pod out of the selector; admission refuses it, this makes sure.
#[test]
fn labels_of_the_operator_win() {
    let tts = planned(
        "
  voices: [{name: bass}]
  pod: {labels: {app.kubernetes.io/name: other}}
",
        vec![Some(ready_voice("bass", BUILTIN))],
    );
    let deployment = workload(build(&tts)).deployment.spec.unwrap();
    let labels = deployment.template.metadata.unwrap().labels.unwrap();
    for (key, value) in deployment.selector.match_labels.unwrap() {
        assert_eq!(labels.get(&key), Some(&value));
    }
}
