//! The `TtsBenchmark` controller: measures a voice with a Job, keeps the result as a `TtsProfile`, and compares it with the
//! accepted one.
use std::{sync::Arc, time::Duration};

use k8s_openapi::{api::batch::v1::Job, apimachinery::pkg::apis::meta::v1::Condition};
use kube::{
    Api, Resource as _, ResourceExt as _,
    api::{DeleteParams, PostParams},
    runtime::controller::Action,
};
use tts_crds::v1alpha1::{TtsBenchmark, TtsBenchmarkStatus, TtsProfile};

use self::{
    budget::Usage,
    validate::{Step, ValidatedBenchmark},
};
use super::{
    Context, Error, Kind, RESYNC, Result,
    scope::{Guarded, Scope},
};
use crate::{cache::Cache, children, labels};

mod budget;
mod build;
mod dereference;
mod history;
mod result;
mod schedule;
mod status;
mod validate;

#[cfg(test)]
mod tests;

/// When to look again at what no watch tells: a free place, a node, events of a Job.
const LOOK_AGAIN: Duration = Duration::from_secs(10);

impl Kind for TtsBenchmark {
    type Status = TtsBenchmarkStatus;
    const CONTROLLER: &'static str = "ttsbenchmark";

    fn cache(scope: &Scope) -> &Cache<Guarded<Self>> {
        &scope.benchmarks
    }

    fn status(&self) -> Option<&TtsBenchmarkStatus> {
        self.status.as_ref()
    }

    fn conditions(status: &TtsBenchmarkStatus) -> &[Condition] {
        &status.conditions
    }

    fn set_conditions(
        status: &mut TtsBenchmarkStatus,
        generation: i64,
        conditions: Vec<Condition>,
    ) {
        status.observed_generation = generation;
        status.conditions = conditions;
    }

    #[tracing::instrument(skip_all, fields(namespace = self.namespace(), name = self.name_any()))]
    async fn reconcile(self, ctx: Arc<Context>, scope: Arc<Scope>) -> Result<Action> {
        let now = super::now();
        let references = dereference::dereference(&ctx, &scope, &self).await?; // client
        let settings = ctx.settings();
        let mut benchmark = validate::validate(&self, &references, &settings, now)?;
        // Held until the Job is started, so that two benchmarks do not take the same place or node.
        let place = ctx.benchmarks.lock().await;
        if let Step::Start { attempt } = benchmark.step {
            let usage = Usage::of(&all_jobs(&ctx), &all_benchmarks(&ctx), now);
            let obstacle = budget::obstacle(&settings.benchmarks, usage, benchmark.expected(), now);
            benchmark.step = match obstacle {
                Some(step) => step,
                None => validate::place(dereference::site(&ctx, &self).await, attempt), // client
            };
        }
        let about = self.object_ref(&());
        let selector = labels::selector(labels::BENCHMARK, &benchmark.name);
        let children = ctx.children(&benchmark.namespace, &benchmark.owner, &about, &selector);
        if let Step::Placed { attempt, site } = &benchmark.step {
            let job = build::job(&benchmark, site, *attempt);
            children.create(&scope.jobs, &job).await?; // client
        }
        drop(place);
        let mut kept = None;
        if let Step::Measured(profile) = &benchmark.step {
            kept = Some(keep(&ctx, &scope, &benchmark, profile).await?); // client
        }
        let (status, verdicts) = status::status(&self, &benchmark, kept.as_ref(), now);
        if let (Some(kept), Some(verdict)) = (&kept, &status.verdict)
            && kept.is_new
        {
            let result = ctx
                .metrics
                .benchmark_verdicts
                .with_label_values(&[verdict.result.as_str()]);
            result.inc();
        }
        let accepted = status.accepted_profile.clone();
        super::write_status(&ctx, &scope, &self, status, &verdicts).await?; // client
        // Only now: what was measured is recorded.
        let keep_jobs: Vec<&str> = benchmark.kept_jobs.iter().map(String::as_str).collect();
        if !matches!(benchmark.step, Step::Placed { .. } | Step::Measured(_)) {
            children.delete_others(&scope.jobs, &keep_jobs).await?; // client
        }
        prune(&ctx, &scope, &self, accepted.as_deref()).await?; // client
        Ok(Action::requeue(next(&benchmark)))
    }
}

