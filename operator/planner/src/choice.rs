//! Chooses among all candidates: cheapest first, ties in a fixed order, no move for a small gain.

use std::cmp::Ordering;

use crate::autoscaling;
use crate::candidates::{Candidate, Obstacle, evaluate, usable};
use crate::explanation;
use crate::infeasible;
use crate::memory;
use crate::numeric::round_significant;
use crate::plan::{Alternative, Decision, Plan, Pod, Prediction};
use crate::profile::Accelerator;
use crate::queueing::FlowServer;
use crate::reasons::{Because, Rejection};
use crate::request::{Objectives, Request, RequestError, Terms};
use crate::resources::{self, Resources};
use crate::shapes::shapes;

/// Costs that agree to this many significant digits are equal.
const COST_DIGITS: usize = 9;

/// Plans, or says what is missing. The answer does not depend on the order of anything in the
/// request.
pub fn plan(request: &Request) -> Result<Decision, RequestError> {
    request.check()?;
    let field = Field::of(request);
    let Some(best) = field.feasible.first() else {
        return Ok(Decision::Infeasible(Box::new(infeasible::explain(
            request, &field,
        ))));
    };
    let chosen = kept(request, &field.feasible).unwrap_or(best);
    Ok(Decision::Plan(Box::new(finish(
        request,
        &request.objectives,
        &field,
        chosen,
    ))))
}

/// All shapes on all classes, in a fixed order.
pub(crate) struct Field<'a> {
    /// Keep the objectives and fit the inventory, best first.
    pub feasible: Vec<Candidate<'a>>,
    /// Keep the objectives but need more pods than there is room for.
    pub too_many: Vec<Candidate<'a>>,
    /// Do not keep them.
    pub out: Vec<(Rejection, Option<Obstacle>)>,
}

impl<'a> Field<'a> {
    pub fn of(request: &'a Request) -> Self {
        Self::with(request, &request.terms())
    }

    /// With other terms than the request's.
    pub fn with(request: &'a Request, terms: &Terms) -> Self {
        let mut field = Self {
            feasible: Vec::new(),
            too_many: Vec::new(),
            out: Vec::new(),
        };
        for class in &request.classes {
            let mut measured = false;
            for measurement in request
                .measurements
                .iter()
                .filter(|m| m.profile.node.class == class.name)
            {
                let (profile, standing) = (&measurement.profile, measurement.standing());
                measured = true;
                let out = |shape, because| Rejection {
                    class: class.name.clone(),
                    profile: Some(profile.id.clone()),
                    shape,
                    because,
                };
                if !usable(standing) {
                    field.out.push((out(None, Because::Invalid), None));
                    continue;
                }
                for shape in shapes(profile, class, &terms.policy) {
                    let size = Some((shape.config.cpu, shape.config.threads));
                    match evaluate(terms, class, profile, standing, shape) {
                        Ok(candidate) if candidate.fits_inventory() => {
                            field.feasible.push(candidate);
                        }
                        Ok(candidate) => field.too_many.push(candidate),
                        Err(obstacle) => field
                            .out
                            .push((out(size, because(request, obstacle)), Some(obstacle))),
                    }
                }
            }
            if !measured {
                let (class, because) = (class.name.clone(), Because::Unmeasured);
                field.out.push((
                    Rejection {
                        class,
                        profile: None,
                        shape: None,
                        because,
                    },
                    None,
                ));
            }
        }
        let mut keyed: Vec<_> = field
            .feasible
            .into_iter()
            .map(|c| (round_significant(c.cost, COST_DIGITS), c))
            .collect();
        keyed.sort_by(|(cost, a), (other, b)| cost.total_cmp(other).then_with(|| tie(a, b)));
        field.feasible = keyed.into_iter().map(|(_, candidate)| candidate).collect();
        field.too_many.sort_by(place);
        field.out.sort_by(|(a, _), (b, _)| {
            let key = |r: &Rejection| {
                (
                    r.class.clone(),
                    r.profile.clone(),
                    r.shape.map(|(cpu, t)| (cpu.to_bits(), t)),
                )
            };
            key(a).cmp(&key(b))
        });
        field
    }

    /// Everything that did not make it, as reported.
    pub fn rejected(&self) -> Vec<Rejection> {
        let too_many = self.too_many.iter().map(|candidate| Rejection {
            class: candidate.class.name.clone(),
            profile: Some(candidate.profile.id.clone()),
            shape: Some((candidate.shape.config.cpu, candidate.shape.config.threads)),
            because: Because::Capacity {
                needed: candidate.replicas,
                limit: candidate.limit,
                nodes: candidate.class.max_nodes,
                pods_per_node: candidate.pods_per_node,
            },
        });
        too_many
            .chain(self.out.iter().map(|(rejection, _)| rejection.clone()))
            .collect()
    }
}

/// At equal cost: less of nodes that cost nothing (a price however small would decide so), CPU before GPU, fewer replicas, more threads, the class's name, the profile's,
/// the smaller pod. No two candidates agree in all, so the order is total.
fn tie(a: &Candidate<'_>, b: &Candidate<'_>) -> Ordering {
    let free = |candidate: &Candidate<'_>| {
        let nodes = f64::from(candidate.replicas) / f64::from(candidate.pods_per_node.max(1));
        round_significant(nodes, COST_DIGITS)
    };
    let nodes = if a.cost == 0.0 && b.cost == 0.0 {
        free(a).total_cmp(&free(b))
    } else {
        Ordering::Equal
    };
    nodes
        .then(a.accelerator().cmp(&b.accelerator()))
        .then(a.replicas.cmp(&b.replicas))
        .then(b.shape.config.threads.cmp(&a.shape.config.threads))
        .then_with(|| place(a, b))
}

