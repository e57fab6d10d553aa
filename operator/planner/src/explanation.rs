//! The reasons of a plan, ordered from the decision to its details.

use crate::autoscaling::{base_rps, max_wanted};
use crate::candidates::Candidate;
use crate::choice::{doubtful_scores, running};
use crate::field::{Contenders, Field};
use crate::neighbours::UNMEASURED;
use crate::plan::{AcceptedPlan, Prediction};
use crate::profile::{Accelerator, Validity};
use crate::queueing::{FlowServer, QUANTILE};
use crate::reasons::{NextClass, Reason, Written};
use crate::rejection::Because;
use crate::request::{LoadBalancing, Minimise, Peak, Presence, Request, Terms};
use crate::shapes::position;

pub(crate) fn of_plan(
    request: &Request,
    terms: &Terms<'_>,
    contenders: &Contenders<'_>,
    field: &Field<'_>,
    chosen: &Candidate<'_>,
    plan: &AcceptedPlan,
) -> Vec<Written> {
    let mut reasons = vec![class(terms, field, chosen)];
    reasons.extend(voices(plan));
    if let Some(predicted) = &plan.predicted {
        reasons.extend(pod(terms, chosen, plan, predicted));
        reasons.push(replicas(terms, chosen, plan, predicted));
    }
    reasons.extend(details(terms, chosen, plan));
    reasons.extend(assumptions(request, field, chosen));
    reasons.extend(prices(request, field));
    reasons.extend(moves(request, terms, contenders, field, chosen));
    reasons.extend(least_request(terms, chosen));
    reasons.into_iter().map(Written::from).collect()
}

/// Of pods that do not keep the objectives: what they are, without what a plan promises.
pub(crate) fn of_best_effort(
    request: &Request,
    terms: &Terms<'_>,
    field: &Field<'_>,
    chosen: &Candidate<'_>,
    plan: &AcceptedPlan,
    first: Reason,
) -> Vec<Written> {
    let mut reasons = vec![first];
    reasons.extend(voices(plan));
    reasons.extend(details(terms, chosen, plan));
    reasons.extend(assumptions(request, field, chosen));
    reasons.into_iter().map(Written::from).collect()
}

fn class(terms: &Terms<'_>, field: &Field<'_>, chosen: &Candidate<'_>) -> Reason {
    let class = chosen.of.class;
    Reason::Accelerator {
        class: class.name.clone(),
        accelerator: chosen.accelerator(),
        minimise: terms.policy.minimise,
        cost_per_hour: class.price_per_hour.map(|_| chosen.cost),
        currency: terms.policy.currency.clone(),
        watts: chosen.watts,
        pods: chosen.steady,
        peak: terms.peak,
        ttfa_objective: terms.objectives.ttfa_p95,
        next: next_class(field, chosen, terms.policy.minimise),
    }
}

fn next_class(field: &Field<'_>, chosen: &Candidate<'_>, minimise: Minimise) -> Option<NextClass> {
    // The list is in order of rounded cost; the best by the exact one is wanted.
    let score = |candidate: &Candidate<'_>| candidate.score(minimise).0;
    let others = field
        .feasible
        .iter()
        .filter(|other| other.of.class.name != chosen.of.class.name);
    let next = others.min_by(|a, b| {
        score(a)
            .total_cmp(&score(b))
            .then_with(|| a.of.class.name.cmp(&b.of.class.name))
    })?;
    let ratio = score(next) / score(chosen);
    Some(NextClass {
        class: next.of.class.name.clone(),
        ratio: Some(ratio).filter(|ratio| ratio.is_finite()),
    })
}

fn voices(plan: &AcceptedPlan) -> Option<Reason> {
    (plan.voices.len() > 1).then(|| Reason::Voices {
        voices: plan
            .voices
            .iter()
            .map(|voice| (voice.name.clone(), voice.share))
            .collect(),
    })
}

/// What was decided of the pod, for objectives that it keeps.
fn pod(
    terms: &Terms<'_>,
    chosen: &Candidate<'_>,
    plan: &AcceptedPlan,
    predicted: &Prediction,
) -> Vec<Reason> {
    let objective = terms.objectives.ttfa_p95;
    let mut reasons = vec![Reason::PodShape {
        cpu: plan.pod.cpu,
        threads: plan.pod.threads.intra_op,
        rate: predicted.rate,
        ttfa_objective: objective,
        utilisation: predicted.utilisation,
        full_rate: predicted.full_rate,
        ttfa_p95_idle: predicted.ttfa_p95_idle,
        derate: predicted.derate,
    }];
    reasons.extend(threads(terms, chosen));
    let slack = objective - chosen.server().full_first_audio().median();
    reasons.push(Reason::Concurrency {
        max_concurrency: chosen.concurrency,
        queue: chosen.queue,
        full_is_late: f64::from(chosen.queue) >= predicted.full_rate * slack,
        late_or_rejected: predicted.late_or_rejected,
    });
    reasons
}

