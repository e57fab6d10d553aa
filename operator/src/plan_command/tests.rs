//! From documents to plans, with sample measurements and nodes.
use std::path::Path;

use serde_json::{Value, json};
use tts_planner_dev::samples;

use super::*;

const SETTINGS: &str =
    "{nodeClasses: [{name: cpu, cpu: 8, memory: 16Gi, maxNodes: 4, pricePerHour: 0.4}]}";

fn now() -> Timestamp {
    "2026-01-02T00:00:00Z".parse().unwrap()
}

fn deployment(peak: &str) -> String {
    format!(
        "
apiVersion: tts-operator.dev/v1alpha1
kind: TtsDeployment
metadata: {{name: reader, namespace: speech}}
spec:
  voices: [{{name: voice}}]
  objectives: {{timeToFirstAudio: 1s}}
  load: {{peakRequestsPerSecond: {peak}}}
"
    )
}

fn profile() -> Value {
    serde_json::to_value(samples::on_cpu("cpu", samples::PIPER, &[1, 2, 4])).unwrap()
}

fn objects(text: &str, profile: Option<Value>) -> Result<Objects, Error> {
    let mut objects = Objects::new("default");
    objects.add_documents("a.yaml", documents::parse("a.yaml", text, false)?)?;
    if let Some(profile) = profile {
        objects.add_documents("p.json", vec![profile])?;
    }
    Ok(objects)
}

fn classes() -> ClassSettings {
    serde_saphyr::from_str(SETTINGS).unwrap()
}

fn planned(text: &str, profile: Option<Value>, what_if: &[&str]) -> Result<Planned, Error> {
    let what_if: Vec<Assignment> = what_if.iter().map(|text| text.parse().unwrap()).collect();
    let planned = plan(&objects(text, profile)?, &classes(), &what_if, now())?;
    Ok(planned.into_iter().next().unwrap())
}

fn error(text: &str, what_if: &[&str]) -> String {
    planned(text, Some(profile()), what_if)
        .unwrap_err()
        .to_string()
}

#[test]
fn a_deployment_is_planned_from_measurements() {
    let planned = planned(&deployment("5"), Some(profile()), &[]).unwrap();
    assert_eq!(planned.answer.shortage, None);
    let plan = planned.answer.plan.as_ref().unwrap();
    assert_eq!(plan.node_class.as_deref(), Some("cpu"));
    assert!(!plan.reasons.is_empty() && !plan.rejected.is_empty());
    let text = text::text(&[planned]);
    assert!(
        text.starts_with("speech/reader: class cpu, ") && text.contains("Why these numbers:\n  - "),
        "{text}"
    );
}

#[test]
fn nodes_and_daemon_sets_of_a_list_are_a_class() {
    let mut objects = objects(&deployment("5"), None).unwrap();
    let nodes = include_str!("../inventory/nodes/kind.yaml");
    let documents = documents::parse("nodes.yaml", nodes, false).unwrap();
    objects.add_documents("nodes.yaml", documents).unwrap();
    let none = ClassSettings::default();
    let inventory = inventory(&spec(&deployment("5")), &objects, &none);
    let class = inventory.classes[0].name.clone();
    let measured = samples::on_cpu(&class, samples::PIPER, &[1, 2, 4]);
    let document = json!({
        "kind": "TtsProfile", "metadata": {"name": "x"}, "spec": measured,
    });
    objects.add_documents("p", vec![document]).unwrap();
    let planned = plan(&objects, &none, &[], now()).unwrap();
    let plan = planned[0].answer.plan.as_ref().unwrap();
    assert_eq!(plan.node_class, Some(class));
    assert_eq!(plan.profiles, ["default/x"]);
}

fn spec(text: &str) -> TtsDeploymentSpec {
    let objects = objects(text, None).unwrap();
    serde_json::from_value(objects.deployments[0].spec.clone()).unwrap()
}

#[test]
fn a_profile_of_another_voice_is_named() {
    let text = deployment("5").replace("name: voice", "name: rms");
    let planned = planned(&text, Some(profile()), &[]).unwrap();
    assert_eq!(planned.answer.plan, None);
    let shortage = planned.answer.shortage.clone().unwrap();
    assert_eq!(shortage.reason, "NoProfile");
    assert!(
        shortage.message.contains("profiles are of voice on cpu"),
        "{shortage:?}"
    );
    assert!(planned.is_short());
}

#[test]
fn the_files_of_a_voice_find_its_profiles_whatever_its_name() {
    let with = |namespace: &str, digest: &str| {
        let voice = json!({
            "apiVersion": "tts-operator.dev/v1alpha1", "kind": "TtsVoice",
            "metadata": {"name": "rms", "namespace": namespace},
            "spec": {"source": {"builtin": {"name": "rms"}}},
            "status": {"files": [
                {"path": "a.onnx", "sha256": digest, "sizeBytes": 1},
                {"path": "a.onnx.json", "sha256": "2", "sizeBytes": 1},
            ]},
        });
        let text = deployment("5").replace("name: voice", "name: rms") + &format!("---\n{voice}\n");
        planned(&text, Some(profile()), &[]).unwrap().answer
    };
    assert_eq!(with("speech", "1").shortage, None);
    assert!(with("speech", "3").shortage.is_some(), "other files");
    assert!(with("elsewhere", "1").shortage.is_some(), "not its voice");
}

