//! The reasons of a plan, ordered from the decision to its details.

use crate::autoscaling::base_rps;
use crate::candidates::{Candidate, QUANTILE, evaluate};
use crate::choice::Field;
use crate::plan::Plan;
use crate::profile::{Accelerator, Validity};
use crate::reasons::{NextClass, Reason};
use crate::request::{LoadBalancing, Objectives, Peak, Policy, Presence, Request, Terms};
use crate::shapes::position;
use crate::workload::ServiceCurve;

pub(crate) fn reasons(
    request: &Request,
    objectives: &Objectives,
    field: &Field<'_>,
    chosen: &Candidate<'_>,
    plan: &Plan,
) -> Vec<Reason> {
    let mut reasons = shape(request, objectives, field, chosen, plan);
    reasons.extend(assumptions(request, chosen));
    reasons.extend(prices(request, field));
    reasons.extend(moves(request, field, chosen));
    reasons.extend(balancing(request, chosen));
    reasons
}

/// What was decided: the class, the pod, how many, when more.
fn shape(
    request: &Request,
    objectives: &Objectives,
    field: &Field<'_>,
    chosen: &Candidate<'_>,
    plan: &Plan,
) -> Vec<Reason> {
    let Request { load, policy, .. } = request;
    let typical_first_audio = chosen.server().full_first_audio().median();
    let predicted = &plan.predicted;
    vec![
        Reason::Accelerator {
            class: plan.node_class.clone(),
            accelerator: plan.accelerator,
            cost_per_audio_hour: predicted.cost_per_audio_hour,
            next: next_class(field, chosen),
        },
        Reason::PodShape {
            cpu: plan.pod.cpu,
            threads: plan.pod.threads.intra_op,
            precision: plan.variant.precision.clone(),
            rate: predicted.rate,
            ttfa_objective: objectives.ttfa_p95,
            utilisation: predicted.utilisation,
            full_rate: predicted.full_rate,
            ttfa_p95_idle: predicted.ttfa_p95_idle,
            derate: predicted.derate,
        },
        threads(request, objectives, chosen, predicted.ttfa_p95_idle),
        Reason::Concurrency {
            max_concurrency: chosen.concurrency,
            rtf_p95: chosen.rtf_p95,
            rtf_objective: objectives.rtf_p95,
            queue: chosen.queue,
            full_rate: predicted.full_rate,
            slack: objectives.ttfa_p95 - typical_first_audio,
            typical_first_audio,
            late_or_rejected: predicted.late_or_rejected,
        },
        Reason::Replicas {
            peak: load.peak_rps(),
            rate: predicted.rate,
            at_peak: plan.replicas.at_peak,
            ttfa_p95: predicted.ttfa_p95.unwrap_or(f64::INFINITY),
            min: plan.replicas.min,
            max: plan.replicas.max,
            limit: plan.replicas.limit,
        },
        Reason::Autoscaling {
            in_flight: plan.autoscaling.in_flight,
            target_rate: plan.autoscaling.rate,
            rate: predicted.rate,
            tolerance: policy.hpa_tolerance,
            headroom: plan.autoscaling.headroom,
            ramp_per_minute: load.ramp_per_minute,
            reaction: plan.autoscaling.reaction,
        },
        Reason::Memory {
            memory: chosen.memory,
            needed: chosen.memory_needed,
            concurrency: chosen.concurrency,
            max_chunk_audio: load.max_chunk_audio,
            margin: policy.memory_margin,
        },
        Reason::Cpu {
            request: plan.pod.resources.cpu_request,
            limit: plan.pod.resources.cpu_limit,
            qos: plan.pod.resources.qos,
        },
    ]
}

fn next_class(field: &Field<'_>, chosen: &Candidate<'_>) -> Option<NextClass> {
    // The list is in order of rounded cost; the cheapest by the exact one is wanted.
    let others = field
        .feasible
        .iter()
        .filter(|other| other.class.name != chosen.class.name);
    let next = others.min_by(|a, b| {
        a.cost
            .total_cmp(&b.cost)
            .then_with(|| a.class.name.cmp(&b.class.name))
    })?;
    Some(NextClass {
        class: next.class.name.clone(),
        cost_ratio: (chosen.cost > 0.0).then(|| next.cost / chosen.cost),
    })
}