/// What one thread per request would do, where there are more.
fn threads(terms: &Terms<'_>, chosen: &Candidate<'_>) -> Option<Reason> {
    let pod = chosen.of;
    if pod.shape.threads < 2 {
        return None;
    }
    let curve = pod.with_one_thread(terms.load)?;
    let first = (curve.rates.get(..1)?, curve.first_audio.get(..1)?);
    let server = FlowServer::new(first.0, first.1, 1.0, curve.service_cv2);
    Some(Reason::Threads {
        threads: pod.shape.threads,
        idle_with_one: server.first_audio_quantile(QUANTILE, server.idle_rate()),
        ttfa_objective: terms.objectives.ttfa_p95,
    })
}

fn replicas(
    terms: &Terms<'_>,
    chosen: &Candidate<'_>,
    plan: &AcceptedPlan,
    predicted: &Prediction,
) -> Reason {
    Reason::Replicas {
        peak: terms.peak,
        ttfa_objective: terms.objectives.ttfa_p95,
        at_peak: plan.replicas.at_peak,
        ttfa_p95: predicted.ttfa_p95,
        steady: plan.replicas.steady,
        steady_wanted: chosen.steady,
        max_wanted: max_wanted(chosen, terms.policy),
        min: plan.replicas.min,
        max: plan.replicas.max,
        limit: plan.replicas.limit,
    }
}

/// When there are more, and what the container asks for.
fn details(terms: &Terms<'_>, chosen: &Candidate<'_>, plan: &AcceptedPlan) -> Vec<Reason> {
    let pod = &plan.pod;
    let mut reasons = vec![Reason::Autoscaling {
        in_flight: plan.autoscaling.in_flight,
        ramp_per_minute: terms.load.ramp_per_minute,
        reaction: plan.autoscaling.reaction,
        noise: Some(1.0 / (terms.peak * terms.policy.metric_lag).sqrt())
            .filter(|noise| noise.is_finite() && *noise > terms.policy.hpa_tolerance),
    }];
    let crowded = chosen.pods_per_node > 1;
    if let Some(beside) = chosen.beside.filter(|_| crowded) {
        reasons.push(Reason::Neighbours {
            pods: chosen.pods_per_node,
            speed: beside.speed,
            measured: beside.measured,
            unmeasured: UNMEASURED,
        });
    }
    let needed = chosen.memory_needed;
    reasons.push(Reason::Memory {
        memory: pod.resources.memory,
        needed,
        concurrency: chosen.concurrency,
        max_chunk_audio: terms.load.max_chunk_audio,
        margin: terms.policy.memory_margin,
        raised: pod.resources.memory > crate::memory::request(needed, terms.policy),
    });
    reasons.push(Reason::Cpu {
        request: pod.resources.cpu_request,
        limit: pod.resources.cpu_limit,
        qos: pod.resources.qos,
    });
    reasons
}

/// What was taken as given without being known.
fn assumptions(request: &Request, field: &Field<'_>, chosen: &Candidate<'_>) -> Vec<Reason> {
    let Request { load, policy, .. } = request;
    let mut reasons = Vec::new();
    if let peak @ Peak::Listeners { .. } = load.peak {
        reasons.push(Reason::Listeners {
            peak,
            mean_audio: load.mean_audio,
            peak_rps: load.peak_rps(),
        });
    }
    if load.base_rps.is_none() {
        reasons.push(Reason::BaseAssumed {
            base: base_rps(load, policy),
            share: policy.base_share,
        });
    }
    if load.burstiness.total_cmp(&1.0).is_ne() {
        reasons.push(Reason::Bursty {
            burstiness: load.burstiness,
        });
    }
    let shape = &chosen.of.shape;
    let parts = &chosen.of.mix.parts;
    let interpolated = parts
        .iter()
        .zip(&shape.voices)
        .find(|(_, voice)| voice.interpolated);
    if let Some((part, voice)) = interpolated {
        reasons.push(Reason::Interpolated {
            cpu: shape.cpu,
            threads: shape.threads,
            position: position(part.profile, voice.config.as_ref()),
            residual: shape
                .voices
                .iter()
                .map(|voice| voice.residual)
                .fold(0.0, f64::max),
        });
    }
    if chosen.of.class.presence == Presence::Declared {
        reasons.push(Reason::Declared {
            class: chosen.of.class.name.clone(),
            provisioning: chosen.of.class.provisioning,
        });
    }
    for part in parts {
        let (validity, correction) = (part.standing.validity, part.standing.slowdown());
        if validity != Validity::Valid || correction > 1.0 {
            reasons.push(Reason::Measurement {
                profile: part.profile.id.clone(),
                validity,
                correction,
            });
        }
        let older = field.out.iter().filter(|rejection| {
            matches!(&rejection.because, Because::Superseded { by } if *by == part.profile.id)
        });
        let older = u32::try_from(older.count()).unwrap_or(u32::MAX);
        if older > 0 {
            reasons.push(Reason::Newest {
                profile: part.profile.id.clone(),
                older,
            });
        }
    }
    reasons
}

