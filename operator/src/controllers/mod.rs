//! One module per kind, each with the same six files; this file has what they share.
pub mod deployment;
mod labels;
mod pods;
mod server_image;
pub mod voice;

use std::{borrow::Cow, fmt::Debug, future::Future, sync::Arc, time::Duration};

use futures::StreamExt as _;
use jiff::Timestamp;
use k8s_openapi::{
    NamespaceResourceScope, api::core::v1::ObjectReference,
    apimachinery::pkg::apis::meta::v1::Condition,
};
use kube::{
    Api, Client, Resource, ResourceExt as _,
    api::{Patch, PatchParams},
    core::{DeserializeGuard, error_boundary::InvalidObject},
    runtime::{
        WatchStreamExt as _, controller,
        controller::Action,
        events::{Event, Recorder},
        predicates,
        reflector::{self, ObjectRef, Store},
        watcher,
    },
};
use serde::{Serialize, de::DeserializeOwned};
use serde_json::json;
use tokio::time::{Instant, timeout};

use crate::{
    FIELD_MANAGER,
    backoff::ErrorBackoff,
    children,
    conditions::{
        self, READY, RECONCILING, STALLED,
        Status::{False, True},
        Verdict,
    },
    metrics::Metrics,
    settings::ServerSettings,
};

/// Time limit of a reconciliation, including the client's retries (by default it retries
/// 429/503/504 up to 15 times).
const RECONCILE_TIMEOUT: Duration = Duration::from_mins(1);
/// Level-triggered safety net for events that a watch missed; without drift nothing is written.
const RESYNC: Duration = Duration::from_mins(10);
/// How long changes of one object are collected before it is reconciled.
const DEBOUNCE: Duration = Duration::from_millis(200);
/// Concurrent reconciliations per kind.
const CONCURRENCY: u16 = 8;

/// Everything that a reconciliation uses besides its object.
pub struct Context {
    pub client: Client,
    pub recorder: Recorder,
    pub metrics: Arc<Metrics>,
    pub settings: Arc<ServerSettings>,
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
    #[error("timed out after {RECONCILE_TIMEOUT:?}")]
    Timeout,
}

