//! Determines from the object and its Jobs what is known of the voice and the state of its inspection. Pure.
use std::{sync::Arc, time::Duration};

use jiff::Timestamp;
use k8s_openapi::{api::batch::v1::Job, apimachinery::pkg::apis::meta::v1::OwnerReference};
use kube::{Resource as _, ResourceExt as _};
use sha2::{Digest as _, Sha256};
use tts_crds::v1alpha1::TtsVoice;

use super::{
    Error, Result,
    build::INSPECTOR,
    dereference::References,
    memory,
    report::{self, Facts, Failure},
    seal::seal,
};
use crate::{
    children::{self, hex},
    jobs::{self, Outcome, Progress, Retry},
    labels::{self, INSPECTION},
    pods::Trouble,
    settings::Settings,
};

/// Waits between inspections of a source that could not be reached.
const RETRY: Retry = Retry {
    base: Duration::from_secs(15),
    max: Duration::from_mins(10),
};
/// Wait before a permanently failed source is inspected again: it may have been corrected.
const RETRY_PERMANENT: Duration = Duration::from_hours(1);

/// A voice whose inspection can be run.
pub struct ValidatedVoice {
    pub name: String,
    pub namespace: String,
    pub owner: OwnerReference,
    /// The source, as `tts-server inspect` takes it.
    pub source: String,
    /// Hash of the source.
    pub source_id: String,
    /// Identifies what is inspected: the source, and with what settings.
    pub subject: String,
    /// Whether the facts in the status describe the current source.
    pub facts_hold: bool,
    pub inspection: Inspection,
    /// Names of Jobs of this voice that are still needed.
    pub kept_jobs: Vec<String>,
    /// In addition to those of the settings.
    pub pull_secrets: Vec<String>,
    pub settings: Arc<Settings>,
}

/// The state of the inspection with the current server image.
#[derive(Clone, Debug, PartialEq, Eq)]
pub enum Inspection {
    /// The voice has passed, and the status says so.
    Recorded,
    /// A Job must be started; `attempt` earlier ones failed.
    Start {
        attempt: u32,
        /// Memory limit of the Job, in bytes.
        memory: u64,
    },
    /// As [`Inspection::Start`], once fewer inspections run.
    Queued { attempt: u32 },
    /// A Job is running; `waiting` is what it waits for, if anything.
    Running {
        attempt: u32,
        waiting: Option<Trouble>,
    },
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
    settings: &Arc<Settings>,
    now: Timestamp,
) -> Result<ValidatedVoice> {
    let name = voice.name_any();
    let owner = voice
        .controller_owner_ref(&())
        .ok_or(Error::Incomplete("uid"))?;
    let source = serde_json::to_string(&voice.spec.source).unwrap_or_default();
    let source_id = short_hash(&source);
    let image = &settings.server.image;
    // Other settings of downloads are a reason to try again what failed with the former ones.
    let subject = format!(
        "{source_id}.{}",
        short_hash(&format!("{image} {:?}", settings.downloads))
    );
    let status = voice.status.clone().unwrap_or_default();
    let facts_hold = status.inspected_source == Some(seal(&source_id, &status));
    let recorded = facts_hold && status.inspected_images.contains(image);

    let ours = labels::selector(INSPECTION, &name);
    let current = references.jobs.iter().filter(|job| {
        children::ownership(*job, &owner, &ours).is_ours() && jobs::is_about(job, &subject)
    });
    let latest = current.max_by_key(|job| jobs::attempt(job));
    let first = Inspection::Start {
        attempt: 0,
        memory: memory::first(&voice.spec.source, facts_hold.then_some(&status)),
    };
    let inspection = match latest {
        _ if recorded => Inspection::Recorded,
        None => first,
        Some(job) if is_overtaken(job, references, settings) => Inspection::Start {
            attempt: jobs::attempt(job).saturating_add(1),
            memory: memory::of(job),
        },
        Some(job) => inspect(job, references, now),
    };
    let kept_jobs = match inspection {
        Inspection::Recorded | Inspection::Start { .. } | Inspection::Queued { .. } => Vec::new(),
        _ => latest.iter().map(|job| job.name_any()).collect(),
    };
    Ok(ValidatedVoice {
        namespace: voice.namespace().ok_or(Error::Incomplete("namespace"))?,
        name,
        owner,
        source,
        source_id,
        subject,
        facts_hold,
        inspection,
        kept_jobs,
        pull_secrets: references.pull_secrets.clone(),
        settings: settings.clone(),
    })
}

fn short_hash(text: &str) -> String {
    hex(&Sha256::digest(text.as_bytes()))[..16].to_owned()
}

/// Whether a Job waits in vain for its image while there are pull secrets that it was started without.
fn is_overtaken(job: &Job, references: &References, settings: &Settings) -> bool {
    let progress = jobs::progress(job, INSPECTOR, &references.pods, None);
    let Progress::Running { waiting: Some(_) } = progress else {
        return false;
    };
    let pod = job
        .spec
        .as_ref()
        .and_then(|spec| spec.template.spec.as_ref());
    let has = |name: &String| {
        pod.and_then(|pod| pod.image_pull_secrets.as_ref())
            .is_some_and(|secrets| secrets.iter().any(|secret| secret.name == *name))
    };
    let mut wanted = references
        .pull_secrets
        .iter()
        .chain(&settings.server.image_pull_secrets);
    !wanted.all(has)
}

fn inspect(job: &Job, references: &References, now: Timestamp) -> Inspection {
    let unstarted = references.unstarted.as_deref();
    match jobs::progress(job, INSPECTOR, &references.pods, unstarted) {
        Progress::Running { waiting } => Inspection::Running {
            attempt: jobs::attempt(job),
            waiting,
        },
        Progress::Ended { at, result } => {
            let larger = memory::larger(memory::of(job)).filter(|_| result == Outcome::OutOfMemory);
            let whole = references.whole_reports.get(&job.name_any()).cloned();
            let result = whole.map_or(result, Outcome::Message);
            match report::facts(result, memory::of(job)) {
                Ok(facts) => Inspection::Passed(facts),
                Err(failure) => failed(job, failure, at, larger, now),
            }
        }
    }
}

/// With a `larger` memory limit the next attempt starts at once.
fn failed(
    job: &Job,
    failure: Failure,
    ended: Timestamp,
    larger: Option<u64>,
    now: Timestamp,
) -> Inspection {
    let attempt = jobs::attempt(job);
    let wait = match larger {
        Some(_) => Duration::ZERO,
        None if failure.is_permanent() => RETRY_PERMANENT,
        None => RETRY.after(attempt),
    };
    match wait.checked_sub(jobs::since(ended, now)) {
        Some(retry_in) if !retry_in.is_zero() => Inspection::Failed { failure, retry_in },
        _ => Inspection::Start {
            attempt: attempt.saturating_add(1),
            memory: larger.unwrap_or_else(|| memory::of(job)),
        },
    }
}
