//! Reads and server-side applies child objects: only drifted objects are written.
use std::{collections::BTreeMap, fmt::Debug};

use k8s_openapi::{NamespaceResourceScope, apimachinery::pkg::apis::meta::v1::OwnerReference};
use kube::{
    Api, Client, Resource, ResourceExt as _,
    api::{DeleteParams, ListParams, Patch, PatchParams, PostParams},
};
use serde::{Serialize, de::DeserializeOwned};
use sha2::{Digest as _, Sha256};

use crate::{FIELD_MANAGER, drift, metrics::Metrics};

/// Hash of the object as last applied: detects fields that are no longer desired.
pub const APPLIED_HASH: &str = "tts-operator.dev/applied-hash";

#[derive(Debug, thiserror::Error)]
pub enum Error {
    #[error(
        "{kind} {name} already exists and is not owned by this object: delete it, or rename this object"
    )]
    NameTaken { kind: String, name: String },
    #[error("failed to {verb} {kind} {name}")]
    Request {
        verb: &'static str,
        kind: String,
        name: String,
        #[source]
        source: Box<kube::Error>,
    },
}

/// A namespaced kind of k8s-openapi.
pub trait Child:
    Resource<Scope = NamespaceResourceScope, DynamicType = ()>
    + Clone
    + Debug
    + Serialize
    + DeserializeOwned
{
}

impl<K> Child for K where
    K: Resource<Scope = NamespaceResourceScope, DynamicType = ()>
        + Clone
        + Debug
        + Serialize
        + DeserializeOwned
{
}

/// The children of one object.
pub struct Children<'a> {
    pub client: &'a Client,
    pub metrics: &'a Metrics,
    pub namespace: &'a str,
    pub owner: &'a OwnerReference,
}

impl Children<'_> {
    /// Makes the live object match `desired`, writing only if it does not, and returns it as stored
    /// by the API server.
    ///
    /// # Errors
    /// [`Error::NameTaken`] if an object of that name has another owner; it is not changed.
    pub async fn ensure<K: Child>(&self, mut desired: K) -> Result<K, Error> {
        let name = desired.name_any();
        let hash = hash(&desired);
        desired
            .meta_mut()
            .annotations
            .get_or_insert_with(BTreeMap::new)
            .insert(APPLIED_HASH.to_owned(), hash);
        if let Some(live) = self.get::<K>(&name).await?
            && holds(&live, &desired)
        {
            return Ok(live);
        }
        self.metrics.count_write(&K::kind(&()), "apply");
        self.api::<K>()
            .patch(
                &name,
                &PatchParams::apply(FIELD_MANAGER).force(),
                &Patch::Apply(&desired),
            )
            .await
            .map_err(|source| failed::<K>("apply", name, source))
    }

    /// The live object of that name, if there is one.
    ///
    /// # Errors
    /// [`Error::NameTaken`] if it has another owner.
    pub async fn get<K: Child>(&self, name: &str) -> Result<Option<K>, Error> {
        let live = self
            .api::<K>()
            .get_opt(name)
            .await
            .map_err(|source| failed::<K>("read", name.to_owned(), source))?;
        match live {
            Some(live) if !self.owns(&live) => Err(Error::NameTaken {
                kind: K::kind(&()).into_owned(),
                name: name.to_owned(),
            }),
            live => Ok(live),
        }
    }

    /// The objects that match a label selector (`key=value,…`), whatever their owner.
    pub async fn list<K: Child>(&self, selector: &str) -> Result<Vec<K>, Error> {
        let list = self
            .api::<K>()
            .list(&ListParams::default().labels(selector))
            .await
            .map_err(|source| failed::<K>("list", selector.to_owned(), source))?;
        Ok(list.items)
    }

    /// Creates `object` unless an object of that name exists.
    pub async fn create<K: Child>(&self, object: &K) -> Result<(), Error> {
        self.metrics.count_write(&K::kind(&()), "create");
        match self.api::<K>().create(&PostParams::default(), object).await {
            Ok(_) => Ok(()),
            Err(kube::Error::Api(status)) if status.is_already_exists() => Ok(()),
            Err(source) => Err(failed::<K>("create", object.name_any(), source)),
        }
    }

    /// Deletes the object of that name and its dependents; it is no error if it does not exist.
    pub async fn delete<K: Child>(&self, name: &str) -> Result<(), Error> {
        self.metrics.count_write(&K::kind(&()), "delete");
        match self
            .api::<K>()
            .delete(name, &DeleteParams::background())
            .await
        {
            Ok(_) => Ok(()),
            Err(kube::Error::Api(status)) if status.is_not_found() => Ok(()),
            Err(source) => Err(failed::<K>("delete", name.to_owned(), source)),
        }
    }

    /// Whether the object's controller is our owner.
    pub fn owns<K: Child>(&self, object: &K) -> bool {
        object
            .owner_references()
            .iter()
            .any(|owner| owner.uid == self.owner.uid && owner.controller == Some(true))
    }

    fn api<K: Child>(&self) -> Api<K> {
        Api::namespaced(self.client.clone(), self.namespace)
    }
}

fn holds<K: Child>(live: &K, desired: &K) -> bool {
    match (serde_json::to_value(live), serde_json::to_value(desired)) {
        (Ok(live), Ok(desired)) => drift::holds(&live, &desired),
        // Both were deserialized before, so this cannot fail; writing again would be safe.
        _ => false,
    }
}

fn hash<K: Child>(object: &K) -> String {
    hex(&Sha256::digest(
        serde_json::to_vec(object).unwrap_or_default(),
    ))[..16]
        .to_owned()
}

/// Lower-case hexadecimal digits.
pub fn hex(bytes: &[u8]) -> String {
    use std::fmt::Write as _;
    bytes.iter().fold(String::new(), |mut text, byte| {
        // Writing to a String cannot fail.
        let _ = write!(text, "{byte:02x}");
        text
    })
}

fn failed<K: Resource<DynamicType = ()>>(
    verb: &'static str,
    name: String,
    source: kube::Error,
) -> Error {
    Error::Request {
        verb,
        kind: K::kind(&()).into_owned(),
        name,
        source: Box::new(source),
    }
}
