//! The status of the voice. Pure: the controller writes it.
use jiff::Timestamp;
use k8s_openapi::apimachinery::pkg::apis::meta::v1::Condition;
use kube::Resource as _;
use tts_crds::v1alpha1::{MAX_INSPECTED_IMAGES, TtsVoice, TtsVoiceStatus};

use super::{
    report::{Facts, Failure},
    seal::seal,
    validate::{Inspection, ValidatedVoice},
};
use crate::{
    conditions::{
        self, INSPECTED, READY, RECONCILING, STALLED,
        Status::{False, True, Unknown},
        Verdict,
    },
    jobs,
    pods::Trouble,
};

const SOURCE_VERIFIED: &str = "SourceVerified";
/// Every condition of a voice: others are left to whoever sets them.
const OURS: [&str; 5] = [READY, SOURCE_VERIFIED, INSPECTED, RECONCILING, STALLED];

/// The status, and the verdicts that its conditions were made of.
pub fn status(
    object: &TtsVoice,
    voice: &ValidatedVoice,
    now: Timestamp,
) -> (TtsVoiceStatus, Vec<Verdict>) {
    let previous = object.status.clone().unwrap_or_default();
    let mut status = match &voice.inspection {
        Inspection::Passed(facts) => record(facts, voice, &previous),
        _ if voice.facts_hold => previous.clone(),
        _ => TtsVoiceStatus::default(),
    };
    let generation = object.meta().generation;
    let verdicts = verdicts(voice, &previous, generation, now);
    status.observed_generation = generation.unwrap_or_default();
    status.conditions = conditions::merge(
        &previous.conditions,
        &OURS,
        verdicts.clone(),
        generation,
        now,
    );
    (status, verdicts)
}

fn record(facts: &Facts, voice: &ValidatedVoice, previous: &TtsVoiceStatus) -> TtsVoiceStatus {
    let image = &voice.settings.server.image;
    let earlier = previous
        .inspected_images
        .iter()
        .filter(|earlier| voice.facts_hold && *earlier != image);
    let mut status = TtsVoiceStatus {
        inspected_images: std::iter::once(image)
            .chain(earlier)
            .take(MAX_INSPECTED_IMAGES)
            .cloned()
            .collect(),
        digest: Some(facts.digest.clone()),
        size_bytes: Some(facts.size_bytes),
        peak_memory_bytes: facts.peak_memory_bytes,
        family: Some(facts.family.clone()),
        sample_rate_hz: Some(facts.sample_rate_hz),
        languages: facts.languages.clone(),
        speakers: Some(facts.speakers.clone()),
        files: facts.files.clone(),
        ..TtsVoiceStatus::default()
    };
    status.inspected_source = Some(seal(&voice.source_id, &status));
    status
}

fn verdicts(
    voice: &ValidatedVoice,
    previous: &TtsVoiceStatus,
    generation: Option<i64>,
    now: Timestamp,
) -> Vec<Verdict> {
    let (attempt, message, stalled) = match &voice.inspection {
        Inspection::Recorded | Inspection::Passed(_) => return passed(),
        Inspection::Failed { failure, .. } if voice.facts_hold => return outdated(voice, failure),
        Inspection::Failed { failure, .. } => return failed(failure),
        Inspection::Start { attempt, .. } => (attempt, "starting an inspection".to_owned(), false),
        Inspection::Queued { attempt } => {
            let most = voice.settings.inspections.max_concurrent;
            let message = format!("waiting until fewer than {most} inspections are running");
            (attempt, message, false)
        }
        Inspection::Running {
            attempt,
            waiting: None,
        } => (attempt, "an inspection is running".to_owned(), false),
        Inspection::Running {
            attempt,
            waiting: Some(waiting),
        } => {
            let message = format!("the pod of the inspection is waiting: {}", waiting.text);
            (attempt, message, is_stalled(voice, waiting, now))
        }
    };
    if *attempt > 0
        && let Some(verdicts) = last_failure(&previous.conditions, generation)
    {
        return verdicts;
    }
    running(voice.facts_hold, &message, stalled)
}

fn is_stalled(voice: &ValidatedVoice, waiting: &Trouble, now: Timestamp) -> bool {
    waiting
        .since
        .is_some_and(|since| jobs::since(since, now) >= voice.settings.stalled_after)
}

/// What the last inspection found stays until the next one has ended.
fn last_failure(previous: &[Condition], generation: Option<i64>) -> Option<Vec<Verdict>> {
    let failed = previous.iter().any(|condition| {
        condition.type_ == READY
            && condition.status == "False"
            && condition.reason != "Inspecting"
            && condition.observed_generation == generation
    });
    failed.then(|| {
        previous
            .iter()
            .filter_map(|condition| Verdict::repeat(condition, &OURS))
            .collect()
    })
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
fn running(facts_hold: bool, message: &str, stalled: bool) -> Vec<Verdict> {
    let at_work = Verdict::new(RECONCILING, True, "Inspecting", message).as_step();
    let mut verdicts = if facts_hold {
        passed()
    } else {
        vec![
            at_work.as_type(SOURCE_VERIFIED, Unknown),
            at_work.as_type(INSPECTED, Unknown),
            at_work.as_type(READY, False),
        ]
    };
    verdicts.push(if stalled && !facts_hold {
        Verdict::new(STALLED, True, "InspectionBlocked", message)
    } else {
        at_work
    });
    verdicts
}

/// The voice did not pass with the current server image, but with an earlier one, which is still used.
fn outdated(voice: &ValidatedVoice, failure: &Failure) -> Vec<Verdict> {
    let message = format!(
        "with the server image {}: {}; deployments keep an image with which the voice passed",
        voice.settings.server.image, failure.message
    );
    let bad = Verdict::new(INSPECTED, False, &failure.reason, message);
    let mut verdicts = passed();
    verdicts.retain(|verdict| verdict.type_ == READY);
    verdicts.push(if failure.is_of_source() {
        bad.as_type(SOURCE_VERIFIED, False)
    } else {
        passed().swap_remove(0)
    });
    if !failure.is_permanent() {
        verdicts.push(bad.as_type(RECONCILING, True));
    }
    verdicts.push(bad);
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
