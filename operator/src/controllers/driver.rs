//! Runs the controllers: watches, queues, time limits, metrics, backoff and events are the same for all kinds.
use std::{convert::Infallible, sync::Arc, time::Duration};

use futures::{
    FutureExt as _, StreamExt as _,
    channel::mpsc::{self, UnboundedReceiver},
    future, stream,
};
use jiff::Timestamp;
use k8s_openapi::apimachinery::pkg::apis::meta::v1::Condition;
use kube::{
    Resource as _, ResourceExt as _,
    api::Patch,
    core::error_boundary::InvalidObject,
    runtime::{
        applier,
        controller::{self, Action},
        reflector::ObjectRef,
    },
};
use serde_json::json;
use tokio::time::{Instant, timeout};
use tokio_util::sync::CancellationToken;
use tts_crds::v1alpha1::{TtsBenchmark, TtsDeployment, TtsProfile, TtsVoice};

use super::{
    Context, Error, Kind, Result,
    scope::{Guarded, Scope, Triggers},
};
use crate::{
    backoff::ErrorBackoff,
    children,
    conditions::{
        self, READY, RECONCILING, STALLED,
        Status::{False, True},
        Verdict,
    },
};

/// Time limit of a reconciliation.
pub const RECONCILE_TIMEOUT: Duration = Duration::from_mins(1);
/// How long changes of one object are collected before it is reconciled.
const DEBOUNCE: Duration = Duration::from_millis(200);
/// Concurrent reconciliations per kind.
const CONCURRENCY: u16 = 8;

/// Names of all controllers.
#[cfg(test)]
pub const CONTROLLERS: [&str; 4] = [
    TtsVoice::CONTROLLER,
    TtsDeployment::CONTROLLER,
    TtsBenchmark::CONTROLLER,
    TtsProfile::CONTROLLER,
];

/// Runs every controller in every scope until `shutdown`, letting reconciliations in flight finish.
pub async fn run(ctx: Arc<Context>, shutdown: &CancellationToken) {
    let namespaces: Vec<_> = ctx.scopes.iter().map(|s| s.namespace.clone()).collect();
    ctx.health.watching(&namespaces);
    let scopes = ctx
        .scopes
        .iter()
        .map(|scope| run_scope(&ctx, scope, shutdown));
    tokio::select! {
        _ = future::join_all(scopes) => {}
        // It does not end.
        () = ctx.nodes.watch(&ctx.client) => {}
    }
}

/// One that cannot be watched does not keep the others from working.
async fn run_scope(ctx: &Arc<Context>, scope: &Arc<Scope>, shutdown: &CancellationToken) {
    let (voices, voice_queue) = mpsc::unbounded();
    let (deployments, deployment_queue) = mpsc::unbounded();
    let (benchmarks, benchmark_queue) = mpsc::unbounded();
    let (profiles, profile_queue) = mpsc::unbounded();
    let triggers = Triggers {
        voices,
        deployments,
        benchmarks,
        profiles,
    };
    let controllers = async {
        scope.wait_until_ready().await;
        tracing::info!(namespace = scope.namespace, "watching");
        future::join4(
            run_controller::<TtsVoice>(ctx, scope, voice_queue, shutdown),
            run_controller::<TtsDeployment>(ctx, scope, deployment_queue, shutdown),
            run_controller::<TtsBenchmark>(ctx, scope, benchmark_queue, shutdown),
            run_controller::<TtsProfile>(ctx, scope, profile_queue, shutdown),
        )
        .await;
    };
    let watches = scope.watch(&ctx.client, &triggers, &ctx.health, &ctx.metrics);
    let never_ready = async {
        shutdown.cancelled().await;
        // The controllers of a scope that is watched end by themselves.
        if scope.wait_until_ready().now_or_never().is_some() {
            future::pending::<()>().await;
        }
    };
    tokio::select! {
        () = controllers => {}
        () = watches => {}
        () = never_ready => {}
    }
}

