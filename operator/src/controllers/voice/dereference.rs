//! Fetches the voice's inspection Jobs and their pods.
use k8s_openapi::api::{batch::v1::Job, core::v1::Pod};
use kube::{Api, Client, ResourceExt as _, api::ListParams};
use tts_crds::v1alpha1::TtsVoice;

use super::{Error, Result, labels};

/// Objects of the voice, fetched but not validated yet.
pub struct References {
    pub jobs: Vec<Job>,
    pub pods: Vec<Pod>,
}

pub async fn dereference(client: &Client, voice: &TtsVoice) -> Result<References> {
    let namespace = voice.namespace().ok_or(Error::Incomplete("namespace"))?;
    let selector = labels::to_selector(&labels::selector(labels::INSPECTION, &voice.name_any()));
    let of_voice = ListParams::default().labels(&selector);
    let jobs = Api::<Job>::namespaced(client.clone(), &namespace)
        .list(&of_voice)
        .await
        .map_err(|source| Error::Dereference {
            what: "the inspection Jobs".into(),
            source,
        })?
        .items;
    let pods = Api::<Pod>::namespaced(client.clone(), &namespace)
        .list(&of_voice)
        .await
        .map_err(|source| Error::Dereference {
            what: "the pods of the inspection Jobs".into(),
            source,
        })?
        .items;
    Ok(References { jobs, pods })
}
