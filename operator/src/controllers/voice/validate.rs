//! Determines from the object and its Jobs what is known of the voice and the state of its inspection. Pure.
use std::{sync::Arc, time::Duration};

use jiff::Timestamp;
use k8s_openapi::{
    api::{batch::v1::Job, core::v1::Pod},
    apimachinery::pkg::apis::meta::v1::OwnerReference,
};
use kube::{Resource as _, ResourceExt as _};
use sha2::{Digest as _, Sha256};
use tts_crds::v1alpha1::TtsVoice;

use super::{
    Error, Result,
    dereference::References,
    report::{self, Facts, Failure},
};
use crate::{children::hex, controllers::pods, settings::ServerSettings};

/// Annotation of a Job: what it inspects.
pub const SOURCE: &str = "tts-operator.dev/source";
/// Annotation of a Job: how many inspections of the same source failed before it.
pub const ATTEMPT: &str = "tts-operator.dev/attempt";

/// Wait before the second inspection of a source that could not be reached; doubles up to the
/// maximum.
const RETRY_BASE: Duration = Duration::from_secs(15);
const RETRY_MAX: Duration = Duration::from_mins(10);
/// Wait before a permanently failed source is inspected again: it may have been corrected.
const RETRY_PERMANENT: Duration = Duration::from_hours(1);

/// A voice whose inspection can be run.
pub struct ValidatedVoice {
    pub name: String,
    pub namespace: String,
    pub owner: OwnerReference,
    /// The source, as `tts-server inspect` takes it.
    pub source: String,
    /// Identifies what is inspected: the source, and for a builtin voice the image it is in.
    pub source_id: String,
    /// Whether the facts in the status describe the current source.
    pub facts_hold: bool,
    pub inspection: Inspection,
    /// Jobs that are no longer needed, by name.
    pub stale_jobs: Vec<String>,
    pub settings: Arc<ServerSettings>,
}

/// The state of the inspection.
#[derive(Clone, Debug, PartialEq, Eq)]
pub enum Inspection {
    /// The facts are in the status.
    Recorded,
    /// A Job must be started; `attempt` earlier ones failed.
    Start { attempt: u32 },
    /// A Job is running; `waiting` is what it waits for, if anything.
    Running { waiting: Option<String> },
    /// The Job has succeeded with these facts.
    Passed(Facts),
    /// The Job has failed; the next one starts after `retry_in`.
    Failed {
        failure: Failure,
        retry_in: Duration,
    },
}

pub fn validate(
    voice: &TtsVoice,
    references: &References,
    settings: &Arc<ServerSettings>,
    now: Timestamp,
) -> Result<ValidatedVoice> {
    let owner = voice
        .controller_owner_ref(&())
        .ok_or(Error::Incomplete("uid"))?;
    let source = serde_json::to_string(&voice.spec.source).unwrap_or_default();
    let source_id = source_id(voice, &source, settings);
    let recorded = voice
        .status
        .as_ref()
        .and_then(|status| status.inspected_source.as_deref());
    let spec_part = |id: &str| id.split('.').next().map(str::to_owned);
    let facts_hold = recorded.and_then(spec_part) == spec_part(&source_id);

    let ours = |job: &&Job| {
        job.owner_references()
            .iter()
            .any(|reference| reference.uid == owner.uid)
    };
    let (current, mut stale): (Vec<&Job>, Vec<&Job>) = references
        .jobs
        .iter()
        .filter(ours)
        .partition(|job| job.annotations().get(SOURCE) == Some(&source_id));
    let inspection = if recorded == Some(source_id.as_str()) {
        stale.extend(current);
        Inspection::Recorded
    } else {
        let latest = current.iter().copied().max_by_key(|job| attempt(job));
        let inspection = latest.map_or(Inspection::Start { attempt: 0 }, |job| {
            inspect(job, &references.pods, now)
        });
        stale.extend(current.into_iter().filter(|job| {
            matches!(inspection, Inspection::Start { .. })
                || Some(attempt(job)) != latest.map(attempt)
        }));
        inspection
    };
    Ok(ValidatedVoice {
        name: voice.name_any(),
        namespace: voice.namespace().ok_or(Error::Incomplete("namespace"))?,
        owner,
        source,
        source_id,
        facts_hold,
        inspection,
        stale_jobs: stale
            .into_iter()
            .filter(|job| job.metadata.deletion_timestamp.is_none())
            .map(kube::ResourceExt::name_any)
            .collect(),
        settings: settings.clone(),
    })
}

/// `<hash of the source>` and, for a builtin voice, `.<hash of the image it is in>`.
fn source_id(voice: &TtsVoice, source: &str, settings: &ServerSettings) -> String {
    let hash = |text: &str| hex(&Sha256::digest(text.as_bytes()))[..16].to_owned();
    match voice.spec.source.builtin {
        Some(_) => format!("{}.{}", hash(source), hash(&settings.image)),
        None => hash(source),
    }
}

fn attempt(job: &Job) -> u32 {
    job.annotations()
        .get(ATTEMPT)
        .and_then(|text| text.parse().ok())
        .unwrap_or(0)
}

fn inspect(job: &Job, pods: &[Pod], now: Timestamp) -> Inspection {
    let pod = pods.iter().find(|pod| {
        pod.owner_references()
            .iter()
            .any(|owner| Some(&owner.uid) == job.metadata.uid.as_ref())
    });
    let Some(ended) = ended(job) else {
        return Inspection::Running {
            waiting: pod.and_then(pods::trouble),
        };
    };
    match pod.and_then(report::of_pod) {
        Some(Ok(facts)) => Inspection::Passed(facts),
        Some(Err(failure)) => failed(job, failure, ended.at, now),
        None => failed(job, ended.without_report(pod), ended.at, now),
    }
}

/// How a Job ended.
struct Ended {
    at: Timestamp,
    reason: Option<String>,
}

fn ended(job: &Job) -> Option<Ended> {
    let end = job
        .status
        .as_ref()?
        .conditions
        .iter()
        .flatten()
        .find(|c| (c.type_ == "Complete" || c.type_ == "Failed") && c.status == "True")?;
    Some(Ended {
        at: end
            .last_transition_time
            .as_ref()
            .map_or(Timestamp::UNIX_EPOCH, |time| time.0),
        reason: end.reason.clone(),
    })
}

impl Ended {
    fn without_report(&self, pod: Option<&Pod>) -> Failure {
        let waited_for = pod.and_then(pods::trouble);
        match (self.reason.as_deref(), waited_for) {
            (Some("DeadlineExceeded"), Some(waiting)) => Failure::new(
                "InspectionTimedOut",
                format!("the inspection timed out: {waiting}"),
            ),
            (Some("DeadlineExceeded"), None) => Failure::new(
                "InspectionTimedOut",
                "the inspection timed out; see the events of its Job and pod with kubectl describe",
            ),
            _ => Failure::new(
                "NoReport",
                "the pod of the inspection was deleted before its report was read",
            ),
        }
    }
}

fn failed(job: &Job, failure: Failure, ended: Timestamp, now: Timestamp) -> Inspection {
    let attempt = attempt(job);
    let wait = if failure.is_permanent() {
        RETRY_PERMANENT
    } else {
        RETRY_BASE
            .saturating_mul(1 << attempt.min(10))
            .min(RETRY_MAX)
    };
    let waited = Duration::try_from(now.duration_since(ended)).unwrap_or_default();
    match wait.checked_sub(waited) {
        Some(retry_in) if !retry_in.is_zero() => Inspection::Failed { failure, retry_in },
        _ => Inspection::Start {
            attempt: attempt.saturating_add(1),
        },
    }
}