async fn run_controller<K: Kind>(
    ctx: &Arc<Context>,
    scope: &Arc<Scope>,
    queue: UnboundedReceiver<ObjectRef<Guarded<K>>>,
    shutdown: &CancellationToken,
) {
    let backoff = Arc::new(ErrorBackoff::default());
    // All objects, when the settings change or the nodes do.
    let settings = stream::unfold(ctx.settings.clone(), async |mut settings| {
        settings.changed().await.ok()?;
        Some(((), settings))
    });
    let nodes = stream::unfold(ctx.nodes.changes(), async |mut nodes| {
        nodes.changed().await.ok()?;
        Some(((), nodes))
    });
    let changes = stream::select(settings, nodes);
    let all_again = changes.flat_map({
        let scope = scope.clone();
        move |()| {
            let objects = K::cache(&scope).store().state();
            stream::iter(
                objects
                    .into_iter()
                    .map(|object| ObjectRef::from_obj(&*object)),
            )
        }
    });
    let queue = stream::select(queue, all_again)
        .map(Ok::<_, Infallible>)
        .take_until(shutdown.cancelled());
    let config = controller::Config::default()
        .concurrency(CONCURRENCY)
        .debounce(DEBOUNCE);
    applier(
        {
            let (backoff, scope) = (backoff.clone(), scope.clone());
            move |object: Arc<Guarded<K>>, ctx: Arc<Context>| {
                let (backoff, scope) = (backoff.clone(), scope.clone());
                async move { reconcile(&object, &ctx, &scope, &backoff).await }.boxed()
            }
        },
        {
            let backoff = backoff.clone();
            move |object: Arc<Guarded<K>>, error: &Error, ctx: Arc<Context>| {
                retry::<K>(&object, error, &ctx, &backoff)
            }
        },
        ctx.clone(),
        K::cache(scope).store(),
        queue.boxed(),
        config,
    )
    .for_each(|outcome| {
        match outcome {
            Ok((object, _)) => tracing::debug!(%object, "reconciled"),
            // The object was deleted before its reconciliation started.
            Err(controller::Error::ObjectNotFound(object)) => {
                let namespace = object.namespace.as_deref().unwrap_or_default();
                backoff.reset(namespace, &object.name);
                K::forget(ctx, namespace, &object.name);
            }
            // Told by the reconciliation itself.
            Err(_) => {}
        }
        future::ready(())
    })
    .await;
}

/// Runs one reconciliation with its time limit, its metrics and its backoff, and tells if it failed.
async fn reconcile<K: Kind>(
    object: &Guarded<K>,
    ctx: &Arc<Context>,
    scope: &Arc<Scope>,
    backoff: &ErrorBackoff,
) -> Result<Action> {
    let (namespace, name) = (object.namespace().unwrap_or_default(), object.name_any());
    // What was written last may be newer than what the queue saw.
    let Some(object) = K::cache(scope).get(&namespace, &name) else {
        K::forget(ctx, &namespace, &name);
        return Ok(Action::await_change());
    };
    let start = Instant::now();
    let result = match &object.0 {
        Err(error) => Err(Error::Undecodable(Box::new(error.clone()))),
        Ok(kind) if kind.meta().deletion_timestamp.is_some() => Ok(Action::await_change()),
        Ok(kind) => {
            let reconciliation = kind.clone().reconcile(ctx.clone(), scope.clone());
            timeout(RECONCILE_TIMEOUT, Box::pin(reconciliation))
                .await
                .unwrap_or(Err(Error::Timeout))
        }
    };
    ctx.metrics
        .observe_reconciliation(K::CONTROLLER, result.is_ok(), start.elapsed());
    match &result {
        Ok(_) => backoff.reset(&namespace, &name),
        Err(error) => {
            let message = error.describe();
            tracing::warn!(
                kind = %K::kind(&()),
                namespace,
                name,
                reason = error.reason(),
                error = message,
                "reconciliation failed"
            );
            match &object.0 {
                Ok(kind) => record_failure(ctx, scope, kind, error).await,
                Err(invalid) => record_undecodable::<K>(ctx, invalid, &message).await,
            }
            let event = conditions::failure_event(error.reason(), message);
            super::publish(ctx, &event, &object.object_ref(&())).await;
        }
    }
    result
}

/// Records in the status that child objects could not be created, which a quota, an admission
/// webhook or a taken name can prevent permanently. What runs goes on, and so do the conditions about it.
async fn record_failure<K: Kind>(ctx: &Context, scope: &Scope, object: &K, error: &Error) {
    let Error::Child(cause) = error else {
        return;
    };
    let mut status = object.status().cloned().unwrap_or_default();
    let generation = object.meta().generation;
    let previous = K::conditions(&status);
    let conditions = after_failure(previous, error, cause, generation, super::now());
    // The event about the failure says the same.
    K::set_conditions(&mut status, generation.unwrap_or_default(), conditions);
    if let Err(error) = super::write_status(ctx, scope, object, status, &[]).await {
        tracing::debug!(
            error = error.describe(),
            "could not record the failure in status"
        );
    }
}

