//! Keeps child objects as they are desired: only what differs is written.
use std::{collections::BTreeMap, sync::Arc};

use k8s_openapi::{
    NamespaceResourceScope, api::core::v1::ObjectReference,
    apimachinery::pkg::apis::meta::v1::OwnerReference,
};
use kube::{
    Api, Client, Resource, ResourceExt as _,
    api::{DeleteParams, Patch, PatchParams, PostParams, Preconditions},
    runtime::events::{Event, EventType, Recorder},
};
use serde::Serialize;
use serde_json::Value;
use sha2::{Digest as _, Sha256};

use crate::{
    cache::{Cache, Watched},
    conditions,
    corrections::{Corrections, Verdict},
    drift::{self, Difference},
    metrics::Metrics,
};

/// Hash of the object as last applied: detects fields that are no longer desired.
pub const APPLIED_HASH: &str = "tts-operator.dev/applied-hash";

#[derive(Debug, thiserror::Error)]
pub enum Error {
    #[error(
        "{kind} {name} already exists and belongs to something else: delete it, or rename this object"
    )]
    NameTaken { kind: String, name: String },
    #[error(
        "{kind} {name} still belongs to a former object of this name; waiting until it is garbage-collected"
    )]
    NotCollected { kind: String, name: String },
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
pub trait Child: Watched + Resource<Scope = NamespaceResourceScope> + Serialize {}

impl<K> Child for K where K: Watched + Resource<Scope = NamespaceResourceScope> + Serialize {}

/// The children of one object.
pub struct Children<'a> {
    pub client: &'a Client,
    pub metrics: &'a Metrics,
    pub recorder: &'a Recorder,
    pub corrections: &'a Corrections,
    pub namespace: &'a str,
    pub owner: &'a OwnerReference,
    /// The owner, for events.
    pub about: &'a ObjectReference,
    /// Labels that every child carries. An object that carries them and has no controller is adopted: it
    /// was restored from a backup, or somebody removed its owner.
    pub labels: &'a BTreeMap<String, String>,
}

/// To whom an object belongs.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Ownership {
    Ours,
    /// It has our labels and no controller.
    Orphan,
    /// Of an object that had the name of our owner: the garbage collector will delete it.
    Predecessors,
    Foreign,
}

impl Ownership {
    /// Whether it is ours, or will be.
    pub fn is_ours(self) -> bool {
        matches!(self, Self::Ours | Self::Orphan)
    }
}

