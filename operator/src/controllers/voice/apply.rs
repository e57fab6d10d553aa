//! Starts the Job, and deletes Jobs that are no longer needed.
use k8s_openapi::api::batch::v1::Job;
use kube::ResourceExt;

use super::build::Resources;
use crate::{
    cache::Cache,
    children::{Children, Error},
};

pub async fn apply(
    children: &Children<'_>,
    cache: &Cache<Job>,
    desired: Resources,
) -> Result<(), Error> {
    // No `..`: a new kind of child that is not applied does not compile.
    let Resources { job, kept_jobs } = desired;
    let mut keep: Vec<&str> = kept_jobs.iter().map(String::as_str).collect();
    let started = job.as_ref().map(ResourceExt::name_any);
    if let Some(job) = &job {
        children.create(cache, job).await?;
    }
    keep.extend(started.as_deref());
    children.delete_others(cache, &keep).await
}
