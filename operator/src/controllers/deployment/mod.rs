//! The `TtsDeployment` controller: creates the workload and the endpoint for voices.
use std::{sync::Arc, time::Duration};

use k8s_openapi::{api::core::v1::ObjectReference, apimachinery::pkg::apis::meta::v1::Condition};
use kube::{Resource as _, ResourceExt as _, runtime::controller::Action};
use tts_crds::v1alpha1::{TtsDeployment, TtsDeploymentStatus};

use self::{
    apply::Applied, plan::PlannedDeployment, resize::Resizes, rollout::Rollout, status::Seen,
};
use super::{
    Context, Error, Kind, RESYNC, Result,
    scope::{Guarded, Scope},
};
use crate::{cache::Cache, conditions};

mod accepted;
mod apply;
mod build;
mod choice;
mod decide;
mod dereference;
#[cfg(test)]
mod fixtures;
mod measure;
mod oom;
mod plan;
mod replicas;
mod resize;
mod rollout;
mod sizing;
mod status;
mod template;
mod validate;

pub(super) use decide::Decisions;

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

    fn forget(ctx: &Context, namespace: &str, name: &str) {
        ctx.metrics.plans.set(namespace, name, None);
        ctx.decisions.forget(namespace, name);
    }

    #[tracing::instrument(skip_all, fields(namespace = self.namespace(), name = self.name_any()))]
    async fn reconcile(self, ctx: Arc<Context>, scope: Arc<Scope>) -> Result<Action> {
        let now = super::now();
        let settings = ctx.settings();
        let mut references = dereference::dereference(&scope, &self)?;
        let tts = validate::validate(&self, &references.voices, &settings)?;
        let decided = decide::decide(&ctx, &tts, &references).await; // client
        let mut planned = plan::plan(tts, &references, decided.as_ref());
        // Held until the Deployment is applied, so that two of them do not take the same turn.
        let mut turn = None;
        if plan::takes_turn(&planned, &references) {
            turn = Some(ctx.rollouts.lock().await);
            references.rolling = others_rolling(&ctx, &planned);
            planned = plan::plan(planned.tts, &references, decided.as_ref());
        }
        let about = self.object_ref(&());
        let mut applied = carry_out(&ctx, &scope, &about, &planned).await?; // client
        let mut resizes = resize(&ctx, &planned, &applied).await?; // client
        if let Some(refused) = refused(&planned, &resizes) {
            // The pods are replaced instead.
            let event = conditions::failure_event("ResizeRefused", refused.clone());
            super::publish(&ctx, &event, &about).await;
            if turn.is_none() {
                turn = Some(ctx.rollouts.lock().await);
            }
            // With the revision that was just recorded.
            references = dereference::dereference(&scope, &self)?;
            references.resize_refused = Some(refused);
            references.rolling = others_rolling(&ctx, &planned);
            planned = plan::plan(planned.tts, &references, decided.as_ref());
            applied = carry_out(&ctx, &scope, &about, &planned).await?; // client
            resizes = Resizes::default();
        }
        drop(turn);
        let plan = planned.workload.as_ref();
        let plan = plan.and_then(|workload| workload.accepted.measured());
        ctx.metrics
            .plans
            .set(&planned.tts.namespace, &planned.tts.name, plan);
        let measuring =
            measure::measure(&ctx, &scope, &planned.tts, &references, decided.as_ref()).await?; // client
        let (status, verdicts) =
            status::status(&self, &planned, &applied, &Seen { measuring, resizes }, now);
        super::write_status(&ctx, &scope, &self, status, &verdicts).await?; // client
        let rollout = Rollout::of(applied.deployment(), applied.pods());
        let stuck_in = rollout.stuck_in(settings.stalled_after, now);
        Ok(Action::requeue(next(&planned, stuck_in)))
    }
}

/// Applies what is planned; reads only, where nothing may be changed.
async fn carry_out(
    ctx: &Context,
    scope: &Scope,
    about: &ObjectReference,
    planned: &PlannedDeployment,
) -> Result<Applied> {
    let labels = build::selector(planned);
    let tts = &planned.tts;
    let children = ctx.children(&tts.namespace, &tts.owner, about, &labels);
    if tts.paused {
        return Ok(apply::read(&children, scope, planned));
    }
    let desired = build::build(planned);
    Ok(Box::pin(apply::apply(&children, scope, planned, desired)).await?)
}

async fn resize(ctx: &Context, planned: &PlannedDeployment, applied: &Applied) -> Result<Resizes> {
    let Some(workload) = planned.workload.as_ref().filter(|_| !planned.tts.paused) else {
        return Ok(Resizes::default());
    };
    let rollout = Rollout::of(applied.deployment(), applied.pods());
    let namespace = &planned.tts.namespace;
    resize::resize(ctx, namespace, &workload.accepted, &rollout, applied.pods()).await
}

/// Why the pods have to be replaced to get the resources that they could not be resized to.
fn refused(planned: &PlannedDeployment, resizes: &Resizes) -> Option<String> {
    let accepted = &planned.workload.as_ref()?.accepted;
    accepted.resized.as_ref()?;
    let refused = resizes.refused.as_ref()?;
    Some(format!(
        "CPU and memory cannot be changed in place, so the pods are replaced: {refused}"
    ))
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
