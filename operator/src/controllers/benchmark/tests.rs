//! From a benchmark and what is there to its next step and its status.
use std::{collections::BTreeMap, sync::Arc, time::Duration};

use jiff::Timestamp;
use k8s_openapi::{
    api::{batch::v1::Job, core::v1::Pod},
    apimachinery::pkg::apis::meta::v1::Condition,
};
use sha2::{Digest as _, Sha256};
use tts_crds::v1alpha1::{TtsBenchmark, TtsVoice};
use tts_planner::Profile;

use super::{
    Kept, build,
    dereference::{NoSite, References, Site},
    status::status,
    validate::{self, Step, ValidatedBenchmark},
};
use crate::{children::hex, inventory::Occupancy, settings::Settings};

const NOW: &str = "2024-05-01T10:00:00Z";

fn now() -> Timestamp {
    NOW.parse().unwrap()
}

fn settings() -> Arc<Settings> {
    Arc::new(serde_saphyr::from_str("server: {image: 'registry.test/server:1'}").unwrap())
}

fn benchmark(spec: &str, status: &str) -> TtsBenchmark {
    serde_saphyr::from_str(&format!(
        "{{apiVersion: tts-operator.dev/v1alpha1, kind: TtsBenchmark, metadata: {{name: nightly, namespace: stage, uid: b-1, generation: 1, creationTimestamp: '2024-04-30T10:00:00Z'}}, spec: {spec}, status: {status}}}"
    ))
    .unwrap()
}

fn voice(ready: &str) -> TtsVoice {
    serde_saphyr::from_str(&format!(
        "{{apiVersion: tts-operator.dev/v1alpha1, kind: TtsVoice, metadata: {{name: amy, namespace: stage}}, spec: {{source: {{builtin: {{name: rms}}}}}}, status: {{digest: 'sha256:ab', peakMemoryBytes: 104857600, conditions: [{{type: Ready, status: '{ready}', reason: R, message: m, lastTransitionTime: '{NOW}'}}]}}}}"
    ))
    .unwrap()
}

fn with_voice() -> References {
    References {
        voice: Some(voice("True")),
        ..References::default()
    }
}

fn validated(object: &TtsBenchmark, references: &References) -> ValidatedBenchmark {
    validate::validate(object, references, &settings(), now()).unwrap()
}

fn step(spec: &str, references: &References) -> Step {
    validated(&benchmark(spec, "{}"), references).step
}

const SIMPLE: &str = "{voice: {name: amy}}";

fn site() -> Site {
    Site {
        node: Some("birch".to_owned()),
        class: "strong".to_owned(),
        allocatable: Some(2.0),
        occupancy: Occupancy {
            serving: 1,
            requested: 0.75,
        },
    }
}

/// The Job of a benchmark with what its pod left.
fn ended(benchmark: &ValidatedBenchmark, attempt: u32, terminated: &str) -> References {
    let mut job: Job = build::job(benchmark, &site(), attempt);
    job.metadata.uid = Some("job-1".to_owned());
    let pod: Pod = serde_saphyr::from_str(&format!(
        "{{metadata: {{name: p, ownerReferences: [{{apiVersion: batch/v1, kind: Job, name: j, uid: job-1}}]}}, status: {{containerStatuses: [{{name: profile, image: '', imageID: '', ready: false, restartCount: 0, state: {terminated}}}]}}}}"
    ))
    .unwrap();
    References {
        jobs: vec![job],
        pods: vec![pod],
        ..with_voice()
    }
}

fn terminated(message: &str, at: &str) -> String {
    format!("{{terminated: {{exitCode: 0, finishedAt: '{at}', message: '{message}'}}}}")
}

#[test]
fn a_benchmark_of_a_ready_voice_starts() {
    assert_eq!(step(SIMPLE, &with_voice()), Step::Start { attempt: 0 });
}

#[test]
fn what_keeps_it_from_starting() {
    let reason = |spec: &str, references: &References| match step(spec, references) {
        Step::Waiting { reason, .. } | Step::Invalid { reason, .. } => reason,
        other => panic!("{other:?}"),
    };
    let unready = References {
        voice: Some(voice("False")),
        ..References::default()
    };
    assert_eq!(reason(SIMPLE, &References::default()), "VoiceNotFound");
    assert_eq!(reason(SIMPLE, &unready), "VoiceNotReady");
    let suspended = "{voice: {name: amy}, suspend: true}";
    assert_eq!(reason(suspended, &with_voice()), "Suspended");
    let ask = "{voice: {name: amy}, approval: Ask}";
    assert_eq!(reason(ask, &with_voice()), "WaitingForApproval");
    let cron = "{voice: {name: amy}, schedule: {cron: nightly-at-3}}";
    assert_eq!(reason(cron, &with_voice()), "InvalidSchedule");
}

