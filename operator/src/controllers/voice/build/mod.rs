//! [`ValidatedVoice`] in, Kubernetes objects out: no I/O, cannot fail.
use k8s_openapi::api::batch::v1::Job;

use super::validate::{Inspection, ValidatedVoice};

mod job;

/// The desired objects of the voice.
pub struct Resources {
    /// The Job to start, if one is needed.
    pub job: Option<Job>,
    /// Jobs to delete, by name.
    pub stale_jobs: Vec<String>,
}

pub fn build(voice: &ValidatedVoice) -> Resources {
    Resources {
        job: match voice.inspection {
            Inspection::Start { attempt } => Some(job::build(voice, attempt)),
            _ => None,
        },
        stale_jobs: voice.stale_jobs.clone(),
    }
}