/// The conditions after a failure. A failed request is tried again, so it is no reason to be unready.
fn after_failure(
    previous: &[Condition],
    error: &Error,
    cause: &children::Error,
    generation: Option<i64>,
    now: Timestamp,
) -> Vec<Condition> {
    let failed = Verdict::new(READY, False, error.reason(), error.describe());
    let (outlook, unready) = match cause {
        // A user must rename or delete one of the two: the operator never takes over foreign objects.
        children::Error::NameTaken { .. } => (STALLED, true),
        children::Error::Request { .. } | children::Error::NotCollected { .. } => {
            (RECONCILING, !conditions::is_true(previous, READY))
        }
    };
    let mut verdicts = vec![failed.as_type(outlook, True)];
    // Of the outlooks there is one, whatever there was before; what is not mentioned stays as it is.
    let mut types = vec![RECONCILING, STALLED];
    if unready {
        types.push(READY);
        verdicts.push(failed);
    }
    conditions::merge(previous, &types, verdicts, generation, now)
}

/// Says in the status of an object that it cannot be decoded, once for each generation: nothing more is
/// known of it than its metadata.
async fn record_undecodable<K: Kind>(ctx: &Context, object: &InvalidObject, message: &str) {
    let meta = &object.metadata;
    let (Some(uid), Some(generation)) = (&meta.uid, meta.generation) else {
        return;
    };
    let seen = (uid.clone(), generation);
    let known = |ctx: &Context| {
        ctx.undecodable
            .lock()
            .unwrap_or_else(std::sync::PoisonError::into_inner)
            .contains(&seen)
    };
    if known(ctx) {
        return;
    }
    let failed = Verdict::new(READY, False, "Undecodable", message);
    let verdicts = vec![failed.as_type(STALLED, True), failed];
    let conditions = conditions::merge(&[], &[], verdicts, Some(generation), super::now());
    // A merge patch: what is known from before stays, although it cannot be decoded here.
    let patch = json!({
        "metadata": {"uid": uid},
        "status": {"observedGeneration": generation, "conditions": conditions},
    });
    match super::patch_status::<K>(ctx, meta, &Patch::Merge(patch)).await {
        Ok(_) => {
            ctx.undecodable
                .lock()
                .unwrap_or_else(std::sync::PoisonError::into_inner)
                .insert(seen);
        }
        Err(error) => {
            tracing::debug!(
                error = error.describe(),
                "could not record in status that the object is undecodable"
            );
        }
    }
}

