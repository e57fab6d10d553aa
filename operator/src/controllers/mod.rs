//! One module per kind, each with the same files; this file has what they share, `driver` runs them.
pub mod benchmark;
pub mod deployment;
mod driver;
mod nodes;
pub mod profile;
mod scope;
mod server_image;
pub mod voice;

use std::{
    borrow::Cow,
    collections::{BTreeMap, BTreeSet},
    fmt::Debug,
    future::Future,
    sync::{Arc, Mutex},
    time::Duration,
};

use jiff::Timestamp;
use k8s_openapi::{
    NamespaceResourceScope,
    api::core::v1::ObjectReference,
    apimachinery::pkg::apis::meta::v1::{Condition, ObjectMeta, OwnerReference},
};
use kube::{
    Api, Client, Resource, ResourceExt as _,
    api::{Patch, PatchParams},
    core::error_boundary::InvalidObject,
    runtime::{
        controller::Action,
        events::{Event, Recorder},
    },
};
use serde::{Serialize, de::DeserializeOwned};
use serde_json::json;
use tokio::sync::watch;

pub use self::driver::run;
use tts_crds::v1alpha1::TtsProfile;

use self::scope::{Guarded, Scope};
use crate::{
    FIELD_MANAGER,
    cache::Cache,
    children::{self, Children},
    conditions::{self, Verdict},
    corrections::Corrections,
    health::Health,
    metrics::Metrics,
    settings::Settings,
};

/// Level-triggered safety net for events that a watch missed; without drift it costs no request.
const RESYNC: Duration = Duration::from_mins(10);

/// Everything that a reconciliation uses besides its object.
pub struct Context {
    pub client: Client,
    pub recorder: Recorder,
    pub metrics: Arc<Metrics>,
    pub health: Health,
    settings: watch::Receiver<Arc<Settings>>,
    /// The operator's own.
    namespace: String,
    /// What is watched: all namespaces, or each of a list.
    scopes: Vec<Arc<Scope>>,
    nodes: nodes::NodeWatch,
    decisions: deployment::Decisions,
    corrections: Corrections,
    /// Held while an inspection is started: its place in the budget is taken by one voice.
    inspections: tokio::sync::Mutex<()>,
    /// Likewise for the rollout of a deployment.
    rollouts: tokio::sync::Mutex<()>,
    /// Likewise for a benchmark.
    benchmarks: tokio::sync::Mutex<()>,
    /// Uid and generation of objects whose status says that they cannot be decoded.
    undecodable: Mutex<BTreeSet<(String, i64)>>,
}

impl Context {
    /// `namespace` is the operator's own, `namespaces` are those to watch; `None` stands for all.
    pub fn new(
        client: Client,
        recorder: Recorder,
        metrics: Arc<Metrics>,
        health: Health,
        settings: watch::Receiver<Arc<Settings>>,
        namespace: String,
        namespaces: Vec<Option<String>>,
    ) -> Self {
        Self {
            client,
            recorder,
            metrics,
            health,
            settings,
            namespace,
            scopes: namespaces
                .into_iter()
                .map(|namespace| Arc::new(Scope::new(namespace)))
                .collect(),
            nodes: nodes::NodeWatch::default(),
            decisions: deployment::Decisions::default(),
            corrections: Corrections::default(),
            inspections: tokio::sync::Mutex::default(),
            rollouts: tokio::sync::Mutex::default(),
            benchmarks: tokio::sync::Mutex::default(),
            undecodable: Mutex::default(),
        }
    }

    /// The settings of this moment.
    fn settings(&self) -> Arc<Settings> {
        self.settings.borrow().clone()
    }

    /// The profiles that serve a namespace: its own, and those of the operator's namespace, if that is watched.
    fn profiles_for(&self, namespace: &str) -> Vec<Arc<Guarded<TtsProfile>>> {
        let serves = |object: &Guarded<TtsProfile>| {
            let own = object.namespace();
            own.as_deref() == Some(namespace) || own.as_deref() == Some(&self.namespace)
        };
        let scopes = self.scopes.iter();
        scopes
            .flat_map(|scope| scope.profiles.filter(serves))
            .collect()
    }

    fn children<'a>(
        &'a self,
        namespace: &'a str,
        owner: &'a OwnerReference,
        about: &'a ObjectReference,
        labels: &'a BTreeMap<String, String>,
    ) -> Children<'a> {
        Children {
            client: &self.client,
            metrics: &self.metrics,
            recorder: &self.recorder,
            corrections: &self.corrections,
            namespace,
            owner,
            about,
            labels,
        }
    }
}

