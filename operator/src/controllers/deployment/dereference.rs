//! Fetches the voices that the deployment names.
use kube::{Api, Client, ResourceExt as _, core::DeserializeGuard};
use tts_crds::v1alpha1::{TtsDeployment, TtsVoice};

use super::{Error, Result};

/// Objects referred to, fetched but not looked into yet.
pub struct References {
    /// One entry a voice of the spec, in its order; `None` where there is no such object.
    pub voices: Vec<Option<DeserializeGuard<TtsVoice>>>,
}

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
    Ok(References { voices })
}