impl Error {
    /// `PascalCase` name of the variant.
    pub fn reason(&self) -> &'static str {
        match self {
            Self::Child(children::Error::NameTaken { .. }) => "NameTaken",
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

/// A kind of ours that a controller drives.
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

    fn status(&self) -> Option<&Self::Status>;
    fn conditions(status: &Self::Status) -> &[Condition];
    fn set_conditions(status: &mut Self::Status, generation: i64, conditions: Vec<Condition>);
}

/// Runs one reconciliation with its time limit, its metrics and its backoff.
async fn run_reconciliation<K: Kind, F>(
    object: &DeserializeGuard<K>,
    ctx: &Context,
    backoff: &ErrorBackoff,
    reconcile: impl FnOnce(K) -> F,
) -> Result<Action>
where
    F: Future<Output = Result<Action>>,
{
    let start = Instant::now();
    let result = match &object.0 {
        Err(error) => Err(Error::Undecodable(Box::new(error.clone()))),
        Ok(kind) if kind.meta().deletion_timestamp.is_some() => Ok(Action::await_change()),
        Ok(kind) => timeout(RECONCILE_TIMEOUT, Box::pin(reconcile(kind.clone())))
            .await
            .unwrap_or(Err(Error::Timeout)),
    };
    if let (Err(error), Ok(kind)) = (&result, &object.0) {
        record_failure(ctx, kind, error).await;
    }
    ctx.metrics
        .observe_reconciliation(K::CONTROLLER, result.is_ok(), start.elapsed());
    if result.is_ok() {
        backoff.reset(&object.namespace().unwrap_or_default(), &object.name_any());
    }
    result
}

/// Records in the status that child objects could not be created, which a quota, an admission
/// webhook or a taken name can prevent permanently. Other failures are temporary.
async fn record_failure<K: Kind>(ctx: &Context, object: &K, error: &Error) {
    let Error::Child(cause) = error else {
        return;
    };
    let failed = Verdict::new(READY, False, error.reason(), error.describe());
    // A user must rename or delete one of the two: the operator never takes over foreign objects.
    let outlook = match cause {
        children::Error::NameTaken { .. } => failed.as_type(STALLED, True),
        children::Error::Request { .. } => failed.as_type(RECONCILING, True),
    };
    let mut status = object.status().cloned().unwrap_or_default();
    let generation = object.meta().generation;
    let conditions = conditions::replace(
        K::conditions(&status),
        vec![failed, outlook],
        generation,
        now(),
    );
    K::set_conditions(&mut status, generation.unwrap_or_default(), conditions);
    if let Err(error) = write_status(ctx, object, status).await {
        tracing::debug!(
            error = error.describe(),
            "could not record the failure in status"
        );
    }
}

/// Counts the failure and schedules the next attempt.
fn retry<K: Kind>(
    object: &DeserializeGuard<K>,
    error: &Error,
    ctx: &Context,
    backoff: &ErrorBackoff,
) -> Action {
    ctx.metrics
        .reconcile_errors
        .with_label_values(&[K::CONTROLLER, error.reason()])
        .inc();
    Action::requeue(backoff.next(&object.namespace().unwrap_or_default(), &object.name_any()))
}

/// What a controller's stream yields for one reconciliation.
type Outcome<K> = std::result::Result<
    (ObjectRef<DeserializeGuard<K>>, Action),
    controller::Error<Error, watcher::Error>,
>;

/// Logs the outcome of a reconciliation and publishes an event if it failed.
async fn handle_outcome<K: Kind>(ctx: &Context, backoff: &ErrorBackoff, outcome: Outcome<K>) {
    match outcome {
        Ok((object, _)) => tracing::debug!(%object, "reconciled"),
        Err(controller::Error::ReconcilerFailed(error, object)) => {
            let message = error.describe();
            tracing::warn!(%object, reason = error.reason(), error = message, "reconciliation failed");
            let event = conditions::failure_event(error.reason(), message);
            publish(ctx, &event, &(*object).into()).await;
        }
        // The object was deleted before its reconciliation started.
        Err(controller::Error::ObjectNotFound(object)) => {
            backoff.reset(
                object.namespace.as_deref().unwrap_or_default(),
                &object.name,
            );
        }
        Err(error) => {
            tracing::warn!(
                error = &error as &dyn std::error::Error,
                "watch failed; restarting it"
            );
        }
    }
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

/// Writes the status if it changed, and publishes an event if `Ready` changed.
async fn write_status<K: Kind>(ctx: &Context, object: &K, status: K::Status) -> Result<()> {
    if object.status() == Some(&status) {
        return Ok(());
    }
    let name = object.name_any();
    let namespace = object.namespace().ok_or(Error::Incomplete("namespace"))?;
    ctx.metrics.count_write(&K::kind(&()), "status");
    Api::<K>::namespaced(ctx.client.clone(), &namespace)
        .patch_status(
            &name,
            &PatchParams::apply(FIELD_MANAGER).force(),
            &Patch::Apply(json!({
                "apiVersion": K::api_version(&()),
                "kind": K::kind(&()),
                "metadata": {"name": name},
                "status": status,
            })),
        )
        .await
        .map_err(Error::Status)?;
    let previous = object.status().map(K::conditions).unwrap_or_default();
    if let Some(event) = conditions::event(previous, K::conditions(&status)) {
        publish(ctx, &event, &object.object_ref(&())).await;
    }
    Ok(())
}

/// The stream that drives a controller, and the store it fills.
///
/// The operator's own status writes do not change the generation, so they do not trigger a
/// reconciliation. An invalid object (a [`DeserializeGuard`]) does not end the watch.
fn main_stream<K: Kind>(
    client: &Client,
    namespace: Option<&str>,
) -> (
    impl futures::Stream<Item = std::result::Result<DeserializeGuard<K>, watcher::Error>>
    + Send
    + use<K>,
    Store<DeserializeGuard<K>>,
) {
    let (store, writer) = reflector::store();
    let stream = watcher(
        scoped::<DeserializeGuard<K>>(client, namespace),
        watcher::Config::default(),
    )
    .default_backoff()
    .reflect(writer)
    .applied_objects()
    .predicate_filter(
        predicates::generation,
        kube::runtime::PredicateConfig::default(),
    )
    .boxed();
    (stream, store)
}

fn config() -> controller::Config {
    controller::Config::default()
        .concurrency(CONCURRENCY)
        .debounce(DEBOUNCE)
}

/// All objects of a kind, or those of one namespace.
fn scoped<K>(client: &Client, namespace: Option<&str>) -> Api<K>
where
    K: Resource<Scope = NamespaceResourceScope, DynamicType = ()>,
{
    match namespace {
        Some(namespace) => Api::namespaced(client.clone(), namespace),
        None => Api::all(client.clone()),
    }
}

/// The time of this reconciliation; pure steps take it as an argument.
fn now() -> Timestamp {
    Timestamp::now()
}
