//! The lifecycle of an inspection through `validate` and `status`.
use std::{sync::Arc, time::Duration};

use jiff::Timestamp;
use k8s_openapi::api::{batch::v1::Job, core::v1::Pod};
use tts_crds::v1alpha1::{TtsVoice, TtsVoiceStatus};

use super::{
    build::build,
    dereference::References,
    status,
    validate::{Inspection, ValidatedVoice, validate},
};
use crate::{
    conditions,
    jobs::{ATTEMPT, SUBJECT},
    settings::Settings,
};

const IMAGE: &str = "registry.test/tts-server:9";

fn settings(image: &str) -> Arc<Settings> {
    Arc::new(serde_saphyr::from_str(&format!("server: {{image: '{image}'}}")).unwrap())
}

fn status(voice: &TtsVoice, seen: &ValidatedVoice, now: Timestamp) -> TtsVoiceStatus {
    status::status(voice, seen, now).0
}

fn voice() -> TtsVoice {
    serde_saphyr::from_str(
        "
apiVersion: tts-operator.dev/v1alpha1
kind: TtsVoice
metadata: {name: bass, namespace: stage, uid: u-1, generation: 1}
spec: {source: {builtin: {name: bass}}}
",
    )
    .unwrap()
}

fn at(seconds: i64) -> Timestamp {
    Timestamp::from_second(seconds).unwrap()
}

fn look(voice: &TtsVoice, jobs: &[Job], pods: &[Pod], now: i64) -> ValidatedVoice {
    look_with(IMAGE, voice, jobs, pods, now)
}

fn look_with(
    image: &str,
    voice: &TtsVoice,
    jobs: &[Job],
    pods: &[Pod],
    now: i64,
) -> ValidatedVoice {
    let references = References {
        jobs: jobs.to_vec(),
        pods: pods.to_vec(),
        ..References::default()
    };
    validate(voice, &references, &settings(image), at(now)).unwrap()
}

fn start(attempt: u32) -> Inspection {
    Inspection::Start {
        attempt,
        memory: 512 << 20,
    }
}

/// A voice whose facts were recorded with [`IMAGE`].
fn recorded() -> TtsVoice {
    let mut voice = voice();
    let job = ended(started(&voice, &[], 0), "Complete", 10);
    let pod = pod_with_report(&job, PASSED);
    let passed = look(&voice, &[job], &[pod], 11);
    voice.status = Some(status(&voice, &passed, at(11)));
    voice
}

/// The Job that the operator would start now.
fn started(voice: &TtsVoice, jobs: &[Job], now: i64) -> Job {
    let mut job = build(&look(voice, jobs, &[], now)).job.expect("a Job");
    job.metadata.uid = Some(format!("job-{}", job.metadata.name.clone().unwrap()));
    job
}

fn ended(mut job: Job, type_: &str, seconds: i64) -> Job {
    let status = format!(
        "{{conditions: [{{type: {type_}, status: 'True', lastTransitionTime: '{}'}}]}}",
        at(seconds)
    );
    job.status = Some(serde_saphyr::from_str(&status).unwrap());
    job
}

fn pod_with_report(job: &Job, message: &str) -> Pod {
    serde_json::from_value(serde_json::json!({
        "metadata": {"name": "p", "ownerReferences": [{
            "apiVersion": "batch/v1", "kind": "Job", "name": "j", "uid": job.metadata.uid,
        }]},
        "status": {"containerStatuses": [{
            "name": "inspect", "image": "", "imageID": "", "ready": false, "restartCount": 0,
            "state": {"terminated": {"exitCode": 0, "message": message}},
        }]},
    }))
    .unwrap()
}

const PASSED: &str = r#"{"schemaVersion":1,"ok":true,"digest":"sha256:ab","sizeBytes":5,"family":"Piper","sampleRateHz":16000,"speakers":{"count":1}}"#;
const MISMATCH: &str =
    r#"{"schemaVersion":1,"ok":false,"reason":"DigestMismatch","message":"a.onnx differs"}"#;
const UNREACHABLE: &str =
    r#"{"schemaVersion":1,"ok":false,"reason":"Unreachable","message":"no route"}"#;

fn condition(status: &tts_crds::v1alpha1::TtsVoiceStatus, type_: &str) -> Option<String> {
    status
        .conditions
        .iter()
        .find(|c| c.type_ == type_)
        .map(|c| format!("{} {}", c.status, c.reason))
}

