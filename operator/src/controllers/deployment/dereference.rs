//! What the deployment refers to and what it left in the cluster.
use std::sync::Arc;

use k8s_openapi::api::apps::v1::{ControllerRevision, Deployment};
use kube::{Resource as _, ResourceExt as _, core::DeserializeGuard};
use tts_crds::v1alpha1::{TtsDeployment, TtsVoice};

use super::{
    Error, Result,
    accepted::Accepted,
    oom::{self, OutOfMemory},
    replicas::Live,
    rollout,
};
use crate::{children, controllers::scope::Scope, labels};

/// Referenced objects, not validated yet.
#[derive(Default)]
pub struct References {
    /// One entry per voice of the spec, in order; `None` if the object does not exist.
    pub voices: Vec<Option<Arc<DeserializeGuard<TtsVoice>>>>,
    /// What runs, or ran until somebody deleted it; `None` before the first template was accepted.
    pub accepted: Option<Kept>,
    /// The highest number of a `ControllerRevision`, whether it can be decoded or not; 0 if there is none.
    pub last_revision: i64,
    /// Who sets the number of pods; `None` while there is no Deployment.
    pub live: Option<Live>,
    /// Whether the last rollout of the live Deployment has ended and all its pods serve.
    pub complete: bool,
    /// What pods that were killed for their memory have taught, the ones of now included.
    pub out_of_memory: Option<OutOfMemory>,
    /// Why the pods that run cannot be resized, if the kubelet has said so.
    pub resize_refused: Option<String>,
    /// How many other deployments are being rolled out and have to be waited for.
    pub rolling: usize,
}

/// The last accepted template.
#[derive(Clone)]
pub struct Kept {
    pub accepted: Accepted,
    /// The number of its `ControllerRevision`; 0 if it has none, because it was read from the live Deployment.
    pub revision: i64,
}

pub fn dereference(scope: &Scope, object: &TtsDeployment) -> Result<References> {
    let namespace = object.namespace().ok_or(Error::Incomplete("namespace"))?;
    let name = object.name_any();
    let owner = object
        .controller_owner_ref(&())
        .ok_or(Error::Incomplete("uid"))?;
    let ours = labels::selector(labels::SERVER, &name);
    let deployment = scope
        .deployments
        .get(&namespace, &name)
        .filter(|live| children::ownership(&**live, &owner, &ours).is_ours());
    let autoscaler = scope
        .autoscalers
        .get(&namespace, &name)
        .filter(|live| children::ownership(&**live, &owner, &ours).is_ours());
    let revisions = scope.revisions.filter(|revision| {
        revision.namespace().as_deref() == Some(namespace.as_str())
            && revision.labels().get(labels::INSTANCE) == Some(&name)
            && children::ownership(revision, &owner, &ours).is_ours()
    });
    let accepted = revisions
        .iter()
        .filter_map(|revision| kept(revision))
        .max_by_key(|kept| kept.revision)
        .or_else(|| live_template(deployment.as_deref()?));
    let pods = scope.pods.filter(|pod| {
        pod.namespace().as_deref() == Some(namespace.as_str())
            && ours
                .iter()
                .all(|(key, value)| pod.labels().get(key) == Some(value))
    });
    let known = accepted
        .as_ref()
        .and_then(|kept: &Kept| kept.accepted.out_of_memory.as_ref());
    let out_of_memory = oom::learn(known, &pods);
    Ok(References {
        voices: object
            .spec
            .voices
            .iter()
            .map(|voice| scope.voices.get(&namespace, &voice.name))
            .collect(),
        accepted,
        last_revision: revisions
            .iter()
            .map(|revision| revision.revision)
            .max()
            .unwrap_or(0),
        live: deployment
            .as_deref()
            .map(|deployment| Live::of(deployment, autoscaler.as_deref())),
        complete: deployment.as_deref().is_some_and(rollout::is_complete),
        out_of_memory,
        resize_refused: None,
        rolling: 0,
    })
}

/// One that cannot be decoded was written by somebody else, or by a version that this one cannot follow.
fn kept(revision: &ControllerRevision) -> Option<Kept> {
    let data = revision.data.as_ref()?.0.clone();
    match serde_json::from_value(data) {
        Ok(accepted) => Some(Kept {
            accepted,
            revision: revision.revision,
        }),
        Err(error) => {
            tracing::warn!(revision = revision.name_any(), %error, "cannot read the accepted template");
            None
        }
    }
}

fn live_template(deployment: &Deployment) -> Option<Kept> {
    Some(Kept {
        accepted: Accepted::from_live(&deployment.spec.as_ref()?.template)?,
        revision: 0,
    })
}