/// A profile that is an object now.
struct Kept {
    name: String,
    /// Whether this reconciliation created it.
    is_new: bool,
    /// The profile that it is compared with.
    accepted: Option<(String, tts_planner::Profile)>,
    profile: tts_planner::Profile,
    /// All profiles of the benchmark, the newest first.
    history: Vec<TtsProfile>,
}

/// Creates the object of a profile. Its name comes from what was measured: the same result is the same object.
async fn keep(
    ctx: &Context,
    scope: &Scope,
    benchmark: &ValidatedBenchmark,
    profile: &tts_planner::Profile,
) -> Result<Kept> {
    let object = build::profile(benchmark, profile);
    let name = object.name_any();
    let kind = TtsProfile::kind(&()).into_owned();
    ctx.metrics.count_write(&kind, "create");
    let api = Api::<TtsProfile>::namespaced(ctx.client.clone(), &benchmark.namespace);
    let is_new = match api.create(&PostParams::default(), &object).await {
        Ok(_) => true,
        Err(kube::Error::Api(status)) if status.is_already_exists() => false,
        Err(source) => {
            return Err(Error::Child(children::Error::Request {
                verb: "create",
                kind,
                name,
                source: Box::new(source),
            }));
        }
    };
    let accepted = benchmark
        .status
        .accepted_profile
        .as_ref()
        .and_then(|accepted| {
            let object = scope.profiles.get(&benchmark.namespace, accepted)?;
            let profile = object.0.as_ref().ok()?.spec.0.clone();
            Some((accepted.clone(), profile)).filter(|(accepted, _)| *accepted != name)
        });
    let mut history = history::of(scope, &benchmark.namespace, &benchmark.name);
    if history.iter().all(|known| known.name_any() != name) {
        // The watch has not told of it yet.
        history.insert(0, object);
    }
    Ok(Kept {
        history,
        name,
        is_new,
        accepted,
        profile: profile.clone(),
    })
}

/// Deletes profiles beyond the limit of the history.
async fn prune(
    ctx: &Context,
    scope: &Scope,
    benchmark: &TtsBenchmark,
    accepted: Option<&str>,
) -> Result<()> {
    let namespace = benchmark.namespace().unwrap_or_default();
    let profiles = history::of(scope, &namespace, &benchmark.name_any());
    let limit = usize::try_from(benchmark.spec.history_limit).unwrap_or(1);
    let api = Api::<TtsProfile>::namespaced(ctx.client.clone(), &namespace);
    for profile in history::obsolete(&profiles, limit, accepted) {
        let name = profile.name_any();
        ctx.metrics.count_write(&TtsProfile::kind(&()), "delete");
        match api.delete(&name, &DeleteParams::default()).await {
            Ok(_) => {}
            Err(kube::Error::Api(status)) if status.is_not_found() => {}
            Err(source) => {
                return Err(Error::Child(children::Error::Request {
                    verb: "delete",
                    kind: TtsProfile::kind(&()).into_owned(),
                    name,
                    source: Box::new(source),
                }));
            }
        }
    }
    Ok(())
}

fn next(benchmark: &ValidatedBenchmark) -> Duration {
    match &benchmark.step {
        Step::Failed { retry_in, .. } => (*retry_in).min(RESYNC),
        Step::Waiting {
            until: Some(wait), ..
        } => (*wait).min(RESYNC),
        Step::Start { .. } | Step::Queued { .. } | Step::Running { .. } | Step::Placed { .. } => {
            LOOK_AGAIN
        }
        Step::Measured(_) => Duration::from_secs(1),
        _ => RESYNC,
    }
}

/// The Jobs of benchmarks in all scopes.
fn all_jobs(ctx: &Context) -> Vec<Arc<Job>> {
    let jobs = ctx.scopes.iter().flat_map(|scope| {
        scope.jobs.filter(|job| {
            job.labels().get(labels::NAME).map(String::as_str) == Some(labels::BENCHMARK.name)
        })
    });
    jobs.collect()
}

/// The benchmarks of all scopes.
fn all_benchmarks(ctx: &Context) -> Vec<Arc<Guarded<TtsBenchmark>>> {
    let scopes = ctx.scopes.iter();
    scopes
        .flat_map(|scope| scope.benchmarks.filter(|_| true))
        .collect()
}