#[test]
fn a_new_voice_gets_a_job() {
    let job = build(&look(&voice(), &[], &[], 0)).job;
    insta::assert_yaml_snapshot!("inspection-job", job);
}

#[test]
fn a_passed_inspection_is_recorded_and_then_its_job_is_not_needed() {
    let mut voice = voice();
    let job = ended(started(&voice, &[], 0), "Complete", 10);
    let pod = pod_with_report(&job, PASSED);
    let passed = look(
        &voice,
        std::slice::from_ref(&job),
        std::slice::from_ref(&pod),
        11,
    );
    assert_eq!(
        passed.kept_jobs,
        [job.metadata.name.clone().unwrap()],
        "the status is not written yet"
    );
    let recorded = status(&voice, &passed, at(11));
    assert_eq!(condition(&recorded, "Ready").unwrap(), "True Inspected");
    assert_eq!(condition(&recorded, "Reconciling"), None);
    assert_eq!(recorded.sample_rate_hz, Some(16_000));

    voice.status = Some(recorded.clone());
    let after = look(&voice, std::slice::from_ref(&job), &[pod], 12);
    assert_eq!(after.inspection, Inspection::Recorded);
    assert!(after.kept_jobs.is_empty());
    let unchanged = status(&voice, &after, at(99));
    assert_eq!(unchanged, recorded, "a status is written once");
}

#[test]
fn a_bad_voice_is_stalled_and_tried_again_after_an_hour() {
    let voice = voice();
    let job = ended(started(&voice, &[], 0), "Failed", 10);
    let pod = pod_with_report(&job, MISMATCH);
    let failed = look(
        &voice,
        std::slice::from_ref(&job),
        std::slice::from_ref(&pod),
        20,
    );
    let Inspection::Failed { retry_in, .. } = &failed.inspection else {
        panic!("{:?}", failed.inspection);
    };
    assert_eq!(*retry_in, Duration::from_secs(3_590));
    let told = status(&voice, &failed, at(20));
    assert_eq!(condition(&told, "Ready").unwrap(), "False DigestMismatch");
    assert_eq!(
        condition(&told, "SourceVerified").unwrap(),
        "False DigestMismatch"
    );
    assert_eq!(condition(&told, "Stalled").unwrap(), "True DigestMismatch");

    let again = look(&voice, &[job], &[pod], 10 + 3_600);
    assert_eq!(again.inspection, start(1));
}

#[test]
fn an_unreachable_source_is_tried_again_with_growing_waits() {
    let voice = voice();
    let mut job = ended(started(&voice, &[], 0), "Failed", 100);
    for (attempt, wait) in [(0, 15), (1, 30), (2, 60), (9, 600)] {
        job.metadata
            .annotations
            .as_mut()
            .unwrap()
            .insert(ATTEMPT.to_owned(), attempt.to_string());
        let pod = pod_with_report(&job, UNREACHABLE);
        let jobs = std::slice::from_ref(&job);
        let before = look(&voice, jobs, std::slice::from_ref(&pod), 100 + wait - 1);
        assert!(matches!(before.inspection, Inspection::Failed { .. }));
        let told = status(&voice, &before, at(100));
        assert_eq!(condition(&told, "Reconciling").unwrap(), "True Unreachable");
        assert_eq!(condition(&told, "Stalled"), None);
        let due = look(&voice, jobs, &[pod], 100 + wait);
        assert_eq!(due.inspection, start(attempt + 1));
        assert!(due.kept_jobs.is_empty(), "the failed one goes");
    }
}

#[test]
fn each_attempt_has_a_job_of_its_own_name() {
    let voice = voice();
    let first = ended(started(&voice, &[], 0), "Failed", 0);
    let second = started(&voice, std::slice::from_ref(&first), 10_000);
    assert_ne!(first.metadata.name, second.metadata.name);
}

#[test]
fn a_changed_source_is_inspected_anew_and_the_old_facts_go() {
    let mut voice = voice();
    let job = ended(started(&voice, &[], 0), "Complete", 10);
    let pod = pod_with_report(&job, PASSED);
    let passed = look(&voice, &[job], &[pod], 11);
    voice.status = Some(status(&voice, &passed, at(11)));

    voice.metadata.generation = Some(2);
    voice.spec.source.builtin.as_mut().unwrap().name = "tenor".to_owned();
    let changed = look(&voice, &[], &[], 20);
    assert_eq!(changed.inspection, start(0));
    let told = status(&voice, &changed, at(20));
    assert_eq!(condition(&told, "Ready").unwrap(), "False Inspecting");
    assert_eq!((told.digest, told.observed_generation), (None, 2));
}