#[test]
fn an_approval_is_of_what_was_shown() {
    let spec = "{voice: {name: amy}, approval: Ask}";
    let mut object = benchmark(spec, "{}");
    let hash = validated(&object, &with_voice()).estimate.hash;
    object.metadata.annotations = Some(BTreeMap::from([(
        tts_crds::v1alpha1::APPROVE.to_owned(),
        hash,
    )]));
    assert_eq!(
        validated(&object, &with_voice()).step,
        Step::Start { attempt: 0 }
    );
    // Approved for another sweep.
    object.spec.sweep = tts_crds::v1alpha1::Sweep::Full;
    assert!(matches!(
        validated(&object, &with_voice()).step,
        Step::Waiting {
            reason: "WaitingForApproval",
            ..
        }
    ));
}

#[test]
fn a_missed_time_is_made_up_for_once() {
    let spec = "{voice: {name: amy}, schedule: {cron: '0 3 * * *'}}";
    // Created before the last time, and never measured.
    assert_eq!(step(spec, &with_voice()), Step::Start { attempt: 0 });
    let measured = benchmark(spec, "{lastScheduleTime: '2024-05-01T03:00:00Z'}");
    let Step::Waiting {
        reason: "Scheduled",
        until: Some(until),
        ..
    } = validated(&measured, &with_voice()).step
    else {
        panic!("it is not due");
    };
    assert_eq!(until, Duration::from_hours(17));
}

#[test]
fn a_running_job_is_not_overtaken_by_the_next_time() {
    let spec = "{voice: {name: amy}, schedule: {cron: '*/5 * * * *'}}";
    let object = benchmark(spec, "{}");
    let first = validated(&object, &with_voice());
    let mut job = build::job(&first, &site(), 0);
    job.metadata.uid = Some("job-1".to_owned());
    let references = References {
        jobs: vec![job],
        ..with_voice()
    };
    let later = now() + Duration::from_mins(7);
    let again = validate::validate(&object, &references, &settings(), later).unwrap();
    assert_eq!(again.subject, first.subject);
    assert_eq!(again.step, Step::Running { waiting: None });
    assert_eq!(again.kept_jobs.len(), 1);
}

#[test]
fn the_estimate_follows_the_levels_and_the_last_measurement() {
    let minutes = |spec: &str, status: &str, last_duration| {
        let references = References {
            last_duration,
            ..with_voice()
        };
        let validated = validated(&benchmark(spec, status), &references);
        let deadline = build::job(&validated, &site(), 0).spec.unwrap();
        (
            validated.estimate.minutes,
            deadline.active_deadline_seconds.unwrap() / 60,
        )
    };
    assert_eq!(minutes(SIMPLE, "{}", None), (5, 45));
    let full = "{voice: {name: amy}, sweep: Full}";
    assert_eq!(minutes(full, "{}", None), (30, 180));
    let slow = "{voice: {name: amy}, levelSeconds: 60}";
    assert_eq!(minutes(slow, "{}", None), (32, 192));
    // Of another sweep, the last one says nothing.
    assert_eq!(minutes(SIMPLE, "{measured: other}", Some(700.0)).0, 5);
    let subject = validated(&benchmark(SIMPLE, "{}"), &with_voice()).subject;
    let status = format!("{{measured: '{subject}'}}");
    assert_eq!(minutes(SIMPLE, &status, Some(700.0)), (12, 72));
}

#[test]
fn the_cost_is_shown_before_approval() {
    let settings = "{server: {image: x}, prices: {strong: 0.36}}";
    let settings: Arc<Settings> = Arc::new(serde_saphyr::from_str(settings).unwrap());
    let asked = |class: &str| {
        let spec = format!("{{voice: {{name: amy}}, nodeClass: {class}, approval: Ask}}");
        let object = benchmark(&spec, "{}");
        let found = validate::validate(&object, &with_voice(), &settings, now()).unwrap();
        let Step::Waiting { message, .. } = found.step else {
            panic!("{:?}", found.step);
        };
        (found.estimate.cost, message.contains("costs 0.030"))
    };
    assert_eq!(asked("strong"), (Some("0.030".to_owned()), true));
    assert_eq!(asked("weak"), (None, false));
}