impl Children<'_> {
    /// Makes the live object match `desired`, writing only if it does not, and returns it as stored by the
    /// API server. `manager` is the field manager of what is written.
    ///
    /// Where others make the same change again and again, it is left as it is after a few corrections, and
    /// an event says so.
    ///
    /// # Errors
    /// [`Error::NameTaken`] if an object of that name belongs to somebody else, and
    /// [`Error::NotCollected`] if it belongs to a former owner of our owner's name; it is not changed.
    pub async fn ensure<K: Child>(
        &self,
        cache: &Cache<K>,
        manager: &str,
        mut desired: K,
    ) -> Result<Arc<K>, Error> {
        let name = desired.name_any();
        let hash = hash(&desired);
        desired
            .meta_mut()
            .annotations
            .get_or_insert_default()
            .insert(APPLIED_HASH.to_owned(), hash);
        let Some(live) = self.live(cache, &name).await? else {
            let created = self.apply(cache, manager, &desired).await?;
            self.record(&*created, "", &differences(&*created, &desired));
            return Ok(created);
        };
        let kind = K::kind(&()).into_owned();
        match self.ownership(&*live) {
            Ownership::Ours | Ownership::Orphan => {}
            Ownership::Predecessors => return Err(Error::NotCollected { kind, name }),
            Ownership::Foreign => return Err(Error::NameTaken { kind, name }),
        }
        let found = differences(&*live, &desired);
        if found.is_empty() {
            return Ok(live);
        }
        let uid = live.uid().unwrap_or_default();
        let text = text(&found);
        match self.corrections.verdict(&uid, &text) {
            Verdict::Correct => {}
            Verdict::Leave { tell } => {
                if tell {
                    self.tell(&*live, &text).await;
                }
                return Ok(live);
            }
        }
        // The write is for this object, not for one of its name that somebody creates meanwhile.
        desired.meta_mut().uid = Some(uid);
        let mut now = live;
        if !found.iter().all(Difference::is_addition) {
            now = self.apply(cache, manager, &desired).await?;
        }
        let additions = differences(&*now, &desired);
        if additions.iter().any(Difference::is_addition) {
            now = self
                .remove_additions(cache, manager, &*now, &additions)
                .await?;
        }
        self.record(&*now, &text, &differences(&*now, &desired));
        Ok(now)
    }

    /// The live object: from the watch, and where that has none from the API server, since an object without
    /// our labels is not watched.
    async fn live<K: Child>(&self, cache: &Cache<K>, name: &str) -> Result<Option<Arc<K>>, Error> {
        if let Some(live) = cache.get(self.namespace, name) {
            return Ok(Some(live));
        }
        let live = self
            .api::<K>()
            .get_opt(name)
            .await
            .map_err(|source| failed::<K>("read", name.to_owned(), source))?;
        Ok(live.map(Arc::new))
    }

    async fn apply<K: Child>(
        &self,
        cache: &Cache<K>,
        manager: &str,
        desired: &K,
    ) -> Result<Arc<K>, Error> {
        self.metrics.count_write(&K::kind(&()), "apply");
        let name = desired.name_any();
        let applied = self
            .api::<K>()
            .patch(
                &name,
                &PatchParams::apply(manager).force(),
                &Patch::Apply(desired),
            )
            .await
            .map_err(|source| failed::<K>("apply", name, source))?;
        Ok(remember(cache, applied))
    }

    /// Applies a few fields of an object that exists as `manager`, which then owns them, possibly with others.
    ///
    /// # Errors
    /// If somebody changed one of these fields meanwhile.
    pub async fn apply_part<K: Child>(
        &self,
        cache: &Cache<K>,
        manager: &str,
        name: &str,
        part: &Value,
    ) -> Result<(), Error> {
        self.metrics.count_write(&K::kind(&()), "apply");
        let applied = self
            .api::<K>()
            // Not by force, so that a value that is not the one that was read is a conflict.
            .patch(name, &PatchParams::apply(manager), &Patch::Apply(part))
            .await
            .map_err(|source| failed::<K>("apply", name.to_owned(), source))?;
        remember(cache, applied);
        Ok(())
    }

    /// Server-side apply never removes what another field manager owns, so this is an update of exactly the
    /// version that was read.
    async fn remove_additions<K: Child>(
        &self,
        cache: &Cache<K>,
        manager: &str,
        live: &K,
        differences: &[Difference],
    ) -> Result<Arc<K>, Error> {
        let name = live.name_any();
        let corrected = serde_json::to_value(live)
            .map(|live| drift::without_additions(live, differences))
            .and_then(serde_json::from_value::<K>)
            .map_err(|source| {
                failed::<K>("correct", name.clone(), kube::Error::SerdeError(source))
            })?;
        self.metrics.count_write(&K::kind(&()), "update");
        let params = PostParams {
            field_manager: Some(manager.to_owned()),
            ..PostParams::default()
        };
        let updated = self
            .api::<K>()
            .replace(&name, &params, &corrected)
            .await
            .map_err(|source| failed::<K>("update", name, source))?;
        Ok(remember(cache, updated))
    }

    fn record<K: Child>(&self, written: &K, corrected: &str, left: &[Difference]) {
        if corrected.is_empty() && left.is_empty() {
            return;
        }
        self.corrections
            .wrote(&written.uid().unwrap_or_default(), corrected, &text(left));
    }

    /// Tells the user that something is not as desired and stays so.
    async fn tell<K: Child>(&self, live: &K, difference: &str) {
        let note = format!(
            "{} {} is changed by others after each correction, and is left so until the next resync: {difference}",
            K::kind(&()),
            live.name_any()
        );
        tracing::warn!("{note}");
        let event = Event {
            type_: EventType::Warning,
            reason: "ChangedByOthers".to_owned(),
            note: Some(conditions::note(note)),
            action: "Correct".to_owned(),
            secondary: Some(live.object_ref(&())),
        };
        if let Err(error) = self.recorder.publish(&event, self.about).await {
            tracing::debug!(%error, "failed to publish an event");
        }
    }

    /// Creates `object` unless an object of that name exists.
    pub async fn create<K: Child>(&self, cache: &Cache<K>, object: &K) -> Result<(), Error> {
        self.metrics.count_write(&K::kind(&()), "create");
        match self.api::<K>().create(&PostParams::default(), object).await {
            Ok(created) => {
                remember(cache, created);
                Ok(())
            }
            Err(kube::Error::Api(status)) if status.is_already_exists() => Ok(()),
            Err(source) => Err(failed::<K>("create", object.name_any(), source)),
        }
    }

    /// Deletes this object and its dependents; it is no error if it is gone or was replaced.
    pub async fn delete<K: Child>(&self, cache: &Cache<K>, object: &K) -> Result<(), Error> {
        let name = object.name_any();
        self.metrics.count_write(&K::kind(&()), "delete");
        let params = DeleteParams::background().preconditions(Preconditions {
            uid: object.uid(),
            resource_version: None,
        });
        match self.api::<K>().delete(&name, &params).await {
            Ok(_) => {}
            Err(kube::Error::Api(status)) if status.is_not_found() || status.is_conflict() => {}
            Err(source) => return Err(failed::<K>("delete", name, source)),
        }
        cache.deleted(object);
        Ok(())
    }

    /// Deletes the children of this kind that are not in `keep`: what was desired once and is no more.
    pub async fn delete_others<K: Child>(
        &self,
        cache: &Cache<K>,
        keep: &[&str],
    ) -> Result<(), Error> {
        let obsolete = cache.filter(|object| {
            object.namespace().as_deref() == Some(self.namespace)
                && object.metadata_is_live()
                && !keep.contains(&object.name_any().as_str())
                && self.carries_labels(object)
                && self.ownership(object).is_ours()
        });
        for object in obsolete {
            self.delete(cache, &*object).await?;
        }
        Ok(())
    }

    pub fn ownership<K: Watched>(&self, object: &K) -> Ownership {
        ownership(object, self.owner, self.labels)
    }

    fn carries_labels<K: Watched>(&self, object: &K) -> bool {
        carries(object, self.labels)
    }

    fn api<K: Child>(&self) -> Api<K> {
        Api::namespaced(self.client.clone(), self.namespace)
    }
}

