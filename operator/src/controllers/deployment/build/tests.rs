//! Minimal YAML through the real `validate`, whole objects compared.
use std::sync::Arc;

use kube::core::DeserializeGuard;
use tts_crds::v1alpha1::{TtsDeployment, TtsVoice};

use super::{Resources, Workload, build};
use crate::{
    controllers::deployment::{
        dereference::References,
        validate::{ValidatedDeployment, Voices, validate},
    },
    settings::{DownloadSettings, ServerSettings},
};

fn settings() -> ServerSettings {
    ServerSettings {
        image: "registry.test/tts-server:9".to_owned(),
        image_pull_policy: "Always".to_owned(),
        image_pull_secrets: vec!["mirror".to_owned()],
        download: DownloadSettings {
            ca_pem: Some("PEM".to_owned()),
            https_proxy: Some("http://proxy.test:3128".to_owned()),
            ..DownloadSettings::default()
        },
    }
}

fn deployment(spec: &str) -> TtsDeployment {
    let mut object: TtsDeployment = serde_saphyr::from_str(&format!(
        "apiVersion: tts-operator.dev/v1alpha1\nkind: TtsDeployment\nmetadata: {{}}\nspec:\n{spec}"
    ))
    .unwrap();
    object.metadata.name = Some("narrator".to_owned());
    object.metadata.namespace = Some("stage".to_owned());
    object.metadata.uid = Some("c27b3971-ca72-42c1-80a4-abdfc1db0ddd".to_owned());
    object
}

/// A voice that passed its inspection.
fn ready_voice(name: &str, source: &str) -> TtsVoice {
    let yaml = format!(
        "
apiVersion: tts-operator.dev/v1alpha1
kind: TtsVoice
metadata: {{name: {name}, namespace: stage, generation: 3}}
spec:
  source: {source}
status:
  observedGeneration: 3
  digest: sha256:00ff
  sizeBytes: 10485760
  sampleRateHz: 22050
  peakMemoryBytes: 104857600
  conditions:
  - {{type: Ready, status: 'True', reason: Inspected, message: '', lastTransitionTime: '2024-01-01T00:00:00Z'}}
"
    );
    serde_saphyr::from_str(&yaml).unwrap()
}

const BUILTIN: &str = "{builtin: {name: bass}}";
const FILES: &str =
    "{files: [{path: alto.onnx, url: 'https://voices.test/alto.onnx', sha256: 0a}]}";

fn validated(spec: &str, voices: Vec<Option<TtsVoice>>) -> ValidatedDeployment {
    let references = References {
        voices: voices
            .into_iter()
            .map(|voice| voice.map(|voice| DeserializeGuard(Ok(voice))))
            .collect(),
        accepted_memory: None,
    };
    validate(&deployment(spec), &references, &Arc::new(settings())).unwrap()
}

fn workload(resources: Resources) -> Workload {
    resources.workload.expect("the voices are ready")
}

#[test]
fn the_smallest_deployment() {
    let tts = validated(
        "  voices: [{name: bass}]",
        vec![Some(ready_voice("bass", BUILTIN))],
    );
    let resources = build(&tts);
    insta::assert_yaml_snapshot!("smallest-service-account", resources.service_account);
    insta::assert_yaml_snapshot!("smallest-service", resources.service);
    insta::assert_yaml_snapshot!("smallest-budget", resources.pod_disruption_budget);
    let workload = workload(resources);
    insta::assert_yaml_snapshot!("smallest-network-policy", workload.network_policy);
    insta::assert_yaml_snapshot!("smallest-deployment", workload.deployment);
}

#[test]
fn downloaded_voices_are_fetched_before_the_server_starts() {
    let tts = validated(
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
    let tts = validated(
        "  voices: [{name: bass}, {name: alto}]",
        vec![None, Some(outdated)],
    );
    let Voices::NotReady { reason, message } = &tts.voices else {
        panic!("a voice is missing");
    };
    assert_eq!(*reason, "VoiceMissing");
    assert!(
        message.contains("no TtsVoice bass") && message.contains("alto is not ready"),
        "{message}"
    );
    assert!(build(&tts).workload.is_none());
    assert_eq!(
        tts.voice_states.iter().map(|v| v.ready).collect::<Vec<_>>(),
        [false, false]
    );
}

/// A user's labels must not take a pod out of the selector; admission refuses it, this makes sure.
#[test]
fn labels_of_the_operator_win() {
    let tts = validated(
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
