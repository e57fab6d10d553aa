//! From a chosen candidate to the plan that is stored.

use crate::autoscaling;
use crate::candidates::Candidate;
use crate::numeric::ceil;
use crate::plan::{AcceptedPlan, PLAN_SCHEMA, PlannedVoice, Pod, Prediction};
use crate::queueing::QUANTILE;
use crate::request::{Request, Terms};
use crate::resources::{self, Resources};

/// A candidate as a plan, without reasons.
pub(crate) fn accept(request: &Request, chosen: &Candidate<'_>, terms: &Terms<'_>) -> AcceptedPlan {
    let Request { load, policy, .. } = request;
    let shape = &chosen.of.shape;
    AcceptedPlan {
        schema: PLAN_SCHEMA.to_owned(),
        input_hash: request.input_hash(),
        accelerator: chosen.accelerator(),
        node_class: Some(chosen.of.class.name.clone()),
        voices: chosen
            .of
            .mix
            .parts
            .iter()
            .map(|part| PlannedVoice {
                name: part.profile.voice.name.clone(),
                share: part.share,
                profile: part.profile.id.clone(),
                variant: part.profile.voice.variant.clone(),
            })
            .collect(),
        pod: Pod {
            cpu: shape.cpu,
            threads: resources::threads(shape),
            max_concurrency: chosen.concurrency,
            queue: chosen.queue,
            retry_after: ceil(f64::from(chosen.queue) / chosen.full_rate()).max(1),
            resources: Resources {
                cpu_request: chosen.ask.cpu,
                cpu_limit: resources::cpu_limit(shape.cpu, chosen.ask.cpu, chosen.of.qos, policy),
                memory: chosen.ask.memory,
                gpus: chosen.ask.gpus,
                gpu_memory_limit: chosen.gpu_memory_limit,
                qos: chosen.of.qos,
            },
            interpolated: shape.interpolated(),
        },
        replicas: autoscaling::replicas(chosen, load, policy),
        autoscaling: autoscaling::target(chosen, load),
        predicted: Some(predicted(chosen, terms, chosen.replicas)),
        reasons: Vec::new(),
    }
}

/// What `replicas` pods do at the peak.
pub(crate) fn predicted(chosen: &Candidate<'_>, terms: &Terms<'_>, replicas: u32) -> Prediction {
    let pod = chosen.server();
    let share = terms.peak / f64::from(replicas.max(1));
    Prediction {
        rate: chosen.rate,
        full_rate: pod.full_rate(),
        utilisation: pod.utilisation(chosen.rate),
        ttfa_p95: Some(pod.first_audio_quantile(QUANTILE, share)).filter(|time| time.is_finite()),
        ttfa_p95_idle: pod.first_audio_quantile(QUANTILE, pod.idle_rate()),
        rtf_p95: chosen.rtf_p95,
        late_or_rejected: pod.late(terms.objectives.ttfa_p95, share),
        cost_per_hour: chosen.cost,
        cost_per_audio_hour: chosen.cost_per_audio_hour(terms.load.mean_audio),
        watts: chosen.watts,
        derate: chosen.of.derate,
        beside_neighbours: chosen.beside.map_or(1.0, |beside| beside.speed),
        prices_assumed: chosen.of.class.price_per_hour.is_none(),
    }
}
