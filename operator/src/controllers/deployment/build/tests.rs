//! Whole objects compared.
use k8s_openapi::api::autoscaling::v2::HorizontalPodAutoscaler;
use serde_json::{Value, json};

use super::{Resources, Workload, build};
use crate::{
    controllers::deployment::{
        fixtures::{BUILTIN, FILES, measured, plan_of, planned, ready_voice},
        replicas::{Replicas, Setter},
        validate::{Scaling, Voices},
    },
    drift,
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

/// Of a deployment that was planned from measurements.
fn autoscaled(scaling: Scaling, cpu_percent: Option<u32>) -> Workload {
    let mut tts = planned(
        "  voices: [{name: bass}]",
        vec![Some(ready_voice("bass", BUILTIN))],
    );
    tts.tts.scaling = scaling;
    let known = tts.workload.as_mut().unwrap();
    known.accepted = measured(plan_of((2, 6, 10), cpu_percent));
    known.replicas = Replicas {
        setter: Setter::Autoscaler,
        number: None,
    };
    workload(build(&tts))
}

fn autoscaler() -> HorizontalPodAutoscaler {
    let built = autoscaled(Scaling::Auto, Some(60)).autoscaler;
    built.expect("there is a target")
}

#[test]
fn the_autoscaler_of_a_plan() {
    insta::assert_yaml_snapshot!("autoscaler", autoscaler());
}

#[test]
fn there_is_an_autoscaler_only_for_a_measured_plan_with_a_target() {
    assert!(autoscaled(Scaling::Auto, None).autoscaler.is_none());
    for scaling in [Scaling::Static(3), Scaling::External] {
        assert!(autoscaled(scaling, Some(60)).autoscaler.is_none());
    }
    let mut unmeasured = planned(
        "  voices: [{name: bass}]",
        vec![Some(ready_voice("bass", BUILTIN))],
    );
    unmeasured.tts.scaling = Scaling::Auto;
    assert!(workload(build(&unmeasured)).autoscaler.is_none());
}

#[test]
fn a_number_that_others_set_is_not_in_the_deployment_and_the_annotation_says_whose_it_is() {
    let deployment = autoscaled(Scaling::Auto, Some(60)).deployment;
    assert_eq!(deployment.spec.unwrap().replicas, None);
    let annotations = deployment.metadata.annotations.unwrap();
    assert_eq!(annotations["tts-operator.dev/replicas"], "Autoscaler");
}

/// `SetDefaults_HorizontalPodAutoscaler` of Kubernetes' `pkg/apis/autoscaling/v2/defaults.go`.
fn defaulted(mut spec: Value) -> Value {
    let or = |value: &mut Value, default: Value| {
        if value.is_null() {
            *value = default;
        }
    };
    or(&mut spec["minReplicas"], json!(1));
    or(&mut spec["metrics"], json!([{"type": "Resource"}]));
    let policy = |kind: &str, value| json!({"type": kind, "value": value, "periodSeconds": 15});
    let up = &mut spec["behavior"]["scaleUp"];
    or(&mut up["stabilizationWindowSeconds"], json!(0));
    or(&mut up["selectPolicy"], json!("Max"));
    or(
        &mut up["policies"],
        json!([policy("Pods", 4), policy("Percent", 100)]),
    );
    let down = &mut spec["behavior"]["scaleDown"];
    or(&mut down["selectPolicy"], json!("Max"));
    or(&mut down["policies"], json!([policy("Percent", 100)]));
    spec
}

#[test]
fn the_defaults_of_an_autoscaler_are_no_drift_and_what_others_add_is() {
    let desired = serde_json::to_value(autoscaler()).unwrap();
    let found = |live: &Value| drift::differences("HorizontalPodAutoscaler", live, &desired);
    let mut live = desired.clone();
    live["spec"] = defaulted(live["spec"].take());
    live["metadata"]["uid"] = json!("u");
    live["status"] =
        json!({"desiredReplicas": 3, "currentMetrics": [{"type": "ContainerResource"}]});
    assert_eq!(found(&live), []);

    for (path, value) in [
        ("/spec/maxReplicas", json!(99)),
        ("/spec/scaleTargetRef/name", json!("other")),
        (
            "/spec/metrics/0/containerResource/target/averageUtilization",
            json!(1),
        ),
        ("/spec/behavior/scaleDown/policies/0/value", json!(100)),
    ] {
        let mut edited = live.clone();
        *edited.pointer_mut(path).expect(path) = value;
        assert_eq!(found(&edited).len(), 1, "{path}");
    }
    let mut extended = live.clone();
    extended["spec"]["behavior"]["scaleUp"]["tolerance"] = json!("0.5");
    let found = found(&extended);
    assert!(
        found.len() == 1 && found[0].is_addition(),
        "applying would leave it: {found:?}"
    );
}
