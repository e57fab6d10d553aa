//! Fetches the voices of the deployment and the memory request of its live pods.
use k8s_openapi::api::apps::v1::Deployment;
use kube::{Api, Client, ResourceExt as _, core::DeserializeGuard};
use tts_crds::{
    quantity::Quantity,
    v1alpha1::{TtsDeployment, TtsVoice},
};

use super::{Error, Result};

/// Referenced objects, fetched but not validated yet.
pub struct References {
    /// One entry per voice of the spec, in order; `None` if the object does not exist.
    pub voices: Vec<Option<DeserializeGuard<TtsVoice>>>,
    /// The default memory request that the live pods have.
    pub accepted_memory: Option<Quantity>,
}

/// Annotation of the child Deployment: its memory request, if the operator chose it.
pub const ACCEPTED_MEMORY: &str = "tts-operator.dev/accepted-memory";

pub async fn dereference(client: &Client, object: &TtsDeployment) -> Result<References> {
    let namespace = object.namespace().ok_or(Error::Incomplete("namespace"))?;
    let api = Api::<DeserializeGuard<TtsVoice>>::namespaced(client.clone(), &namespace);
    let mut voices = Vec::with_capacity(object.spec.voices.len());
    for voice in &object.spec.voices {
        let found = api
            .get_opt(&voice.name)
            .await
            .map_err(|source| Error::Dereference {
                what: format!("TtsVoice {}", voice.name).into(),
                source,
            })?;
        voices.push(found);
    }
    let deployment = Api::<Deployment>::namespaced(client.clone(), &namespace)
        .get_metadata_opt(&object.name_any())
        .await
        .map_err(|source| Error::Dereference {
            what: "the live Deployment".into(),
            source,
        })?;
    let accepted_memory = deployment
        .filter(|live| {
            let uid = object.metadata.uid.as_ref();
            live.owner_references()
                .iter()
                .any(|owner| Some(&owner.uid) == uid)
        })
        .and_then(|live| Quantity::parse(live.annotations().get(ACCEPTED_MEMORY)?).ok());
    Ok(References {
        voices,
        accepted_memory,
    })
}
