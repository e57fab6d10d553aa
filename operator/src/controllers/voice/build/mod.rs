//! [`ValidatedVoice`] in, Kubernetes objects out: no I/O, cannot fail.
use k8s_openapi::api::batch::v1::Job;

use super::validate::{Inspection, ValidatedVoice};

mod job;

pub use job::INSPECTOR;

/// The desired objects of the voice.
pub struct Resources {
    /// The Job to start, if one is needed.
    pub job: Option<Job>,
    /// Names of the Jobs that stay; all others of this voice are obsolete.
    pub kept_jobs: Vec<String>,
}

pub fn build(voice: &ValidatedVoice) -> Resources {
    Resources {
        job: match voice.inspection {
            Inspection::Start { attempt, memory } => Some(job::build(voice, attempt, memory)),
            _ => None,
        },
        kept_jobs: voice.kept_jobs.clone(),
    }
}