#[test]
fn a_retry_keeps_what_the_last_inspection_found() {
    let mut voice = voice();
    let job = ended(started(&voice, &[], 0), "Failed", 10);
    let pod = pod_with_report(&job, MISMATCH);
    let jobs = std::slice::from_ref(&job);
    let failed = look(&voice, jobs, std::slice::from_ref(&pod), 20);
    let told = status(&voice, &failed, at(20));
    voice.status = Some(told.clone());

    let again = look(&voice, jobs, &[pod], 10 + 3_600);
    assert_eq!(again.inspection, start(1));
    assert_eq!(status(&voice, &again, at(3_610)), told);
    let second = started(&voice, jobs, 10_000);
    let running = look(&voice, &[second], &[], 10_001);
    assert_eq!(status(&voice, &running, at(10_001)), told);

    // Another source is another matter.
    voice.metadata.generation = Some(2);
    let changed = status(&voice, &running, at(10_002));
    assert_eq!(condition(&changed, "Stalled"), None);
}

const NEWER: &str = "registry.test/tts-server:10";

#[test]
fn a_new_server_image_leaves_a_voice_ready_while_it_is_inspected() {
    let voice = recorded();
    assert_eq!(voice.status.as_ref().unwrap().inspected_images, [IMAGE]);
    let refreshed = look_with(NEWER, &voice, &[], &[], 20);
    assert_eq!(refreshed.inspection, start(0));
    let told = status(&voice, &refreshed, at(20));
    assert!(conditions::is_true(&told.conditions, "Ready"));
    assert!(conditions::is_true(&told.conditions, "Reconciling"));
    assert_eq!(told.digest.as_deref(), Some("sha256:ab"));
    assert_eq!(told.inspected_images, [IMAGE]);
}

/// The job of [`NEWER`], and what the voice is with its report.
fn with_newer(voice: &TtsVoice, type_: &str, report: &str) -> TtsVoiceStatus {
    let mut job = build(&look_with(NEWER, voice, &[], &[], 20))
        .job
        .expect("a Job");
    job.metadata.uid = Some("newer".to_owned());
    let job = ended(job, type_, 30);
    let pod = pod_with_report(&job, report);
    status(voice, &look_with(NEWER, voice, &[job], &[pod], 31), at(31))
}

#[test]
fn a_voice_that_fails_with_a_new_server_image_stays_ready_and_says_so() {
    let mut voice = recorded();
    let broken = r#"{"schemaVersion":1,"ok":false,"reason":"UnsupportedVoice","message":"no such operator"}"#;
    let told = with_newer(&voice, "Failed", broken);
    assert_eq!(condition(&told, "Ready").unwrap(), "True Inspected");
    assert_eq!(
        condition(&told, "Inspected").unwrap(),
        "False UnsupportedVoice"
    );
    assert_eq!(condition(&told, "SourceVerified").unwrap(), "True Verified");
    assert_eq!(condition(&told, "Stalled"), None);
    assert_eq!(told.inspected_images, [IMAGE]);
    let inspected = told.conditions.iter().find(|c| c.type_ == "Inspected");
    let message = &inspected.unwrap().message;
    assert!(
        message.contains(NEWER) && message.contains("no such operator"),
        "{message}"
    );

    // Back to the image with which it passed: there is nothing to inspect.
    voice.status = Some(told);
    let back = look(&voice, &[], &[], 40);
    assert_eq!(back.inspection, Inspection::Recorded);
    assert_eq!(
        condition(&status(&voice, &back, at(40)), "Inspected").unwrap(),
        "True Spoke"
    );
}

#[test]
fn a_voice_that_passes_with_a_new_server_image_gets_its_facts() {
    let told = with_newer(&recorded(), "Complete", &PASSED.replace("16000", "24000"));
    assert_eq!(told.inspected_images, [NEWER, IMAGE]);
    assert_eq!(told.sample_rate_hz, Some(24_000));
}

