//! The lifecycle of an inspection through `validate` and `status`.
use std::{sync::Arc, time::Duration};

use jiff::Timestamp;
use k8s_openapi::api::{batch::v1::Job, core::v1::Pod};
use tts_crds::v1alpha1::TtsVoice;

use super::{
    apply::Applied,
    build::build,
    dereference::References,
    status::status,
    validate::{ATTEMPT, Inspection, SOURCE, ValidatedVoice, validate},
};
use crate::{conditions, settings::ServerSettings};

const IMAGE: &str = "registry.test/tts-server:9";

fn settings(image: &str) -> Arc<ServerSettings> {
    Arc::new(ServerSettings {
        image: image.to_owned(),
        image_pull_policy: "IfNotPresent".to_owned(),
        image_pull_secrets: vec![],
        download: crate::settings::DownloadSettings::default(),
    })
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
    let references = References {
        jobs: jobs.to_vec(),
        pods: pods.to_vec(),
    };
    validate(voice, &references, &settings(IMAGE), at(now)).unwrap()
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
    assert!(
        passed.stale_jobs.is_empty(),
        "the status is not written yet"
    );
    let recorded = status(&voice, &passed, &Applied::for_test(), at(11));
    assert_eq!(condition(&recorded, "Ready").unwrap(), "True Inspected");
    assert_eq!(condition(&recorded, "Reconciling"), None);
    assert_eq!(recorded.sample_rate_hz, Some(16_000));

    voice.status = Some(recorded.clone());
    let after = look(&voice, std::slice::from_ref(&job), &[pod], 12);
    assert_eq!(after.inspection, Inspection::Recorded);
    assert_eq!(after.stale_jobs, [job.metadata.name.unwrap()]);
    let unchanged = status(&voice, &after, &Applied::for_test(), at(99));
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
    let told = status(&voice, &failed, &Applied::for_test(), at(20));
    assert_eq!(condition(&told, "Ready").unwrap(), "False DigestMismatch");
    assert_eq!(
        condition(&told, "SourceVerified").unwrap(),
        "False DigestMismatch"
    );
    assert_eq!(condition(&told, "Stalled").unwrap(), "True DigestMismatch");

    let again = look(&voice, &[job], &[pod], 10 + 3_600);
    assert_eq!(again.inspection, Inspection::Start { attempt: 1 });
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
        let told = status(&voice, &before, &Applied::for_test(), at(100));
        assert_eq!(condition(&told, "Reconciling").unwrap(), "True Unreachable");
        assert_eq!(condition(&told, "Stalled"), None);
        let due = look(&voice, jobs, &[pod], 100 + wait);
        assert_eq!(
            due.inspection,
            Inspection::Start {
                attempt: attempt + 1
            }
        );
        assert_eq!(due.stale_jobs.len(), 1, "the failed one goes");
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
    voice.status = Some(status(&voice, &passed, &Applied::for_test(), at(11)));

    voice.metadata.generation = Some(2);
    voice.spec.source.builtin.as_mut().unwrap().name = "tenor".to_owned();
    let changed = look(&voice, &[], &[], 20);
    assert_eq!(changed.inspection, Inspection::Start { attempt: 0 });
    let told = status(&voice, &changed, &Applied::for_test(), at(20));
    assert_eq!(condition(&told, "Ready").unwrap(), "False Inspecting");
    assert_eq!((told.digest, told.observed_generation), (None, 2));
}

/// The server image contains the built-in voices, so a new image is inspected while the voice stays ready.
#[test]
fn a_new_server_image_leaves_a_builtin_voice_ready_while_it_is_inspected() {
    let mut voice = voice();
    let job = ended(started(&voice, &[], 0), "Complete", 10);
    let pod = pod_with_report(&job, PASSED);
    let passed = look(&voice, &[job], &[pod], 11);
    voice.status = Some(status(&voice, &passed, &Applied::for_test(), at(11)));

    let references = References {
        jobs: vec![],
        pods: vec![],
    };
    let newer = settings("registry.test/tts-server:10");
    let refreshed = validate(&voice, &references, &newer, at(20)).unwrap();
    assert_eq!(refreshed.inspection, Inspection::Start { attempt: 0 });
    let told = status(&voice, &refreshed, &Applied::for_test(), at(20));
    assert!(conditions::is_true(&told.conditions, "Ready"));
    assert!(conditions::is_true(&told.conditions, "Reconciling"));
    assert_eq!(told.digest.as_deref(), Some("sha256:ab"));
}

#[test]
fn a_job_of_somebody_else_with_our_labels_is_left_alone() {
    let mut foreign = started(&voice(), &[], 0);
    foreign.metadata.owner_references = None;
    let seen = look(&voice(), &[foreign], &[], 0);
    assert_eq!(seen.inspection, Inspection::Start { attempt: 0 });
    assert!(seen.stale_jobs.is_empty());
}

#[test]
fn the_annotations_tell_what_a_job_inspects() {
    let voice = voice();
    let job = started(&voice, &[], 0);
    let expected = look(&voice, &[], &[], 0).source_id;
    assert_eq!(job.metadata.annotations.unwrap()[SOURCE], expected);
}
