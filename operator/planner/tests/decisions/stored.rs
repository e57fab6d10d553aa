//! Plans that are kept: their hash, their form, and what it takes to get to them.

use tts_planner::{Change, Current, Measurement, Profile, StoredPlan, predict};
use tts_planner_dev::samples::{changed, request};

use crate::{only_cpu, planned};

#[test]
fn the_hash_follows_the_inputs() {
    let same = request().input_hash();
    assert_eq!(same.len(), 64);
    assert_eq!(same, request().input_hash());
    assert_ne!(
        same,
        changed(&request(), |r| r.load.audio_cv += 1e-9).input_hash()
    );
    let profile: Profile = request().measurements[0].profile.clone();
    assert_ne!(
        same,
        changed(&request(), |r| r.measurements.push(
            Measurement::as_recorded(Profile {
                id: "x".to_owned(),
                ..profile
            })
        ))
        .input_hash()
    );
    // Whatever the version that computes it, as long as the projection is the same.
    assert_eq!(
        same,
        "a96a34b3b365726860ae527ddf3c342f590bdcefe4a439bf811390376c2cb85f"
    );
}

#[test]
fn a_stored_plan_keeps_what_a_newer_version_wrote() {
    let plan = planned(&request());
    let mut stored = serde_json::to_value(StoredPlan::from(plan.clone())).unwrap();
    stored["risk"] = "low".into();
    stored["pod"]["resources"]["hugepages"] = 2.into();
    // A version that did not know these fields.
    stored.as_object_mut().unwrap().remove("inputHash");
    stored["predicted"].as_object_mut().unwrap().remove("watts");
    let mut read: StoredPlan = serde_json::from_value(stored).unwrap();
    assert_eq!(read.plan.input_hash, "");
    read.plan.input_hash.clone_from(&plan.input_hash);
    assert_eq!(read.plan, plan);
    read.plan.pod.resources.memory += 100.0;
    let written = serde_json::to_value(&read).unwrap();
    assert_eq!(written["risk"], "low");
    assert_eq!(written["pod"]["resources"]["hugepages"], 2);
    let memory = plan.pod.resources.memory + 100.0;
    assert_eq!(written["pod"]["resources"]["memory"], memory);
    let mut newer = written;
    newer["schema"] = "tts.plan/v2".into();
    let error = serde_json::from_value::<StoredPlan>(newer).unwrap_err();
    assert!(error.to_string().contains("tts.plan/v1"), "{error}");
}

#[test]
fn a_change_says_whether_it_needs_new_pods() {
    let plan = planned(&only_cpu());
    let now = plan.as_current().unwrap();
    assert_eq!(Change::between(&now, &plan), Change::None);
    let change = |change: fn(&mut Current)| {
        let mut other = now.clone();
        change(&mut other);
        Change::between(&other, &plan)
    };
    assert_eq!(change(|c| c.replicas = Some(99)), Change::None);
    assert_eq!(change(|c| c.memory = Some(64.0)), Change::InPlace);
    assert_eq!(
        change(|c| c.cpu = c.cpu.map(|cpu| cpu + 0.5)),
        Change::InPlace
    );
    assert_eq!(
        change(|c| c.cpu = c.cpu.map(|cpu| cpu + 1.0)),
        Change::Rollout
    );
    assert_eq!(change(|c| c.concurrency = Some(1)), Change::Rollout);
    assert_eq!(change(|c| c.queue = Some(1)), Change::Rollout);
    assert_eq!(change(|c| c.class = "other".to_owned()), Change::Rollout);
}

#[test]
fn a_prediction_is_what_the_plan_says_and_follows_the_replicas() {
    let request = only_cpu();
    let plan = planned(&request);
    let mut shape = plan.as_current().unwrap();
    let same = predict(&request, &shape).unwrap();
    let planned = plan.predicted.unwrap();
    assert!((same.late_or_rejected - planned.late_or_rejected).abs() < 1e-12);
    assert!((same.rate - planned.rate).abs() < 1e-12);
    shape.replicas = shape.replicas.map(|replicas| replicas * 3);
    let more = predict(&request, &shape).unwrap();
    assert!(more.late_or_rejected < same.late_or_rejected);
    assert!((more.cost_per_hour - 3.0 * same.cost_per_hour).abs() < 1e-9);
    shape.threads = Some(77);
    let error = predict(&request, &shape).unwrap_err().to_string();
    assert!(error.contains("measure that size"), "{error}");
}