#[test]
fn each_run_is_recorded_once_for_a_day() {
    let object = benchmark(
        SIMPLE,
        "{runs: [{job: old, startTime: '2024-04-30T09:00:00Z', endTime: '2024-04-30T09:10:00Z'},
                 {job: late, startTime: '2024-05-01T09:00:00Z', endTime: '2024-05-01T09:10:00Z'}]}",
    );
    let first = validated(&object, &with_voice());
    let lost = "{terminated: {exitCode: 137, finishedAt: '2024-05-01T09:59:30Z'}}";
    let mut references = ended(&first, 0, lost);
    let start = serde_saphyr::from_str("'2024-05-01T09:50:00Z'").unwrap();
    references.pods[0].status.as_mut().unwrap().start_time = Some(start);
    let failed = validated(&object, &references);
    let (recorded, _) = status(&object, &failed, None, now());
    let jobs: Vec<&str> = recorded.runs.iter().map(|run| run.job.as_str()).collect();
    assert_eq!(
        jobs,
        ["late", &references.jobs[0].metadata.name.clone().unwrap()]
    );
    assert_eq!(recorded.runs[1].start_time, "2024-05-01T09:50:00Z");
    assert_eq!(recorded.runs[1].end_time, "2024-05-01T09:59:30Z");
    let mut again = object;
    again.status = Some(recorded.clone());
    let failed = validated(&again, &references);
    assert_eq!(status(&again, &failed, None, now()).0.runs, recorded.runs);
}

#[test]
fn a_slow_drift_is_told_and_stays() {
    use crate::conditions::DRIFTING;
    let object = benchmark(SIMPLE, "{profile: accepted, acceptedProfile: accepted}");
    let mut measured = validated(&object, &with_voice());
    let profile = timed(1.0);
    measured.step = Step::Measured(Box::new(profile.clone()));
    let mut kept = kept("night-11", &profile, Some(timed(1.0)));
    let nights = (0..12_u32).rev().map(|night| {
        let mut profile = profile.clone();
        let noise = 1.0 + f64::from(night * 37 % 11) / 2000.0;
        for config in &mut profile.configs {
            config.levels[0].s_p50 *= if night < 7 { noise } else { 1.05 * noise };
        }
        let spec = tts_crds::v1alpha1::TtsProfileSpec(profile);
        tts_crds::v1alpha1::TtsProfile::new(&format!("night-{night}"), spec)
    });
    kept.history = nights.collect();
    let (recorded, verdicts) = status(&object, &measured, Some(&kept), now());
    let drifting = |conditions: &[Condition]| {
        let found = conditions.iter().find(|c| c.type_ == DRIFTING).unwrap();
        (found.status.clone(), found.message.clone())
    };
    let (state, message) = drifting(&recorded.conditions);
    assert_eq!(state, "True");
    assert!(message.starts_with("since night-7"), "{message}");
    let events = crate::conditions::events(&[], &verdicts);
    assert!(events.iter().any(|event| event.reason == "SlowDrift"
        && event.type_ == kube::runtime::events::EventType::Warning));
    // While nothing new is measured, it stays.
    let mut later = object;
    later.status = Some(recorded.clone());
    let done = validated(&later, &with_voice());
    let (repeated, _) = status(&later, &done, None, now());
    assert_eq!(
        drifting(&repeated.conditions),
        drifting(&recorded.conditions)
    );
}

#[test]
fn a_place_is_waited_for() {
    let place = |site| validate::place(site, 0);
    assert!(matches!(place(Ok(site())), Step::Placed { attempt: 0, .. }));
    assert!(matches!(place(Err(NoSite::Occupied)), Step::Queued { .. }));
    let Step::Blocked { message, .. } = place(Err(NoSite::Forbidden)) else {
        panic!("nodes cannot be read");
    };
    assert!(message.contains("rbac.nodes"), "{message}");
}

#[test]
fn the_job_measures_on_its_node_with_what_is_free() {
    let benchmark = validated(&benchmark(SIMPLE, "{}"), &with_voice());
    insta::assert_yaml_snapshot!(build::job(&benchmark, &site(), 0));
}

#[test]
fn failures_are_tried_again_within_bounds() {
    let first = validated(&benchmark(SIMPLE, "{}"), &with_voice());
    let after = |attempt, terminated: &str| {
        validated(
            &benchmark(SIMPLE, "{}"),
            &ended(&first, attempt, terminated),
        )
        .step
    };
    let lost = "{terminated: {exitCode: 137, finishedAt: '2024-05-01T09:59:30Z'}}";
    let Step::Failed {
        retry_in,
        gave_up: false,
        ..
    } = after(0, lost)
    else {
        panic!("a minute has not passed");
    };
    assert_eq!(retry_in, Duration::from_secs(30));
    let earlier = "{terminated: {exitCode: 137, finishedAt: '2024-05-01T09:50:00Z'}}";
    assert_eq!(after(0, earlier), Step::Start { attempt: 1 });
    assert!(matches!(
        after(2, earlier),
        Step::Failed { gave_up: true, .. }
    ));
    let permanent = terminated(
        r#"{"error":"the corpus is empty","reason":"InvalidCorpus","permanent":true}"#,
        NOW,
    );
    let Step::Failed {
        failure,
        gave_up: true,
        ..
    } = after(0, &permanent)
    else {
        panic!("it would end the same");
    };
    assert_eq!(failure.reason, "InvalidCorpus");
}