/// Why a reconciliation failed; the variant's name is the metric label and the event's reason.
#[derive(Debug, thiserror::Error, strum::IntoStaticStr)]
pub enum Error {
    #[error("the object does not match the schema of this operator's version; correct it")]
    Undecodable(#[source] Box<InvalidObject>),
    #[error("the object has no {0}, so it was not read from the API server")]
    Incomplete(&'static str),
    #[error("failed to read {what}")]
    Dereference {
        what: Cow<'static, str>,
        #[source]
        source: kube::Error,
    },
    #[error(transparent)]
    Child(#[from] children::Error),
    #[error("failed to update the status")]
    Status(#[source] kube::Error),
    #[error("timed out after {:?}", driver::RECONCILE_TIMEOUT)]
    Timeout,
}

impl Error {
    /// `PascalCase` name of the variant.
    pub fn reason(&self) -> &'static str {
        match self {
            Self::Child(children::Error::NameTaken { .. }) => "NameTaken",
            Self::Child(children::Error::NotCollected { .. }) => "NotCollected",
            Self::Child(children::Error::Request { .. }) => "ApplyFailed",
            other => other.into(),
        }
    }

    /// The error with its cause. One level is enough: `kube`'s errors print their own sources.
    fn describe(&self) -> String {
        use std::error::Error as _;
        let source = match self {
            Self::Child(error) => error.source(),
            other => other.source(),
        };
        match source {
            Some(source) => format!("{self}: {source}"),
            None => self.to_string(),
        }
    }
}

type Result<T, E = Error> = std::result::Result<T, E>;

/// A kind of ours, with the function that reconciles one object of it.
trait Kind:
    Resource<Scope = NamespaceResourceScope, DynamicType = ()>
    + Clone
    + Debug
    + DeserializeOwned
    + Send
    + Sync
    + 'static
{
    type Status: Serialize + Clone + Default + PartialEq + Send + Sync;
    /// Name of the controller in metrics and logs.
    const CONTROLLER: &'static str;

    fn cache(scope: &Scope) -> &Cache<Guarded<Self>>;
    fn status(&self) -> Option<&Self::Status>;
    fn conditions(status: &Self::Status) -> &[Condition];
    fn set_conditions(status: &mut Self::Status, generation: i64, conditions: Vec<Condition>);

    /// Lets go of what is known of an object that was deleted.
    fn forget(_ctx: &Context, _namespace: &str, _name: &str) {}

    /// Brings the cluster to what the object asks for, and says when to look again.
    fn reconcile(
        self,
        ctx: Arc<Context>,
        scope: Arc<Scope>,
    ) -> impl Future<Output = Result<Action>> + Send;
}

/// Publishes an event; a failure is only logged.
async fn publish(ctx: &Context, event: &Event, about: &ObjectReference) {
    match ctx.recorder.publish(event, about).await {
        Ok(()) => {}
        // A namespace that is being deleted accepts no new objects, including events.
        Err(kube::Error::Api(status)) if status.code == 403 => {
            tracing::debug!(message = status.message, "the API server rejected an event");
        }
        Err(error) => tracing::warn!(%error, "failed to publish an event"),
    }
}

/// Writes the status if it changed, and publishes events about the verdicts that are new.
///
/// The status is replaced as a whole, so that nothing of somebody else's stays in it, and only if the object
/// is still the one that it was computed from.
async fn write_status<K: Kind>(
    ctx: &Context,
    scope: &Scope,
    object: &K,
    status: K::Status,
    verdicts: &[Verdict],
) -> Result<()> {
    if object.status() == Some(&status) {
        return Ok(());
    }
    let uid = object.uid().ok_or(Error::Incomplete("uid"))?;
    let operations = json!([
        {"op": "test", "path": "/metadata/uid", "value": uid},
        {"op": "add", "path": "/status", "value": status},
    ]);
    // Two operations of known shape.
    let patch = serde_json::from_value(operations)
        .map_err(|error| Error::Status(kube::Error::SerdeError(error)))?;
    let mut written = patch_status::<K>(ctx, object.meta(), &Patch::Json::<()>(patch)).await?;
    // As the watch will have it, with the spec of now, which may be newer than the one this is about.
    written.managed_fields_mut().clear();
    K::cache(scope).wrote(written);
    let previous = object.status().map(K::conditions).unwrap_or_default();
    let events = conditions::events(previous, verdicts);
    for event in events {
        publish(ctx, &event, &object.object_ref(&())).await;
    }
    Ok(())
}

/// Patches the status of the object with this metadata, and returns the object as written.
async fn patch_status<K: Kind>(
    ctx: &Context,
    meta: &ObjectMeta,
    patch: &Patch<impl Serialize + Debug>,
) -> Result<Guarded<K>> {
    let name = meta.name.as_deref().ok_or(Error::Incomplete("name"))?;
    let namespace = meta.namespace.as_deref();
    let namespace = namespace.ok_or(Error::Incomplete("namespace"))?;
    ctx.metrics.count_write(&K::kind(&()), "status");
    let params = PatchParams {
        field_manager: Some(FIELD_MANAGER.to_owned()),
        ..PatchParams::default()
    };
    Api::namespaced(ctx.client.clone(), namespace)
        .patch_status(name, &params, patch)
        .await
        .map_err(Error::Status)
}

/// The time of this reconciliation; pure steps take it as an argument.
fn now() -> Timestamp {
    Timestamp::now()
}

#[cfg(test)]
mod tests {
    use super::driver::CONTROLLERS;

    /// A kind is listed in `tts_crds::all` and gets a controller; the charts' roles are checked against both.
    #[test]
    fn every_kind_has_a_controller() {
        let mut kinds: Vec<String> = tts_crds::all()
            .into_iter()
            .map(|crd| crd.spec.names.singular.unwrap_or_default())
            .collect();
        kinds.sort();
        let mut controllers = CONTROLLERS.to_vec();
        controllers.sort_unstable();
        assert_eq!(kinds, controllers);
    }
}
