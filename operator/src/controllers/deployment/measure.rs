//! The benchmarks that a planned deployment needs: one for each voice and class that pods may run on. They belong to the voice,
//! so that several deployments share them.
use std::{collections::BTreeMap, sync::Arc};

use kube::{
    Api, Resource as _, ResourceExt as _,
    api::PostParams,
    core::{DeserializeGuard, ObjectMeta},
};
use sha2::{Digest as _, Sha256};
use tts_crds::v1alpha1::{Approval, BenchmarkPolicy, TtsBenchmark, TtsBenchmarkSpec, TtsVoice};

use super::{
    Context, Error, Result, decide::Decided, dereference::References, validate::ValidatedDeployment,
};
use crate::{
    children::{self, hex},
    conditions::{
        self, PROFILED, READY, STALLED,
        Status::{False, True, Unknown},
        Verdict,
    },
    controllers::scope::{Guarded, Scope},
    labels,
};

/// Longest name of a benchmark.
const MAX_NAME: usize = 46;

/// What is known about the measurements of a deployment's voices.
#[derive(Clone, Debug, Default, PartialEq, Eq)]
pub struct Measuring {
    /// A verdict of the condition `Profiled`; `None` where nothing is planned.
    verdict: Option<Verdict>,
}

impl Measuring {
    pub fn verdict(&self) -> Option<Verdict> {
        self.verdict.clone()
    }
}

/// Creates the benchmarks that are missing, and says how far they are.
pub async fn measure(
    ctx: &Context,
    scope: &Scope,
    tts: &ValidatedDeployment,
    references: &References,
    decided: Option<&Decided>,
) -> Result<Measuring> {
    let (Some(goals), Some(decided)) = (&tts.goals, decided) else {
        let verdict = tts.goals.as_ref().map(|_| {
            let message = "the voices are not ready: nothing can be measured yet";
            Verdict::new(PROFILED, Unknown, "VoicesNotReady", message).as_step()
        });
        return Ok(Measuring { verdict });
    };
    let existing = scope
        .benchmarks
        .filter(|object| object.namespace().as_deref() == Some(tts.namespace.as_str()));
    let mut wanted = Vec::new();
    let voices = references.voices.iter().flatten();
    for voice in voices.filter_map(|voice| voice.0.as_ref().ok()) {
        let name = voice.name_any();
        for class in decided.unmeasured.get(&name).into_iter().flatten() {
            let found = existing.iter().find(|object| covers(object, &name, class));
            if found.is_none() && goals.benchmark != BenchmarkPolicy::Never && !tts.paused {
                create(ctx, scope, &benchmark(voice, class, tts, goals.benchmark)).await?;
            }
            wanted.push(Wanted {
                voice: name.clone(),
                class: class.clone(),
                found: found.cloned(),
            });
        }
    }
    Ok(Measuring {
        verdict: Some(verdict(&wanted, goals.benchmark, decided)),
    })
}

/// Unless one of its name exists.
async fn create(ctx: &Context, scope: &Scope, benchmark: &TtsBenchmark) -> Result<()> {
    let namespace = benchmark.namespace();
    let namespace = namespace.as_deref().ok_or(Error::Incomplete("namespace"))?;
    let kind = TtsBenchmark::kind(&());
    ctx.metrics.count_write(&kind, "create");
    let api = Api::<TtsBenchmark>::namespaced(ctx.client.clone(), namespace);
    match api.create(&PostParams::default(), benchmark).await {
        Ok(mut created) => {
            created.managed_fields_mut().clear();
            scope.benchmarks.wrote(DeserializeGuard(Ok(created)));
            Ok(())
        }
        Err(kube::Error::Api(status)) if status.is_already_exists() => Ok(()),
        Err(source) => Err(Error::Child(children::Error::Request {
            verb: "create",
            kind: kind.into_owned(),
            name: benchmark.name_any(),
            source: Box::new(source),
        })),
    }
}

/// A measurement that is missing, and the benchmark that is to give it.
struct Wanted {
    voice: String,
    class: String,
    found: Option<Arc<Guarded<TtsBenchmark>>>,
}

/// Whether a benchmark, whoever created it, measures this voice on this class.
fn covers(object: &Guarded<TtsBenchmark>, voice: &str, class: &str) -> bool {
    object.0.as_ref().is_ok_and(|benchmark| {
        benchmark.spec.voice.name == voice && benchmark.spec.node_class.as_deref() == Some(class)
    })
}

