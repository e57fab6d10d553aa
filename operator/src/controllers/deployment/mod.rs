//! The `TtsDeployment` controller: creates the workload and the endpoint for voices.
use std::{sync::Arc, time::Duration};

use k8s_openapi::apimachinery::pkg::apis::meta::v1::Condition;
use kube::{Resource as _, ResourceExt as _, runtime::controller::Action};
use tts_crds::v1alpha1::{TtsDeployment, TtsDeploymentStatus};

use self::{plan::PlannedDeployment, rollout::Rollout};
use super::{
    Context, Error, Kind, RESYNC, Result,
    scope::{Guarded, Scope},
};
use crate::cache::Cache;

mod accepted;
mod apply;
mod build;
mod choice;
mod decide;
mod dereference;
#[cfg(test)]
mod fixtures;
mod measure;
mod plan;
mod replicas;
mod rollout;
mod sizing;
mod status;
mod template;
mod validate;

/// When to look again whether other rollouts have ended.
const LOOK_AGAIN: Duration = Duration::from_secs(5);

impl Kind for TtsDeployment {
    type Status = TtsDeploymentStatus;
    const CONTROLLER: &'static str = "ttsdeployment";

    fn cache(scope: &Scope) -> &Cache<Guarded<Self>> {
        &scope.tts_deployments
    }

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

    #[tracing::instrument(skip_all, fields(namespace = self.namespace(), name = self.name_any()))]
    async fn reconcile(self, ctx: Arc<Context>, scope: Arc<Scope>) -> Result<Action> {
        let now = super::now();
        let settings = ctx.settings();
        let mut references = dereference::dereference(&scope, &self)?;
        let validated = || validate::validate(&self, &references.voices, &settings);
        let decided = decide::decide(&ctx, &validated()?, &references).await; // client
        let mut planned = plan::plan(validated()?, &references, decided.as_ref());
        // Held until the Deployment is applied, so that two of them do not take the same turn.
        let _turn = if plan::takes_turn(&planned, &references) {
            let turn = ctx.rollouts.lock().await;
            let rolling = others_rolling(&ctx, &planned);
            references.rolling = rolling;
            planned = plan::plan(planned.tts, &references, decided.as_ref());
            Some(turn)
        } else {
            None
        };
        let desired = build::build(&planned);
        let about = self.object_ref(&());
        let labels = build::selector(&planned);
        let children = ctx.children(&planned.tts.namespace, &planned.tts.owner, &about, &labels);
        let applied = if planned.tts.paused {
            apply::read(&children, &scope, &planned)
        } else {
            Box::pin(apply::apply(&children, &scope, &planned, desired)).await? // client
        };
        let measuring =
            measure::measure(&ctx, &scope, &planned.tts, &references, decided.as_ref()).await?; // client
        let (status, verdicts) = status::status(&self, &planned, &applied, &measuring, now);
        super::write_status(&ctx, &scope, &self, status, &verdicts).await?; // client
        let rollout = Rollout::of(applied.deployment(), applied.pods());
        let stuck_in = rollout.stuck_in(settings.stalled_after, now);
        Ok(Action::requeue(next(&planned, stuck_in)))
    }
}

/// How many other deployments, in all namespaces together, take part in the budget of rollouts.
fn others_rolling(ctx: &Context, planned: &PlannedDeployment) -> usize {
    let is_other = |namespace: Option<String>, name: &str| {
        namespace.as_deref() != Some(planned.tts.namespace.as_str()) || name != planned.tts.name
    };
    ctx.scopes
        .iter()
        .flat_map(|scope| scope.deployments.filter(rollout::takes_turn))
        .filter(|deployment| is_other(deployment.namespace(), &deployment.name_any()))
        .count()
}

/// When to reconcile again without a change.
fn next(planned: &PlannedDeployment, stuck_in: Option<Duration>) -> Duration {
    let waits = planned
        .pending
        .as_ref()
        .is_some_and(plan::Pending::waits_for_turn);
    let turn = waits.then_some(LOOK_AGAIN);
    // A moment later, so that the time is over then.
    let stuck = stuck_in.map(|stuck_in| stuck_in + Duration::from_secs(1));
    [Some(RESYNC), turn, stuck]
        .into_iter()
        .flatten()
        .min()
        .unwrap_or(RESYNC)
}