#[test]
fn a_profile_comes_out_of_the_log_and_is_accepted() {
    let object = benchmark(SIMPLE, "{}");
    let first = validated(&object, &with_voice());
    let profile: serde_json::Value =
        serde_json::from_str(tts_planner_dev::samples::PROFILE).unwrap();
    let text = profile.to_string();
    let sha256 = hex(&Sha256::digest(&text));
    let message = format!(
        r#"{{"profile":{{"bytes":{},"sha256":"{sha256}"}}}}"#,
        text.len()
    );
    let mut references = ended(&first, 0, &terminated(&message, NOW));
    let job = references.jobs[0].metadata.name.clone().unwrap();
    let log = format!(
        "tts-profile-begin {} {sha256}\ntts-profile-data {text}\ntts-profile-end\n",
        text.len()
    );
    references.logs.insert(job.clone(), Ok(log));
    let measured = validated(&object, &references);
    let Step::Measured(profile) = &measured.step else {
        panic!("{:?}", measured.step);
    };
    assert_eq!(
        build::profile(&measured, profile).metadata.name.as_deref(),
        Some("piper-en-us-lessac-medium-gpu-l4-3f9c21aa")
    );
    let kept = kept("first", profile, None);
    let (recorded, _) = status(&object, &measured, Some(&kept), now());
    assert_eq!(recorded.accepted_profile.as_deref(), Some("first"));
    assert_eq!(recorded.measured.as_deref(), Some(first.subject.as_str()));
    assert!(
        recorded
            .conditions
            .iter()
            .any(|condition| condition.type_ == "Succeeded" && condition.status == "True")
    );

    // The same again starts nothing: what was measured is recorded.
    let mut later = object;
    later.status = Some(recorded);
    assert_eq!(validated(&later, &with_voice()).step, Step::Done);
    // Nobody may read the log.
    references
        .logs
        .insert(job, Err("no right to read pods/log".to_owned()));
    assert!(matches!(
        validated(&benchmark(SIMPLE, "{}"), &references).step,
        Step::Failed { gave_up: true, .. }
    ));
}

fn kept(name: &str, profile: &Profile, accepted: Option<Profile>) -> Kept {
    Kept {
        name: name.to_owned(),
        is_new: true,
        accepted: accepted.map(|accepted| ("accepted".to_owned(), accepted)),
        profile: profile.clone(),
        history: Vec::new(),
    }
}

/// A profile whose requests take so long.
fn timed(factor: f64) -> Profile {
    use tts_planner::profile::details::{Details, Request};
    let mut profile = Profile::from_json(tts_planner_dev::samples::PROFILE).unwrap();
    let samples = (0..120_u32).map(|index| Request {
        text: index % 12,
        service_s: factor * (1.0 + f64::from(index * 37 % 101) / 2000.0),
        first_audio_s: factor,
    });
    let details = Details {
        samples: samples.collect(),
        ..Details::default()
    };
    profile.report = details.to_block();
    profile
}

#[test]
fn later_profiles_are_compared_with_the_accepted_one() {
    let object = benchmark(SIMPLE, "{profile: accepted, acceptedProfile: accepted}");
    let mut measured = validated(&object, &with_voice());
    let mut verdict = |factor: f64| {
        let profile = timed(factor);
        measured.step = Step::Measured(Box::new(profile.clone()));
        let kept = kept("later", &profile, Some(timed(1.0)));
        let (status, _) = status(&object, &measured, Some(&kept), now());
        let regressed = status
            .conditions
            .iter()
            .find(|condition| condition.type_ == "Regressed")
            .unwrap();
        (
            status.verdict.unwrap().result,
            regressed.status.clone(),
            status.accepted_profile.unwrap(),
        )
    };
    let says = |result: &str, regressed: &str, accepted: &str| {
        (result.to_owned(), regressed.to_owned(), accepted.to_owned())
    };
    assert_eq!(verdict(1.0), says("Pass", "False", "later"));
    assert_eq!(verdict(1.3), says("Regressed", "True", "accepted"));
    assert_eq!(verdict(1.06), says("Regressed", "True", "accepted"));
}
