//! What the voice's inspection is made of: its Jobs, their pods and events, and the deployments that serve it.
use std::collections::{BTreeMap, BTreeSet};

use jiff::Timestamp;
use k8s_openapi::api::{
    batch::v1::Job,
    core::v1::{Event, Pod},
};
use kube::{Api, Client, ResourceExt as _, api::ListParams};
use tts_crds::v1alpha1::TtsVoice;

use super::{Error, Result, build::INSPECTOR};
use crate::{
    controllers::scope::Scope,
    jobs::{self, Outcome, Progress},
    labels::{self, INSPECTION},
};

/// Objects of the voice, fetched but not validated yet.
#[derive(Default)]
pub struct References {
    /// Those that carry the voice's labels, whoever owns them.
    pub jobs: Vec<Job>,
    pub pods: Vec<Pod>,
    /// Why a Job has no pod, if it should have one by now.
    pub unstarted: Option<String>,
    /// Reports that did not fit into the termination message, by the name of the Job.
    pub whole_reports: BTreeMap<String, String>,
    /// Names of the Secrets with which the deployments of this voice pull the server image.
    pub pull_secrets: Vec<String>,
}

pub async fn dereference(
    client: &Client,
    scope: &Scope,
    voice: &TtsVoice,
    now: Timestamp,
) -> Result<References> {
    let namespace = voice.namespace().ok_or(Error::Incomplete("namespace"))?;
    let name = voice.name_any();
    let jobs = of_voice(&scope.jobs, &namespace, &name);
    let pods = of_voice(&scope.pods, &namespace, &name);
    let mut unstarted = None;
    for job in jobs.iter().filter(|job| jobs::lacks_pod(job, &pods, now)) {
        unstarted = why_unstarted(client, &namespace, job).await?;
    }
    let mut whole_reports = BTreeMap::new();
    for job in &jobs {
        if let Some(report) = whole_report(client, job, &pods).await? {
            whole_reports.insert(job.name_any(), report);
        }
    }
    let pull_secrets: BTreeSet<String> = scope
        .serving(Some(&namespace), &name)
        .iter()
        .filter_map(|object| object.0.as_ref().ok()?.spec.pod.as_ref())
        .flat_map(|pod| pod.image_pull_secrets.clone())
        .collect();
    Ok(References {
        jobs,
        pods,
        unstarted,
        whole_reports,
        pull_secrets: pull_secrets.into_iter().collect(),
    })
}

fn of_voice<K: crate::cache::Watched>(
    cache: &crate::cache::Cache<K>,
    namespace: &str,
    name: &str,
) -> Vec<K> {
    let selector = labels::selector(INSPECTION, name);
    let found = cache.filter(|object| {
        object.namespace().as_deref() == Some(namespace)
            && selector
                .iter()
                .all(|(key, value)| object.labels().get(key) == Some(value))
    });
    found.iter().map(|object| (**object).clone()).collect()
}

async fn whole_report(client: &Client, job: &Job, pods: &[Pod]) -> Result<Option<String>> {
    let progress = jobs::progress(job, INSPECTOR, pods, None);
    let (
        Progress::Ended {
            result: Outcome::Message(message),
            ..
        },
        Some(pod),
    ) = (progress, jobs::pod_of(job, pods))
    else {
        return Ok(None);
    };
    jobs::whole_message(client, pod, INSPECTOR, &message)
        .await
        .map_err(|source| Error::Dereference {
            what: "the log of the inspection".into(),
            source,
        })
}

/// What the Job controller says: a quota, a limit range or an admission webhook refuses the pod.
async fn why_unstarted(client: &Client, namespace: &str, job: &Job) -> Result<Option<String>> {
    let about = format!(
        "involvedObject.uid={},reason=FailedCreate",
        job.uid().unwrap_or_default()
    );
    let events = Api::<Event>::namespaced(client.clone(), namespace)
        .list(&ListParams::default().fields(&about))
        .await
        .map_err(|source| Error::Dereference {
            what: "the events of the inspection Job".into(),
            source,
        })?;
    Ok(events
        .items
        .into_iter()
        .filter_map(|event| event.message)
        .next_back())
}
