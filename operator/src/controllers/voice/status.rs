//! The status of the voice. Pure: the controller writes it.
use jiff::Timestamp;
use kube::Resource as _;
use tts_crds::v1alpha1::{TtsVoice, TtsVoiceStatus};

use super::{
    apply::Applied,
    report::{Facts, Failure},
    validate::{Inspection, ValidatedVoice},
};
use crate::conditions::{
    self, READY, RECONCILING, STALLED,
    Status::{False, True, Unknown},
    Verdict,
};

const SOURCE_VERIFIED: &str = "SourceVerified";
const INSPECTED: &str = "Inspected";

/// Requires [`Applied`], so that the status is only computed after the changes were applied.
pub fn status(
    object: &TtsVoice,
    voice: &ValidatedVoice,
    _applied: &Applied,
    now: Timestamp,
) -> TtsVoiceStatus {
    let previous = object.status.clone().unwrap_or_default();
    let mut status = match &voice.inspection {
        Inspection::Passed(facts) => record(facts, &voice.source_id),
        _ if voice.facts_hold => previous.clone(),
        _ => TtsVoiceStatus::default(),
    };
    let generation = object.meta().generation;
    status.observed_generation = generation.unwrap_or_default();
    status.conditions = conditions::merge(&previous.conditions, verdicts(voice), generation, now);
    status
}

fn record(facts: &Facts, source_id: &str) -> TtsVoiceStatus {
    TtsVoiceStatus {
        inspected_source: Some(source_id.to_owned()),
        digest: Some(facts.digest.clone()),
        size_bytes: Some(facts.size_bytes),
        peak_memory_bytes: facts.peak_memory_bytes,
        family: Some(facts.family.clone()),
        sample_rate_hz: Some(facts.sample_rate_hz),
        languages: facts.languages.clone(),
        speakers: Some(facts.speakers.clone()),
        files: facts.files.clone(),
        ..TtsVoiceStatus::default()
    }
}

fn verdicts(voice: &ValidatedVoice) -> Vec<Verdict> {
    match &voice.inspection {
        Inspection::Recorded | Inspection::Passed(_) => passed(),
        Inspection::Start { .. } => running(voice.facts_hold, "starting an inspection"),
        Inspection::Running { waiting: None } => {
            running(voice.facts_hold, "an inspection is running")
        }
        Inspection::Running {
            waiting: Some(waiting),
        } => running(
            voice.facts_hold,
            &format!("the pod of the inspection is waiting: {waiting}"),
        ),
        // The voice was not inspected with the new server image yet: the recorded facts still hold.
        Inspection::Failed { failure, .. } if voice.facts_hold && !failure.is_permanent() => {
            running(true, &failure.message)
        }
        Inspection::Failed { failure, .. } => failed(failure),
    }
}

fn passed() -> Vec<Verdict> {
    vec![
        Verdict::new(
            SOURCE_VERIFIED,
            True,
            "Verified",
            "all files match their digests",
        ),
        Verdict::new(
            INSPECTED,
            True,
            "Spoke",
            "the voice loads and produces audio",
        ),
        Verdict::new(READY, True, "Inspected", "the voice can be served"),
    ]
}

/// While facts of the same source are recorded (only the server image changed), the voice stays ready.
fn running(facts_hold: bool, message: &str) -> Vec<Verdict> {
    let at_work = Verdict::new(RECONCILING, True, "Inspecting", message);
    let mut verdicts = if facts_hold {
        passed()
    } else {
        vec![
            at_work.as_type(SOURCE_VERIFIED, Unknown),
            at_work.as_type(INSPECTED, Unknown),
            at_work.as_type(READY, False),
        ]
    };
    verdicts.push(at_work);
    verdicts
}

fn failed(failure: &Failure) -> Vec<Verdict> {
    let bad = Verdict::new(READY, False, &failure.reason, &failure.message);
    let (source, inspected) = if failure.is_of_source() {
        (
            bad.as_type(SOURCE_VERIFIED, False),
            Verdict::new(
                INSPECTED,
                Unknown,
                "SourceNotVerified",
                "the files must be verified first",
            ),
        )
    } else if failure.is_permanent() {
        (
            Verdict::new(
                SOURCE_VERIFIED,
                True,
                "Verified",
                "all files match their digests",
            ),
            bad.as_type(INSPECTED, False),
        )
    } else {
        (
            bad.as_type(SOURCE_VERIFIED, Unknown),
            bad.as_type(INSPECTED, Unknown),
        )
    };
    let outlook = if failure.is_permanent() {
        bad.as_type(STALLED, True)
    } else {
        bad.as_type(RECONCILING, True)
    };
    vec![bad, source, inspected, outlook]
}