/// The two numbers that decide how many threads a request gets, see [`advice`](crate::advice).
fn threads(
    request: &Request,
    objectives: &Objectives,
    chosen: &Candidate<'_>,
    idle_p95: f64,
) -> Reason {
    let config = chosen.shape.config.as_ref();
    let one = chosen
        .profile
        .configs
        .iter()
        .filter(|config| config.threads == 1)
        .min_by(|a, b| a.cpu.total_cmp(&b.cpu));
    let alone = one.map(|one| {
        let curve = ServiceCurve::new(one, chosen.profile, &request.load)
            .derated(chosen.derate, chosen.standing.slowdown());
        let first = (
            curve.rates.get(..1).unwrap_or_default(),
            curve.first_audio.get(..1).unwrap_or_default(),
        );
        let pod = crate::queueing::FlowServer::new(first.0, first.1, 1.0, curve.service_cv2);
        (
            pod.first_audio_quantile(QUANTILE, pod.idle_rate()),
            pod.full_rate(),
        )
    });
    let service_rate = chosen.curve.rates.first().copied().unwrap_or_default();
    Reason::Threads {
        threads: config.threads,
        idle_ratio: alone
            .map(|(idle, _)| objectives.ttfa_p95 / idle)
            .filter(|ratio| ratio.is_finite()),
        slack_services: (objectives.ttfa_p95 - idle_p95) * service_rate,
        efficiency: alone.map(|(_, rate)| service_rate / rate / f64::from(config.threads)),
    }
}

/// What was taken as given without being known.
fn assumptions(request: &Request, chosen: &Candidate<'_>) -> Vec<Reason> {
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
    if chosen.shape.interpolated {
        let config = chosen.shape.config.as_ref();
        reasons.push(Reason::Interpolated {
            cpu: config.cpu,
            threads: config.threads,
            position: position(chosen.profile, config),
            residual: chosen.shape.residual,
        });
    }
    if chosen.class.presence == Presence::Declared {
        reasons.push(Reason::Declared {
            class: chosen.class.name.clone(),
        });
    }
    let (validity, correction) = (chosen.standing.validity, chosen.standing.slowdown());
    if validity != Validity::Valid || correction > 1.0 {
        reasons.push(Reason::Measurement {
            profile: chosen.profile.id.clone(),
            validity,
            correction,
        });
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
    let pods = crate::numeric::floor(gpu.pod_price / cpu.pod_price);
    Some(Reason::BreakEven {
        cpu_class: cpu.class.name.clone(),
        gpu_class: gpu.class.name.clone(),
        pods,
        rate: f64::from(pods) * cpu.rate,
    })
}

/// Whether the class that runs now was kept or left.
fn moves(request: &Request, field: &Field<'_>, chosen: &Candidate<'_>) -> Option<Reason> {
    let current = request.current.as_ref()?;
    let threshold = request.policy.switch_gain;
    let best = field.feasible.first()?;
    let running = field
        .feasible
        .iter()
        .find(|candidate| candidate.class.name == current.class);
    if chosen.class.name != current.class {
        return Some(Reason::Switched {
            from: current.class.clone(),
            to: chosen.class.name.clone(),
            saving: running.map(|running| saving(running.cost, chosen.cost)),
            threshold,
        });
    }
    (best.class.name != chosen.class.name).then(|| Reason::Kept {
        class: chosen.class.name.clone(),
        cheaper: best.class.name.clone(),
        saving: saving(chosen.cost, best.cost),
        threshold,
    })
}

/// Share of `from` that `to` saves; nothing is saved of nothing.
fn saving(from: f64, to: f64) -> f64 {
    if from > 0.0 { 1.0 - to / from } else { 0.0 }
}

/// What stands in front of the pods, and what a least-request proxy would save.
fn balancing(request: &Request, chosen: &Candidate<'_>) -> Option<Reason> {
    let policy = Policy {
        load_balancing: LoadBalancing::LeastRequest,
        ..request.policy
    };
    let terms = Terms {
        policy,
        ..request.terms()
    };
    let least = evaluate(
        &terms,
        chosen.class,
        chosen.profile,
        chosen.standing,
        chosen.shape.clone(),
    )
    .ok()?;
    Some(Reason::LoadBalancing {
        policy: request.policy.load_balancing,
        arrival_cv2: chosen.arrival_cv2,
        at_peak_least_request: least.replicas.min(chosen.replicas),
        at_peak: chosen.replicas,
    })
}