/// Counts the failure and schedules the next attempt.
fn retry<K: Kind>(
    object: &Guarded<K>,
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

#[cfg(test)]
mod tests {
    use std::pin::pin;

    use kube::{
        Client,
        client::Body,
        runtime::events::{Recorder, Reporter},
    };
    use serde_json::Value;
    use tower_test::mock::{self, Handle};
    use tts_crds::v1alpha1::TtsDeploymentStatus;

    use super::*;
    use crate::{health::Health, metrics::Metrics};

    fn forbidden() -> Error {
        let source = kube::Error::Api(
            kube::core::Status::failure("exceeded quota", "Forbidden")
                .with_code(403)
                .boxed(),
        );
        Error::Child(children::Error::Request {
            verb: "create",
            kind: "Job".to_owned(),
            name: "rms-inspect".to_owned(),
            source: Box::new(source),
        })
    }

    /// The conditions after `error` in generation 2 of an object that was stuck in generation 1.
    fn after(error: &Error, ready: conditions::Status) -> Vec<(String, String, String)> {
        let Error::Child(cause) = error else {
            unreachable!("a child error");
        };
        let verdicts = vec![
            Verdict::new(READY, ready, "Serving", "1 of 1 pods"),
            Verdict::new(STALLED, True, "RolloutStuck", "no room"),
        ];
        let start = Timestamp::UNIX_EPOCH;
        let before = conditions::merge(&[], &[], verdicts, Some(1), start);
        let after = after_failure(&before, error, cause, Some(2), start);
        if ready == True && matches!(cause, children::Error::Request { .. }) {
            assert_eq!(after[0], before[0], "as it was, with its generation");
        }
        after
            .into_iter()
            .map(|c| (c.type_, c.status, c.reason))
            .collect()
    }

    fn condition(type_: &str, status: &str, reason: &str) -> (String, String, String) {
        (type_.to_owned(), status.to_owned(), reason.to_owned())
    }

    #[test]
    fn a_failed_request_does_not_make_what_serves_unready() {
        assert_eq!(
            after(&forbidden(), True),
            [
                condition("Ready", "True", "Serving"),
                condition("Reconciling", "True", "ApplyFailed"),
            ]
        );
        assert_eq!(
            after(&forbidden(), False),
            [
                condition("Ready", "False", "ApplyFailed"),
                condition("Reconciling", "True", "ApplyFailed"),
            ]
        );
    }

    type Requests = Handle<http::Request<Body>, http::Response<Body>>;

    fn context() -> (Context, Requests) {
        let (service, requests) = mock::pair::<http::Request<Body>, http::Response<Body>>();
        let client = Client::new(service, "stage");
        let reporter = Reporter {
            controller: "tts-operator".to_owned(),
            instance: None,
        };
        let settings = serde_saphyr::from_str("server: {image: x}").unwrap();
        // Without a sender the settings stay as they are.
        let (_, settings) = tokio::sync::watch::channel(Arc::new(settings));
        let ctx = Context::new(
            client.clone(),
            Recorder::new(client, reporter),
            Arc::new(Metrics::new().unwrap()),
            Health::default(),
            settings,
            "operators".to_owned(),
            vec![None],
        );
        (ctx, requests)
    }

    /// Answers the next request; returns its path and body.
    async fn answer(requests: &mut Requests, answer: &Value) -> (String, Value) {
        let (request, send) = pin!(requests.next_request()).await.expect("a request");
        let path = request.uri().path().to_owned();
        let body = request.into_body().collect_bytes().await.unwrap();
        let answer = serde_json::to_vec(answer).unwrap();
        send.send_response(http::Response::new(Body::from(answer)));
        (path, serde_json::from_slice(&body).unwrap())
    }

    const STATUS: &str =
        "/apis/tts-operator.dev/v1alpha1/namespaces/stage/ttsdeployments/greeter/status";

    fn greeter(generation: i64, voice: &str) -> Value {
        json!({
            "apiVersion": "tts-operator.dev/v1alpha1", "kind": "TtsDeployment",
            "metadata": {
                "name": "greeter", "namespace": "stage", "uid": "u", "generation": generation,
                "resourceVersion": generation.to_string(),
            },
            "spec": {"voices": [{"name": voice}]},
        })
    }

    /// Written by an older or newer version, past what admission refuses today.
    #[tokio::test]
    async fn an_object_that_cannot_be_decoded_says_so_once() {
        let (ctx, mut requests) = context();
        let mut object = greeter(7, "rms");
        object["spec"]["sizing"] =
            json!({"mode": "Manual", "resources": {"requests": {"cpu": -1, "memory": "1Gi"}}});
        let object: Guarded<TtsDeployment> = serde_json::from_value(object).unwrap();
        let invalid = object.0.unwrap_err();
        let api = async {
            let written = greeter(7, "rms");
            let (path, body) = answer(&mut requests, &written).await;
            assert_eq!(path, STATUS);
            assert_eq!(body["metadata"]["uid"], "u");
            assert_eq!(body["status"]["observedGeneration"], 7);
            let conditions = body["status"]["conditions"].as_array().unwrap();
            let seen: Vec<_> = conditions
                .iter()
                .map(|c| format!("{}={}", c["type"], c["status"]))
                .collect();
            assert_eq!(seen, [r#""Ready"="False""#, r#""Stalled"="True""#]);
        };
        let twice = async {
            record_undecodable::<TtsDeployment>(&ctx, &invalid, "no quantity").await;
            record_undecodable::<TtsDeployment>(&ctx, &invalid, "no quantity").await;
        };
        tokio::join!(twice, api);
    }

    #[tokio::test]
    async fn a_status_is_written_for_this_very_object_and_hides_no_newer_spec() {
        let (ctx, mut requests) = context();
        let object: TtsDeployment = serde_json::from_value(greeter(1, "rms")).unwrap();
        let status = TtsDeploymentStatus {
            observed_generation: 1,
            ..TtsDeploymentStatus::default()
        };
        let api = async {
            // Somebody changed the voice meanwhile.
            let (path, body) = answer(&mut requests, &greeter(2, "other")).await;
            assert_eq!(path, STATUS);
            assert_eq!(
                body[0],
                json!({"op": "test", "path": "/metadata/uid", "value": "u"})
            );
            assert_eq!(body[1]["value"]["observedGeneration"], 1);
        };
        let scope = &ctx.scopes[0];
        let write = super::super::write_status(&ctx, scope, &object, status, &[]);
        let (written, ()) = tokio::join!(write, api);
        written.unwrap();
        let seen = scope.tts_deployments.get("stage", "greeter").unwrap();
        let seen = seen.0.as_ref().unwrap();
        assert_eq!(seen.metadata.generation, Some(2));
        assert_eq!(seen.spec.voices[0].name, "other");
    }

    #[test]
    fn a_taken_name_needs_a_person() {
        let taken = Error::Child(children::Error::NameTaken {
            kind: "Service".to_owned(),
            name: "greeter".to_owned(),
        });
        assert_eq!(
            after(&taken, True),
            [
                condition("Ready", "False", "NameTaken"),
                condition("Stalled", "True", "NameTaken"),
            ]
        );
    }
}