fn benchmark(
    voice: &TtsVoice,
    class: &str,
    tts: &ValidatedDeployment,
    policy: BenchmarkPolicy,
) -> TtsBenchmark {
    let name = voice.name_any();
    let mut benchmark = TtsBenchmark::new(
        &benchmark_name(&name, class),
        TtsBenchmarkSpec {
            node_class: Some(class.to_owned()),
            approval: match policy {
                BenchmarkPolicy::Ask => Approval::Ask,
                BenchmarkPolicy::Auto | BenchmarkPolicy::Never => Approval::Auto,
            },
            tolerations: tts.placement.tolerations.clone(),
            ..TtsBenchmarkSpec::of(&name)
        },
    );
    benchmark.metadata = ObjectMeta {
        namespace: voice.namespace(),
        labels: Some(BTreeMap::from([labels::managed_by()])),
        owner_references: voice.controller_owner_ref(&()).map(|owner| vec![owner]),
        ..benchmark.metadata
    };
    benchmark
}

/// `voice-class`, with a hash in place of its end where it is too long.
fn benchmark_name(voice: &str, class: &str) -> String {
    let name = format!("{voice}-{}", class.replace(['.', '_'], "-").to_lowercase());
    if name.len() <= MAX_NAME && !name.ends_with('-') {
        return name;
    }
    let hash = &hex(&Sha256::digest(&name))[..8];
    let start: String = name.chars().take(MAX_NAME - 9).collect();
    format!("{}-{hash}", start.trim_end_matches('-'))
}

fn verdict(wanted: &[Wanted], policy: BenchmarkPolicy, decided: &Decided) -> Verdict {
    if wanted.is_empty() {
        return if decided.measures_nothing {
            let remarks = decided.remarks.join("; ");
            let message = format!("no node class can be measured: {remarks}");
            Verdict::new(PROFILED, False, "NoNodeClass", message)
        } else {
            let message = "every voice is measured on every node class that pods may run on";
            Verdict::new(PROFILED, True, "Measured", message)
        };
    }
    let pairs = wanted
        .iter()
        .map(|wanted| format!("{} on {}", wanted.voice, wanted.class))
        .collect::<Vec<_>>()
        .join(", ");
    if policy == BenchmarkPolicy::Never && wanted.iter().all(|wanted| wanted.found.is_none()) {
        let message = format!(
            "not measured: {pairs}; sizing.benchmark is Never: apply a TtsProfile, or let the operator measure"
        );
        return Verdict::new(PROFILED, False, "NotMeasured", message);
    }
    let state = |wanted: &Wanted| {
        let benchmark = wanted.found.as_ref()?.0.as_ref().ok()?;
        let status = benchmark.status.as_ref()?;
        let of = |type_: &str| status.conditions.iter().find(|c| c.type_ == type_);
        let condition = of(STALLED).or_else(|| of(READY))?;
        Some((
            conditions::is_true(&status.conditions, STALLED),
            format!(
                "TtsBenchmark {}: {}: {}",
                benchmark.name_any(),
                condition.reason,
                condition.message
            ),
        ))
    };
    let states: Vec<(bool, String)> = wanted.iter().filter_map(state).collect();
    let stalled = !states.is_empty() && states.iter().all(|(stalled, _)| *stalled);
    let texts = states.into_iter().map(|(_, text)| text);
    let message = std::iter::once(format!("not measured: {pairs}"))
        .chain(texts)
        .collect::<Vec<_>>()
        .join("; ");
    if stalled {
        Verdict::new(PROFILED, False, "MeasurementFailed", message)
    } else {
        Verdict::new(PROFILED, False, "Measuring", message).as_step()
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_benchmark_is_named_after_voice_and_class() {
        assert_eq!(benchmark_name("rms", "amd64-2-cpu"), "rms-amd64-2-cpu");
        let long = benchmark_name(
            "a-voice-with-a-rather-long-name",
            "c7i-metal-48xl-in-a-pool",
        );
        assert_eq!(long.len(), 46);
        assert_ne!(
            long,
            benchmark_name(
                "a-voice-with-a-rather-long-name",
                "c7i-metal-48xl-in-another-pool"
            )
        );
        assert_eq!(benchmark_name("rms", "Strong.Nodes"), "rms-strong-nodes");
    }
}