#[test]
fn an_absurd_peak_does_not_fit_and_the_plan_is_what_comes_nearest() {
    let planned = planned(&deployment("1e6"), Some(profile()), &[]).unwrap();
    assert_eq!(
        planned.answer.shortage.as_ref().unwrap().reason,
        "CapacityInsufficient"
    );
    assert!(planned.answer.plan.is_some());
    let refused = deployment("1e6") + "  sizing: {onInfeasible: Refuse}\n";
    let refused = self::planned(&refused, Some(profile()), &[]).unwrap();
    assert_eq!(refused.answer.plan, None);
}

#[test]
fn wrong_input_names_the_field() {
    let good = deployment("5");
    for (text, message) in [
        (String::new(), "a.yaml: the file is empty"),
        ("---\n---\n".to_owned(), "a.yaml: the file is empty"),
        ("{a: 1}".to_owned(), "neither kind nor schema"),
        (
            good.replace("load:", "loads:"),
            "TtsDeployment reader: spec.loads: unknown field",
        ),
        (
            good.replace("spec:", "status: {}\nspecs:"),
            "specs: unknown field",
        ),
        (deployment(".nan"), "non-finite float"),
        (deployment("0.5"), "is 0.5; write it in quotes"),
        (
            good.replace(
                "{peakRequestsPerSecond: 5}",
                "\n    peakRequestsPerSecond: .nan",
            ),
            "peakRequestsPerSecond is .nan: not a finite number",
        ),
        (
            good.replace("Second: 5", "Second: 5, baseRequestsPerSecond: 6"),
            "is more than",
        ),
        (
            good.replace("timeToFirstAudio: 1s", "timeToFirstAudio: soon"),
            "objectives.timeToFirstAudio",
        ),
        (
            good.replace("Second: 5", "Second: five"),
            "spec.load.peakRequestsPerSecond",
        ),
        (good.replace("v1alpha1", "v9"), "this version reads"),
        (
            good.replace("name: reader, ", ""),
            "metadata.name is missing",
        ),
        (
            "{apiVersion: v1, kind: Pod}".to_owned(),
            "there is no TtsDeployment",
        ),
    ] {
        let error = error(&text, &[]);
        assert!(error.contains(message), "{text}: {error}");
    }
}

#[test]
fn a_wrong_profile_names_the_field() {
    let mut wrong = profile();
    wrong["run"]["noiseCv"] = Value::Null;
    let object = json!({"kind": "TtsProfile", "spec": wrong});
    let error = planned(&deployment("5"), Some(object), &[]).unwrap_err();
    assert!(error.to_string().starts_with("p.json: spec."), "{error}");
}

#[test]
fn without_nodes_there_is_an_error_and_not_a_plan() {
    let objects = objects(&deployment("5"), Some(profile())).unwrap();
    let error = plan(&objects, &ClassSettings::default(), &[], now()).unwrap_err();
    assert!(matches!(error, Error::NoNodes), "{error}");
}

#[test]
fn other_kinds_are_skipped_and_named() {
    let text = deployment("5") + "---\n{apiVersion: v1, kind: Service, metadata: {name: x}}\n";
    let objects = objects(&text, None).unwrap();
    assert_eq!(
        objects.skipped,
        ["a.yaml, document 2: Service is not used for planning"]
    );
}

#[test]
fn a_quota_of_the_namespace_bounds_the_plan() {
    let quota = "---\n{apiVersion: v1, kind: ResourceQuota, metadata: {name: q, namespace: NS}, spec: {hard: {pods: '1'}}}\n";
    let with = |namespace: &str| {
        let text = deployment("20") + &quota.replace("NS", namespace);
        planned(&text, Some(profile()), &[]).unwrap().answer
    };
    assert!(with("speech").shortage.is_some());
    assert_eq!(with("other").shortage, None);
}

#[test]
fn without_goals_nothing_is_planned_and_nothing_is_short() {
    let text = "{apiVersion: tts-operator.dev/v1alpha1, kind: TtsDeployment, metadata: {name: a}, spec: {voices: [{name: voice}]}}";
    let planned = planned(text, None, &[]).unwrap();
    assert!(planned.answer.not_planned.is_some() && !planned.is_short());
    assert_eq!(planned.namespace, "default");
}

#[test]
fn what_if_shows_what_changes() {
    let what_if = |set: &[&str]| planned(&deployment("5"), Some(profile()), set).unwrap();
    let same = what_if(&["load.peakRequestsPerSecond=5"]);
    assert_eq!(same.what_if.as_ref().unwrap().changes, []);
    assert!(text::text(&[same]).ends_with("With load.peakRequestsPerSecond=5: nothing changes\n"));
    let more = what_if(&[
        "load.peakRequestsPerSecond=50",
        "objectives.timeToFirstAudio=2s",
    ]);
    let changes = &more.what_if.as_ref().unwrap().changes;
    assert!(
        changes.iter().any(|change| change.what == "replicas"),
        "{changes:?}"
    );
    assert!(
        changes.iter().any(|change| change.what == "cost per hour"),
        "{changes:?}"
    );
    let short = what_if(&["load.peakRequestsPerSecond=1e5"]);
    assert!(short.answer.shortage.is_none() && short.is_short());
}

#[test]
fn a_what_if_of_an_unknown_path_is_an_error() {
    let error = error(&deployment("5"), &["load.peak=50"]);
    assert!(
        error.starts_with("--what-if load.peak=50: spec.load.peak: unknown field"),
        "{error}"
    );
}

#[test]
fn settings_may_have_the_rest_and_nothing_unknown() {
    let read = |text: &str| serde_saphyr::from_str::<ClassSettings>(text);
    assert!(read("{server: {image: x}, stalledAfter: 2m, nodeClasses: []}").is_ok());
    assert!(read("{nodeClass: []}").is_err());
    assert!(ClassSettings::read(Path::new("/nowhere")).is_err());
}
