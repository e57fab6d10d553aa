//! The `TtsDeployment` controller: creates the workload and the endpoint for voices.
use std::sync::Arc;

use futures::StreamExt as _;
use k8s_openapi::{
    api::{
        apps::v1::Deployment,
        core::v1::{Pod, Service, ServiceAccount},
        networking::v1::NetworkPolicy,
        policy::v1::PodDisruptionBudget,
    },
    apimachinery::pkg::apis::meta::v1::Condition,
};
use kube::{
    Client, ResourceExt as _,
    core::DeserializeGuard,
    runtime::{Controller, controller::Action, reflector::ObjectRef, watcher},
};
use tokio_util::sync::CancellationToken;
use tts_crds::v1alpha1::{TtsDeployment, TtsDeploymentStatus, TtsVoice};

use super::{Context, Error, Kind, RESYNC, Result, labels};
use crate::{backoff::ErrorBackoff, children::Children};

mod apply;
mod build;
mod dereference;
mod sizing;
mod status;
mod validate;

impl Kind for TtsDeployment {
    type Status = TtsDeploymentStatus;
    const CONTROLLER: &'static str = "ttsdeployment";

    fn status(&self) -> Option<&TtsDeploymentStatus> {
        self.status.as_ref()
    }

    fn conditions(status: &TtsDeploymentStatus) -> &[Condition] {
        &status.conditions
    }

    fn set_conditions(
        status: &mut TtsDeploymentStatus,
        generation: i64,
        conditions: Vec<Condition>,
    ) {
        status.observed_generation = generation;
        status.conditions = conditions;
    }
}

#[tracing::instrument(skip_all, fields(namespace = object.namespace(), name = object.name_any()))]
async fn reconcile(object: TtsDeployment, ctx: Arc<Context>) -> Result<Action> {
    let references = dereference::dereference(&ctx.client, &object).await?; // client
    let tts = validate::validate(&object, &references, &ctx.settings)?;
    let desired = build::build(&tts);
    let children = Children {
        client: &ctx.client,
        metrics: &ctx.metrics,
        namespace: &tts.namespace,
        owner: &tts.owner,
    };
    let applied = if tts.paused {
        apply::read_live(&children, &tts).await? // client
    } else {
        apply::apply(&children, &tts, desired).await? // client
    };
    let status = status::status(&object, &tts, &applied, super::now());
    super::write_status(&ctx, &object, status).await?; // client
    Ok(Action::requeue(RESYNC))
}

/// Runs the controller until `shutdown`, letting reconciliations in flight finish.
pub async fn run(ctx: Arc<Context>, namespace: Option<&str>, shutdown: CancellationToken) {
    let client: &Client = &ctx.client;
    let backoff = Arc::new(ErrorBackoff::default());
    let (stream, store) = super::main_stream::<TtsDeployment>(client, namespace);
    let by_voice = store.clone();
    let children = labels::watcher_config(labels::SERVER);
    Controller::for_stream(stream, store)
        .with_config(super::config())
        .owns(
            super::scoped::<Deployment>(client, namespace),
            children.clone(),
        )
        .owns(
            super::scoped::<Service>(client, namespace),
            children.clone(),
        )
        .owns(
            super::scoped::<ServiceAccount>(client, namespace),
            children.clone(),
        )
        .owns(
            super::scoped::<PodDisruptionBudget>(client, namespace),
            children.clone(),
        )
        .owns(super::scoped::<NetworkPolicy>(client, namespace), children)
        // The pod's status says why it does not run; the Deployment's status has only counts.
        .watches(
            super::scoped::<Pod>(client, namespace),
            labels::watcher_config(labels::SERVER),
            |pod| labels::instance(&pod),
        )
        .watches(
            super::scoped::<DeserializeGuard<TtsVoice>>(client, namespace),
            watcher::Config::default(),
            move |voice| {
                let (namespace, name) = (voice.namespace(), voice.name_any());
                by_voice
                    .state_filter(move |object| {
                        object.namespace() == namespace && serves(object, &name)
                    })
                    .into_iter()
                    .map(|object| ObjectRef::from_obj(&*object))
            },
        )
        .graceful_shutdown_on(shutdown.cancelled_owned())
        .run(
            {
                let backoff = backoff.clone();
                move |object: Arc<DeserializeGuard<TtsDeployment>>, ctx: Arc<Context>| {
                    let backoff = backoff.clone();
                    async move {
                        super::run_reconciliation(&object, &ctx, &backoff, |tts| {
                            reconcile(tts, ctx.clone())
                        })
                        .await
                    }
                }
            },
            {
                let backoff = backoff.clone();
                move |object: Arc<DeserializeGuard<TtsDeployment>>,
                      error: &Error,
                      ctx: Arc<Context>| {
                    super::retry(&object, error, &ctx, &backoff)
                }
            },
            ctx.clone(),
        )
        .for_each_concurrent(16, |outcome| super::handle_outcome(&ctx, &backoff, outcome))
        .await;
}

fn serves(object: &DeserializeGuard<TtsDeployment>, voice: &str) -> bool {
    object
        .0
        .as_ref()
        .is_ok_and(|tts| tts.spec.voices.iter().any(|served| served.name == voice))
}