trait Live {
    /// Not on its way out.
    fn metadata_is_live(&self) -> bool;
}

impl<K: Watched> Live for K {
    fn metadata_is_live(&self) -> bool {
        self.meta().deletion_timestamp.is_none()
    }
}

/// To whom `object` belongs, seen from `owner`, whose children carry `labels`.
pub fn ownership<K: Watched>(
    object: &K,
    owner: &OwnerReference,
    labels: &BTreeMap<String, String>,
) -> Ownership {
    let controller = object
        .owner_references()
        .iter()
        .find(|reference| reference.controller == Some(true));
    match controller {
        Some(controller) if controller.uid == owner.uid => Ownership::Ours,
        Some(controller)
            if controller.name == owner.name
                && controller.kind == owner.kind
                && controller.api_version == owner.api_version =>
        {
            Ownership::Predecessors
        }
        None if carries(object, labels) => Ownership::Orphan,
        _ => Ownership::Foreign,
    }
}

fn carries<K: Watched>(object: &K, labels: &BTreeMap<String, String>) -> bool {
    labels
        .iter()
        .all(|(key, value)| object.labels().get(key) == Some(value))
}

fn remember<K: Child>(cache: &Cache<K>, mut object: K) -> Arc<K> {
    // As the watch has it.
    object.managed_fields_mut().clear();
    cache.wrote(object.clone());
    Arc::new(object)
}

fn differences<K: Child>(live: &K, desired: &K) -> Vec<Difference> {
    // Kinds of k8s-openapi are always serializable.
    let value = |object| serde_json::to_value(object).unwrap_or_default();
    drift::differences(&K::kind(&()), &value(live), &value(desired))
}

fn text(differences: &[Difference]) -> String {
    let texts: Vec<String> = differences.iter().map(ToString::to_string).collect();
    texts.join("; ")
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

#[cfg(test)]
mod tests;
