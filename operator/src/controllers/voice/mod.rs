//! The `TtsVoice` controller: inspects each voice with a Job and records the result.
use std::{sync::Arc, time::Duration};

use futures::StreamExt as _;
use k8s_openapi::{
    api::{batch::v1::Job, core::v1::Pod},
    apimachinery::pkg::apis::meta::v1::Condition,
};
use kube::{
    Client, ResourceExt as _,
    core::DeserializeGuard,
    runtime::{Controller, controller::Action},
};
use tokio_util::sync::CancellationToken;
use tts_crds::v1alpha1::{TtsVoice, TtsVoiceStatus};

use self::validate::Inspection;
use super::{Context, Error, Kind, RESYNC, Result, labels};
use crate::{backoff::ErrorBackoff, children::Children};

mod apply;
mod build;
mod dereference;
mod report;
mod status;
mod validate;

impl Kind for TtsVoice {
    type Status = TtsVoiceStatus;
    const CONTROLLER: &'static str = "ttsvoice";

    fn status(&self) -> Option<&TtsVoiceStatus> {
        self.status.as_ref()
    }

    fn conditions(status: &TtsVoiceStatus) -> &[Condition] {
        &status.conditions
    }

    fn set_conditions(status: &mut TtsVoiceStatus, generation: i64, conditions: Vec<Condition>) {
        status.observed_generation = generation;
        status.conditions = conditions;
    }
}

#[tracing::instrument(skip_all, fields(namespace = voice.namespace(), name = voice.name_any()))]
async fn reconcile(voice: TtsVoice, ctx: Arc<Context>) -> Result<Action> {
    let references = dereference::dereference(&ctx.client, &voice).await?; // client
    let validated = validate::validate(&voice, &references, &ctx.settings, super::now())?;
    let desired = build::build(&validated);
    let children = Children {
        client: &ctx.client,
        metrics: &ctx.metrics,
        namespace: &validated.namespace,
        owner: &validated.owner,
    };
    let applied = apply::apply(&children, desired).await?; // client
    let status = status::status(&voice, &validated, &applied, super::now());
    super::write_status(&ctx, &voice, status).await?; // client
    Ok(Action::requeue(next(&validated.inspection)))
}

/// When to reconcile again without a change.
fn next(inspection: &Inspection) -> Duration {
    match inspection {
        // The facts are in the status now: the Job can be deleted.
        Inspection::Passed(_) => Duration::from_secs(1),
        Inspection::Failed { retry_in, .. } => (*retry_in).max(Duration::from_secs(1)),
        _ => RESYNC,
    }
}

/// Runs the controller until `shutdown`, letting reconciliations in flight finish.
pub async fn run(ctx: Arc<Context>, namespace: Option<&str>, shutdown: CancellationToken) {
    let client: &Client = &ctx.client;
    let backoff = Arc::new(ErrorBackoff::default());
    let (stream, store) = super::main_stream::<TtsVoice>(client, namespace);
    Controller::for_stream(stream, store)
        .with_config(super::config())
        .owns(
            super::scoped::<Job>(client, namespace),
            labels::watcher_config(labels::INSPECTION),
        )
        // The result of an inspection is in the pod of its Job.
        .watches(
            super::scoped::<Pod>(client, namespace),
            labels::watcher_config(labels::INSPECTION),
            |pod| labels::instance(&pod),
        )
        .graceful_shutdown_on(shutdown.cancelled_owned())
        .run(
            {
                let backoff = backoff.clone();
                move |object: Arc<DeserializeGuard<TtsVoice>>, ctx: Arc<Context>| {
                    let backoff = backoff.clone();
                    async move {
                        super::run_reconciliation(&object, &ctx, &backoff, |voice| {
                            reconcile(voice, ctx.clone())
                        })
                        .await
                    }
                }
            },
            {
                let backoff = backoff.clone();
                move |object: Arc<DeserializeGuard<TtsVoice>>, error: &Error, ctx: Arc<Context>| {
                    super::retry(&object, error, &ctx, &backoff)
                }
            },
            ctx.clone(),
        )
        .for_each_concurrent(16, |outcome| super::handle_outcome(&ctx, &backoff, outcome))
        .await;
}

#[cfg(test)]
mod tests;
