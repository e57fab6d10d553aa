//! What the operator makes of our kinds, and what is left in a namespace.
use std::collections::BTreeMap;

use anyhow::{Result, ensure};
use k8s_openapi::{
    NamespaceResourceScope,
    api::{
        apps::v1::Deployment,
        autoscaling::v2::HorizontalPodAutoscaler,
        batch::v1::Job,
        core::v1::{Pod, Service, ServiceAccount},
        networking::v1::NetworkPolicy,
        policy::v1::PodDisruptionBudget,
    },
};
use kube::{Resource, ResourceExt as _, api::ListParams};
use serde::de::DeserializeOwned;
use tts_crds::v1alpha1::{TtsDeployment, TtsVoice};

use crate::Namespace;

/// `Kind/name` of every object that the operator wrote or that came of it, with what would show a change.
pub type Snapshot = BTreeMap<String, Version>;

#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Version {
    pub uid: String,
    pub resource_version: String,
    pub generation: i64,
}

/// Voices, deployments, and all that is made of them, down to the pods.
pub async fn snapshot(namespace: &Namespace) -> Result<Snapshot> {
    let mut snapshot = Snapshot::new();
    add::<TtsVoice>(namespace, &mut snapshot).await?;
    add::<TtsDeployment>(namespace, &mut snapshot).await?;
    add::<Deployment>(namespace, &mut snapshot).await?;
    add::<Service>(namespace, &mut snapshot).await?;
    add::<PodDisruptionBudget>(namespace, &mut snapshot).await?;
    add::<HorizontalPodAutoscaler>(namespace, &mut snapshot).await?;
    add::<NetworkPolicy>(namespace, &mut snapshot).await?;
    add::<ServiceAccount>(namespace, &mut snapshot).await?;
    add::<Job>(namespace, &mut snapshot).await?;
    add::<Pod>(namespace, &mut snapshot).await?;
    // Not the operator's.
    snapshot.remove("ServiceAccount/default");
    Ok(snapshot)
}

async fn add<K>(namespace: &Namespace, snapshot: &mut Snapshot) -> Result<()>
where
    K: Resource<Scope = NamespaceResourceScope, DynamicType = ()>
        + Clone
        + std::fmt::Debug
        + DeserializeOwned,
{
    for object in namespace.api::<K>().list(&ListParams::default()).await? {
        snapshot.insert(
            format!("{}/{}", K::kind(&()), object.name_any()),
            Version {
                uid: object.uid().unwrap_or_default(),
                resource_version: object.resource_version().unwrap_or_default(),
                generation: object.meta().generation.unwrap_or_default(),
            },
        );
    }
    Ok(())
}

/// Every object of every kind in the namespace, as `kind.group/name`, without what Kubernetes puts into each
/// namespace and without events, which outlive what they speak of.
pub async fn everything(namespace: &Namespace) -> Result<Vec<String>> {
    let kinds = kinds(namespace).await?;
    let names = namespace
        .kubectl(&format!(
            "get {} --output=name --ignore-not-found",
            kinds.join(",")
        ))
        .await?
        .ok()?;
    Ok(names
        .lines()
        .filter(|name| !is_of_every_namespace(name))
        .map(str::to_owned)
        .collect())
}

/// Every kind that a namespace can hold, as `kind.group`, without events.
pub async fn kinds(namespace: &Namespace) -> Result<Vec<String>> {
    let kinds = namespace
        .cluster
        .kubectl
        .run([
            "api-resources",
            "--namespaced",
            "--verbs=list",
            "--output=name",
        ])
        .await?
        .ok()?;
    let kinds: Vec<String> = kinds
        .lines()
        .filter(|kind| !kind.starts_with("events") && !kind.ends_with("metrics.k8s.io"))
        .map(str::to_owned)
        .collect();
    ensure!(
        kinds
            .iter()
            .any(|kind| kind == "ttsdeployments.tts-operator.dev"),
        "the API server does not list our kinds"
    );
    Ok(kinds)
}

/// Whether Kubernetes puts this object, `kind/name`, into each namespace.
pub fn is_of_every_namespace(object: &str) -> bool {
    ["serviceaccount/default", "configmap/kube-root-ca.crt"]
        .iter()
        .any(|name| object.eq_ignore_ascii_case(name))
}

/// The owners of a pod, from the nearest to the last, as `Kind/name`.
pub async fn owners(namespace: &Namespace, pod: &str) -> Result<Vec<String>> {
    let mut kind = "pod".to_owned();
    let mut name = pod.to_owned();
    let mut owners = Vec::new();
    loop {
        let owner = namespace
            .kubectl(&format!(
                "get {kind} {name} -o jsonpath={{.metadata.ownerReferences[?(@.controller==true)].kind}}/{{.metadata.ownerReferences[?(@.controller==true)].name}}"
            ))
            .await?
            .ok()?;
        let Some((owner_kind, owner_name)) = owner
            .split_once('/')
            .filter(|(kind, name)| !kind.is_empty() && !name.is_empty())
        else {
            return Ok(owners);
        };
        owners.push(owner.clone());
        ensure!(
            owners.len() < 8,
            "owners of {pod} go in circles: {owners:?}"
        );
        (kind, name) = (owner_kind.to_owned(), owner_name.to_owned());
    }
}
