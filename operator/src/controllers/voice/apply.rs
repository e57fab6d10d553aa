//! Starts the Job and deletes Jobs that are no longer needed.
use k8s_openapi::api::batch::v1::Job;

use super::{Result, build::Resources};
use crate::children::Children;

/// Proof that the changes were applied.
pub struct Applied(());

#[cfg(test)]
impl Applied {
    pub fn for_test() -> Self {
        Self(())
    }
}

pub async fn apply(children: &Children<'_>, desired: Resources) -> Result<Applied> {
    // No `..`: a new kind of child that is not applied does not compile.
    let Resources { job, stale_jobs } = desired;
    if let Some(job) = job {
        children.create(&job).await?;
    }
    for name in stale_jobs {
        children.delete::<Job>(&name).await?;
    }
    Ok(Applied(()))
}