fn prices(request: &Request, field: &Field<'_>) -> Vec<Reason> {
    let mut reasons = Vec::new();
    let mut classes: Vec<String> = request
        .classes
        .iter()
        .filter(|class| class.price_per_hour.is_none())
        .map(|class| class.name.clone())
        .collect();
    classes.sort_unstable();
    if !classes.is_empty() {
        let mixed = classes.len() < request.classes.len();
        reasons.push(Reason::PricesAssumed { classes, mixed });
    }
    reasons.extend(break_even(field));
    reasons
}

/// Where one GPU pod costs as much as several CPU pods: below that many, the CPU is cheaper because
/// pods are whole.
fn break_even(field: &Field<'_>) -> Option<Reason> {
    let cheapest = |accelerator| {
        field
            .feasible
            .iter()
            .find(|candidate| candidate.accelerator() == accelerator)
    };
    let (cpu, gpu) = (cheapest(Accelerator::Cpu)?, cheapest(Accelerator::Gpu)?);
    let pods = gpu.pod_price / cpu.pod_price;
    if !pods.is_finite() || pods < 1.0 {
        return None;
    }
    let pods = crate::numeric::floor(pods);
    Some(Reason::BreakEven {
        cpu_class: cpu.of.class.name.clone(),
        gpu_class: gpu.of.class.name.clone(),
        pods,
        rate: f64::from(pods) * cpu.rate,
    })
}

/// Whether what runs now was kept or left.
fn moves(
    request: &Request,
    terms: &Terms<'_>,
    contenders: &Contenders<'_>,
    field: &Field<'_>,
    chosen: &Candidate<'_>,
) -> Option<Reason> {
    let current = request.current.as_ref()?;
    let minimise = terms.policy.minimise;
    let score = |candidate: &Candidate<'_>| candidate.score(minimise).0;
    let threshold = request.policy.switch_gain;
    let best = field.feasible.first()?;
    let class = &chosen.of.class.name;
    if *class != current.class {
        let running = field
            .feasible
            .iter()
            .find(|candidate| candidate.of.class.name == current.class);
        return Some(Reason::Switched {
            from: current.class.clone(),
            to: class.clone(),
            saving: running.map(|running| saving(score(running), score(chosen))),
            threshold,
        });
    }
    let runs = running(terms, contenders, current).is_some();
    let saving = if runs {
        let (score, least) = doubtful_scores(terms, chosen, best);
        saving(score, least)
    } else {
        saving(score(chosen), score(best))
    };
    if best.of.class.name != *class {
        return Some(Reason::Kept {
            class: class.clone(),
            better: best.of.class.name.clone(),
            saving,
            threshold,
        });
    }
    let same = best.of.shape.cpu.total_cmp(&chosen.of.shape.cpu).is_eq()
        && best.of.shape.threads == chosen.of.shape.threads
        && best.concurrency == chosen.concurrency;
    (!same && runs).then_some(Reason::KeptShape {
        cpu: chosen.of.shape.cpu,
        threads: chosen.of.shape.threads,
        saving,
        threshold,
    })
}

/// Share of `from` that `to` saves; nothing is saved of nothing.
fn saving(from: f64, to: f64) -> f64 {
    if from > 0.0 {
        (1.0 - to / from).max(0.0)
    } else {
        0.0
    }
}

/// What a least-request proxy would save.
fn least_request(terms: &Terms<'_>, chosen: &Candidate<'_>) -> Option<Reason> {
    if terms.balancing == LoadBalancing::LeastRequest {
        return None;
    }
    let terms = Terms {
        balancing: LoadBalancing::LeastRequest,
        ..*terms
    };
    let least = Candidate::best(chosen.of, &terms).ok()?;
    (least.replicas < chosen.replicas).then_some(Reason::LeastRequest {
        pods: chosen.replicas,
        with_proxy: least.replicas,
    })
}