/// By where it is and what it is.
fn place(a: &Candidate<'_>, b: &Candidate<'_>) -> Ordering {
    a.class
        .name
        .cmp(&b.class.name)
        .then_with(|| a.profile.id.cmp(&b.profile.id))
        .then(a.shape.config.cpu.total_cmp(&b.shape.config.cpu))
        .then(a.shape.config.threads.cmp(&b.shape.config.threads))
}

/// Hysteresis: the best of the class that runs now, unless another is cheaper by more than the
/// policy's gain.
fn kept<'a, 'b>(request: &Request, feasible: &'b [Candidate<'a>]) -> Option<&'b Candidate<'a>> {
    let current = request.current.as_ref()?;
    let keep = feasible
        .iter()
        .find(|candidate| candidate.class.name == current.class)?;
    (keep.cost <= feasible.first()?.cost / (1.0 - request.policy.switch_gain)).then_some(keep)
}

fn because(request: &Request, obstacle: Obstacle) -> Because {
    match obstacle {
        Obstacle::FirstAudio { idle_p95 } => Because::FirstAudio {
            idle_p95,
            objective: request.objectives.ttfa_p95,
        },
        Obstacle::RealTimeFactor {
            concurrency,
            rtf_p95,
        } => Because::RealTimeFactor {
            concurrency,
            rtf_p95,
            objective: request.objectives.rtf_p95,
        },
        Obstacle::Fit { cpu, memory } => Because::Fit { cpu, memory },
        Obstacle::PartOfACore { cpu } => Because::PartOfACore { cpu },
        Obstacle::AboveLimit { cpu, limit } => Because::AboveLimit { cpu, limit },
        Obstacle::AboveMemoryLimit { memory, limit } => Because::AboveMemoryLimit { memory, limit },
        Obstacle::NoGpu => Because::NoGpu,
    }
}

/// A candidate as a plan, with the objectives it was found for.
pub(crate) fn finish(
    request: &Request,
    objectives: &Objectives,
    field: &Field<'_>,
    chosen: &Candidate<'_>,
) -> Plan {
    let Request { load, policy, .. } = request;
    let config = chosen.shape.config.as_ref();
    let pod = chosen.server();
    let share = load.peak_rps() / f64::from(chosen.replicas.max(1));
    let gpu_memory_limit = config
        .gpu_mem
        .filter(|_| chosen.accelerator() == Accelerator::Gpu)
        .map(|regression| memory::gpu_limit(&regression, chosen.concurrency, load.max_chunk_audio));
    let mut plan = Plan {
        accelerator: chosen.accelerator(),
        node_class: chosen.class.name.clone(),
        profile: chosen.profile.id.clone(),
        variant: chosen.profile.voice.variant.clone(),
        pod: Pod {
            cpu: config.cpu,
            threads: resources::threads(config),
            max_concurrency: chosen.concurrency,
            queue: chosen.queue,
            retry_after: f64::from(chosen.queue) / pod.full_rate(),
            resources: Resources {
                cpu_request: chosen.cpu_request,
                cpu_limit: resources::cpu_limit(config, chosen.qos, policy),
                memory: chosen.memory,
                gpus: u32::from(chosen.accelerator() == Accelerator::Gpu),
                gpu_memory_limit,
                qos: chosen.qos,
            },
            interpolated: chosen.shape.interpolated,
        },
        replicas: autoscaling::replicas(chosen, load, policy),
        autoscaling: autoscaling::target(chosen, load, policy),
        predicted: predict(chosen, &pod, share, objectives.ttfa_p95, load.mean_audio),
        reasons: Vec::new(),
        candidates: field
            .feasible
            .iter()
            .map(|candidate| alternative(candidate, load.mean_audio))
            .collect(),
        rejected: field.rejected(),
    };
    plan.reasons = explanation::reasons(request, objectives, field, chosen, &plan);
    plan
}

fn predict(
    chosen: &Candidate<'_>,
    pod: &FlowServer<'_>,
    share: f64,
    promise: f64,
    mean_audio: f64,
) -> Prediction {
    let quantile = crate::candidates::QUANTILE;
    Prediction {
        rate: chosen.rate,
        full_rate: pod.full_rate(),
        utilisation: pod.utilisation(chosen.rate),
        ttfa_p95: Some(pod.first_audio_quantile(quantile, share)).filter(|time| time.is_finite()),
        ttfa_p95_idle: pod.first_audio_quantile(quantile, pod.idle_rate()),
        rtf_p95: chosen.rtf_p95,
        late_or_rejected: pod.late(promise, share),
        cost_per_hour: chosen.cost,
        cost_per_audio_hour: chosen.cost_per_audio_hour(mean_audio),
        derate: chosen.derate,
        prices_assumed: chosen.class.price_per_hour.is_none(),
    }
}

pub(crate) fn alternative(candidate: &Candidate<'_>, mean_audio: f64) -> Alternative {
    Alternative {
        class: candidate.class.name.clone(),
        profile: candidate.profile.id.clone(),
        accelerator: candidate.accelerator(),
        cpu: candidate.shape.config.cpu,
        threads: candidate.shape.config.threads,
        max_concurrency: candidate.concurrency,
        rate: candidate.rate,
        utilisation: candidate.rate / candidate.full_rate(),
        replicas: candidate.replicas,
        cost_per_hour: candidate.cost,
        cost_per_audio_hour: candidate.cost_per_audio_hour(mean_audio),
        interpolated: candidate.shape.interpolated,
    }
}