#[test]
fn an_inspection_that_runs_out_of_memory_is_repeated_with_more() {
    let voice = voice();
    let mut job = ended(started(&voice, &[], 0), "Failed", 10);
    let mut pod = pod_with_report(&job, "");
    let killed = serde_json::json!({"exitCode": 137, "reason": "OOMKilled"});
    let mut value = serde_json::to_value(&pod).unwrap();
    value["status"]["containerStatuses"][0]["state"]["terminated"] = killed;
    pod = serde_json::from_value(value).unwrap();
    let seen = look(
        &voice,
        std::slice::from_ref(&job),
        std::slice::from_ref(&pod),
        11,
    );
    let Inspection::Start { attempt: 1, memory } = seen.inspection else {
        panic!("{:?}", seen.inspection);
    };
    assert_eq!(memory, 1 << 30);
    // At the most there is no more: it waits as after any failure.
    let pod_spec = job.spec.as_mut().unwrap().template.spec.as_mut().unwrap();
    let resources = pod_spec.containers[0].resources.as_mut().unwrap();
    let limits = resources.limits.as_mut().unwrap();
    limits.insert(
        "memory".to_owned(),
        k8s_openapi::apimachinery::pkg::api::resource::Quantity("8Gi".to_owned()),
    );
    let seen = look(&voice, &[job], &[pod], 11);
    let Inspection::Failed { failure, .. } = seen.inspection else {
        panic!("{:?}", seen.inspection);
    };
    assert!(failure.message.contains("8192Mi"), "{failure:?}");
}

#[test]
fn a_pull_secret_that_comes_later_restarts_an_inspection_that_waits_for_its_image() {
    let voice = voice();
    let job = started(&voice, &[], 0);
    let mut pod = pod_with_report(&job, "");
    let mut value = serde_json::to_value(&pod).unwrap();
    value["status"]["containerStatuses"][0]["state"] =
        serde_json::json!({"waiting": {"reason": "ImagePullBackOff", "message": "401"}});
    pod = serde_json::from_value(value).unwrap();
    let look = |secrets: &[&str]| {
        let references = References {
            jobs: vec![job.clone()],
            pods: vec![pod.clone()],
            pull_secrets: secrets.iter().map(|&secret| secret.to_owned()).collect(),
            ..References::default()
        };
        validate(&voice, &references, &settings(IMAGE), at(5)).unwrap()
    };
    assert!(matches!(
        look(&[]).inspection,
        Inspection::Running { attempt: 0, .. }
    ));
    let restarted = look(&["mirror"]);
    assert_eq!(restarted.inspection, start(1));
    let pod = build(&restarted)
        .job
        .unwrap()
        .spec
        .unwrap()
        .template
        .spec
        .unwrap();
    assert_eq!(pod.image_pull_secrets.unwrap()[0].name, "mirror");
}

#[test]
fn an_inspection_that_gets_no_pod_says_why_and_is_stalled_after_a_while() {
    let voice = voice();
    let mut job = started(&voice, &[], 0);
    job.metadata.creation_timestamp = Some(k8s_openapi::apimachinery::pkg::apis::meta::v1::Time(
        at(100),
    ));
    let references = References {
        jobs: vec![job],
        unstarted: Some("exceeded quota: pods=0".to_owned()),
        ..References::default()
    };
    let told = |seconds| {
        let seen = validate(&voice, &references, &settings(IMAGE), at(seconds)).unwrap();
        status(&voice, &seen, at(seconds))
    };
    let soon = told(110);
    assert_eq!(condition(&soon, "Reconciling").unwrap(), "True Inspecting");
    let ready = soon.conditions.iter().find(|c| c.type_ == "Ready").unwrap();
    assert!(
        ready.message.contains("exceeded quota"),
        "{}",
        ready.message
    );
    assert_eq!(condition(&told(219), "Stalled"), None);
    assert_eq!(
        condition(&told(220), "Stalled").unwrap(),
        "True InspectionBlocked"
    );
}

#[test]
fn a_queued_inspection_says_what_it_waits_for() {
    let voice = voice();
    let mut seen = look(&voice, &[], &[], 0);
    seen.inspection = Inspection::Queued { attempt: 0 };
    let told = status(&voice, &seen, at(0));
    let ready = told.conditions.iter().find(|c| c.type_ == "Ready").unwrap();
    assert!(
        ready.message.contains("fewer than 8 inspections"),
        "{}",
        ready.message
    );
}

#[test]
fn a_job_of_somebody_else_with_our_labels_is_left_alone() {
    let mut foreign = started(&voice(), &[], 0);
    foreign.metadata.owner_references.as_mut().unwrap()[0].uid = "another".to_owned();
    let seen = look(&voice(), &[foreign], &[], 0);
    assert_eq!(seen.inspection, start(0));
}

#[test]
fn the_annotations_tell_what_a_job_inspects() {
    let voice = voice();
    let job = started(&voice, &[], 0);
    let expected = look(&voice, &[], &[], 0).subject;
    assert_eq!(job.metadata.annotations.unwrap()[SUBJECT], expected);
}
