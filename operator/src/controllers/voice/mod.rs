//! The `TtsVoice` controller: inspects each voice with a Job and records the result.
use std::{sync::Arc, time::Duration};

use k8s_openapi::apimachinery::pkg::apis::meta::v1::Condition;
use kube::{Resource as _, ResourceExt as _, runtime::controller::Action};
use tts_crds::v1alpha1::{TtsProfile, TtsVoice, TtsVoiceStatus};

use self::validate::{Inspection, ValidatedVoice};
use super::{
    Context, Error, Kind, RESYNC, Result,
    scope::{Guarded, Scope},
};
use crate::{cache::Cache, jobs, labels};

mod apply;
mod build;
mod dereference;
mod memory;
pub(super) mod profiles;
mod report;
mod seal;
mod status;
mod validate;

/// When to look again at what no watch tells: a free place, events of a Job.
const LOOK_AGAIN: Duration = Duration::from_secs(5);

impl Kind for TtsVoice {
    type Status = TtsVoiceStatus;
    const CONTROLLER: &'static str = "ttsvoice";

    fn cache(scope: &Scope) -> &Cache<Guarded<Self>> {
        &scope.voices
    }

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

    #[tracing::instrument(skip_all, fields(namespace = self.namespace(), name = self.name_any()))]
    async fn reconcile(self, ctx: Arc<Context>, scope: Arc<Scope>) -> Result<Action> {
        let now = super::now();
        let references = dereference::dereference(&ctx.client, &scope, &self, now).await?; // client
        let settings = ctx.settings();
        let mut voice = validate::validate(&self, &references, &settings, now)?;
        // Held until the Job is started, so that two voices do not take the same place.
        let _place = if let Inspection::Start { attempt, .. } = voice.inspection {
            let place = ctx.inspections.lock().await;
            if running_inspections(&ctx) >= settings.inspections.max_concurrent {
                voice.inspection = Inspection::Queued { attempt };
            }
            Some(place)
        } else {
            None
        };
        let desired = build::build(&voice);
        let about = self.object_ref(&());
        let labels = labels::selector(labels::INSPECTION, &voice.name);
        let children = ctx.children(&voice.namespace, &voice.owner, &about, &labels);
        apply::apply(&children, &scope.jobs, desired).await?; // client
        let (mut status, verdicts) = status::status(&self, &voice, now);
        let known = ctx.profiles_for(&voice.namespace);
        let known: Vec<&TtsProfile> = known.iter().filter_map(|p| p.0.as_ref().ok()).collect();
        status.profiles = profiles::of_files(&status.files, &voice.namespace, &known);
        super::write_status(&ctx, &scope, &self, status, &verdicts).await?; // client
        Ok(Action::requeue(next(&voice)))
    }
}

/// In all namespaces together.
fn running_inspections(ctx: &Context) -> usize {
    let scopes = ctx.scopes.iter();
    scopes
        .map(|scope| scope.jobs.filter(jobs::is_running).len())
        .sum()
}

/// When to reconcile again without a change.
fn next(voice: &ValidatedVoice) -> Duration {
    match &voice.inspection {
        Inspection::Recorded | Inspection::Passed(_) => RESYNC,
        Inspection::Failed { retry_in, .. } => (*retry_in).max(Duration::from_secs(1)),
        Inspection::Start { .. } | Inspection::Queued { .. } | Inspection::Running { .. } => {
            LOOK_AGAIN
        }
    }
}

#[cfg(test)]
mod tests;
