//! No plan keeps the objectives: which one it is, what is missing in numbers, and what would help.

use crate::candidates::{Candidate, Obstacle, evaluate, missing_nodes};
use crate::choice::{Field, finish};
use crate::fill::fill;
use crate::numeric::ceil;
use crate::plan::{Condition, Infeasible, Plan};
use crate::reasons::{Reason, Rejection};
use crate::request::{Objectives, Peak, Request, Terms};
use crate::shapes::shapes;

/// An objective to suggest is 10 % above what an idle pod does, in steps of 50 ms.
const POSSIBLE: f64 = 1.1;
const POSSIBLE_STEP: f64 = 0.05;
/// What comes nearest is planned for twice what it does idle: room to queue once.
const RELAXED: f64 = 2.0;

/// Capacity first: something keeps the objectives, there is only too little of it. Then time to
/// first audio, real-time factor, size, and at last that nothing was measured.
pub(crate) fn explain(request: &Request, field: &Field<'_>) -> Infeasible {
    let (condition, reason) = capacity(request, field)
        .or_else(|| too_late(request, field))
        .or_else(|| too_slow(request, field))
        .or_else(|| too_large(request, field))
        .unwrap_or_else(|| unmeasured(request));
    Infeasible {
        condition,
        reason,
        rejected: field.rejected(),
        best_effort: best_effort(request, field, condition).map(Box::new),
        together: (condition == Condition::CapacityInsufficient)
            .then(|| fill(request, field))
            .flatten()
            .filter(|fill| fill.shares.len() > 1),
    }
}

/// The candidate that lacks the smallest share of what it needs.
fn closest<'a, 'b>(field: &'b Field<'a>) -> Option<&'b Candidate<'a>> {
    let lack = |candidate: &Candidate<'_>| {
        f64::from(candidate.replicas) / f64::from(candidate.limit.max(1))
    };
    field
        .too_many
        .iter()
        .min_by(|a, b| lack(a).total_cmp(&lack(b)))
}

fn capacity(request: &Request, field: &Field<'_>) -> Option<(Condition, Reason)> {
    let closest = closest(field)?;
    let config = closest.shape.config.as_ref();
    let most = request.policy.max_replicas;
    let reason = Reason::Capacity {
        class: closest.class.name.clone(),
        cpu: config.cpu,
        threads: config.threads,
        needed: closest.replicas,
        limit: closest.limit,
        nodes: closest.class.max_nodes,
        pods_per_node: closest.pods_per_node,
        add_nodes: missing_nodes(closest),
        raise_max_replicas: most
            .filter(|&most| most < closest.replicas)
            .map(|_| closest.replicas),
        affordable_peak: largest_peak(request, f64::from(closest.limit) * closest.rate),
        possible_objective: smallest_objective(request, request.objectives.ttfa_p95),
    };
    Some((Condition::CapacityInsufficient, reason))
}

/// Halvings of the searches below.
const HALVINGS: u32 = 10;
/// What the largest peak is searched to.
const SEARCHED: f64 = 1e-3;
/// Doublings of the objective that are tried.
const DOUBLINGS: u32 = 6;
/// Steps of an objective to suggest (s).
const OBJECTIVE_STEP: f64 = 0.01;

fn is_feasible(request: &Request, terms: &Terms) -> bool {
    !Field::with(request, terms).feasible.is_empty()
}

/// The largest peak that the inventory carries at these objectives, in requests per second; 0 if none. `likely` is tried first.
fn largest_peak(request: &Request, likely: f64) -> f64 {
    let carries = |rate: f64| {
        let mut terms = request.terms();
        terms.load.peak = Peak::RequestsPerSecond(rate);
        is_feasible(request, &terms)
    };
    let mut high = request.load.peak_rps();
    // Rounding noise must not take a pod more. What R pods carry in turn depends on R: then half of it, and so on.
    let mut low = likely.min(high) * (1.0 - 1e-9);
    for _ in 0..HALVINGS {
        if low > 0.0 && carries(low) {
            break;
        }
        high = high.min(low);
        low /= 2.0;
    }
    if low <= 0.0 || !carries(low) {
        return 0.0;
    }
    // In the middle of the ratio: the peak may be a million times too large.
    while high > low * (1.0 + SEARCHED) {
        let middle = (low * high).sqrt();
        if carries(middle) {
            low = middle;
        } else {
            high = middle;
        }
    }
    low
}

/// The smallest time to first audio above this one that the inventory keeps at this load (s).
fn smallest_objective(request: &Request, above: f64) -> Option<f64> {
    let keeps = |objective: f64| {
        let mut terms = request.terms();
        terms.objectives.ttfa_p95 = objective;
        is_feasible(request, &terms)
    };
    let (mut low, mut high) = (above, above);
    for _ in 0..DOUBLINGS {
        high *= 2.0;
        if keeps(high) {
            break;
        }
        low = high;
    }
    if low >= high {
        return None;
    }
    for _ in 0..HALVINGS {
        let middle = f64::midpoint(low, high);
        if keeps(middle) {
            high = middle;
        } else {
            low = middle;
        }
    }
    let rounded = f64::from(ceil(high / OBJECTIVE_STEP)) * OBJECTIVE_STEP;
    Some(if keeps(rounded) { rounded } else { high })
}

/// The rejection with the smallest number of one kind, with its shape.
fn least<'a>(
    field: &'a Field<'_>,
    number: fn(&Obstacle) -> Option<f64>,
) -> Option<(&'a Rejection, (f64, u32), f64)> {
    let found = field.out.iter().filter_map(|(rejection, obstacle)| {
        Some((rejection, rejection.shape?, number(obstacle.as_ref()?)?))
    });
    found.min_by(|a, b| a.2.total_cmp(&b.2))
}

fn least_late<'a>(field: &'a Field<'_>) -> Option<(&'a Rejection, (f64, u32), f64)> {
    least(field, |obstacle| match obstacle {
        Obstacle::FirstAudio { idle_p95 } => Some(*idle_p95),
        _ => None,
    })
}

fn least_slow<'a>(field: &'a Field<'_>) -> Option<(&'a Rejection, (f64, u32), f64)> {
    least(field, |obstacle| match obstacle {
        Obstacle::RealTimeFactor { rtf_p95, .. } => Some(*rtf_p95),
        _ => None,
    })
}

/// An objective with some room above what an idle pod does.
fn possible(idle: f64) -> f64 {
    f64::from(ceil(idle * POSSIBLE / POSSIBLE_STEP)) * POSSIBLE_STEP
}

fn too_late(request: &Request, field: &Field<'_>) -> Option<(Condition, Reason)> {
    let (rejection, (cpu, threads), idle_p95) = least_late(field)?;
    let reason = Reason::TooLate {
        class: rejection.class.clone(),
        cpu,
        threads,
        idle_p95,
        objective: request.objectives.ttfa_p95,
        possible_objective: smallest_objective(request, request.objectives.ttfa_p95)
            .unwrap_or_else(|| possible(idle_p95)),
    };
    Some((Condition::SloInfeasible, reason))
}

fn too_slow(request: &Request, field: &Field<'_>) -> Option<(Condition, Reason)> {
    let (rejection, (cpu, threads), rtf_p95) = least_slow(field)?;
    let reason = Reason::TooSlow {
        class: rejection.class.clone(),
        cpu,
        threads,
        rtf_p95,
        objective: request.objectives.rtf_p95,
        possible_objective: possible(rtf_p95),
    };
    Some((Condition::RtfInfeasible, reason))
}

/// What the smallest pod that was rejected for its size, or for what it is made of, would need.
fn too_large(request: &Request, field: &Field<'_>) -> Option<(Condition, Reason)> {
    let size = |obstacle: &Obstacle| match obstacle {
        Obstacle::Fit { cpu, .. }
        | Obstacle::PartOfACore { cpu }
        | Obstacle::AboveLimit { cpu, .. } => Some(*cpu),
        // Sizes of these are not what is wrong with them: they count if there is no other.
        Obstacle::AboveMemoryLimit { memory, .. } => Some(1e6 + memory),
        Obstacle::NoGpu => Some(f64::MAX),
        Obstacle::FirstAudio { .. } | Obstacle::RealTimeFactor { .. } => None,
    };
    let rejected = field.out.iter().filter_map(|(rejection, obstacle)| {
        let obstacle = obstacle.as_ref()?;
        Some((rejection, obstacle, size(obstacle)?))
    });
    let (rejection, obstacle, _) = rejected.min_by(|a, b| a.2.total_cmp(&b.2))?;
    let class = request
        .classes
        .iter()
        .find(|class| class.name == rejection.class)?;
    let reason = match *obstacle {
        Obstacle::AboveLimit { cpu, limit } => Reason::AboveLimit { cpu, limit },
        Obstacle::AboveMemoryLimit { memory, limit } => Reason::AboveMemoryLimit { memory, limit },
        Obstacle::PartOfACore { cpu } => Reason::PartOfACore { cpu },
        Obstacle::NoGpu => Reason::NoGpu {
            class: class.name.clone(),
        },
        Obstacle::Fit { cpu, memory } => Reason::TooLarge {
            class: class.name.clone(),
            cpu,
            memory,
            allocatable_cpu: class.allocatable_cpu,
            allocatable_memory: class.allocatable_memory,
        },
        Obstacle::FirstAudio { .. } | Obstacle::RealTimeFactor { .. } => return None,
    };
    Some((Condition::PodDoesNotFit, reason))
}

fn unmeasured(request: &Request) -> (Condition, Reason) {
    let mut classes: Vec<String> = request
        .classes
        .iter()
        .map(|class| class.name.clone())
        .collect();
    classes.sort_unstable();
    (Condition::NoProfile, Reason::Unmeasured { classes })
}

/// What runs while the condition stands: for lack of nodes, the nearest candidate on all there are;
/// for lack of speed, the shape nearest to the objectives, planned for objectives that it can keep.
fn best_effort(request: &Request, field: &Field<'_>, condition: Condition) -> Option<Plan> {
    let (candidate, objectives) = match condition {
        Condition::CapacityInsufficient => (closest(field)?.clone(), request.objectives),
        Condition::SloInfeasible | Condition::RtfInfeasible => nearest(request, field, condition)?,
        Condition::PodDoesNotFit | Condition::NoProfile => return None,
    };
    let needed = candidate.replicas;
    let replicas = needed.min(candidate.limit);
    if replicas == 0 {
        return None;
    }
    let cost = f64::from(replicas) * candidate.pod_price;
    let mut plan = finish(
        request,
        &objectives,
        field,
        &Candidate {
            replicas,
            cost,
            ..candidate
        },
    );
    plan.reasons.retain(|reason| {
        !matches!(
            reason,
            Reason::Replicas { .. } | Reason::LoadBalancing { .. }
        )
    });
    let ttfa_p95 = plan.predicted.ttfa_p95;
    plan.reasons.insert(
        0,
        Reason::BestEffort {
            condition,
            replicas,
            needed,
            ttfa_p95,
        },
    );
    Some(plan)
}

/// The shape that [`too_late`] or [`too_slow`] names, planned for an objective that it can keep.
fn nearest<'a>(
    request: &'a Request,
    field: &Field<'_>,
    condition: Condition,
) -> Option<(Candidate<'a>, Objectives)> {
    let slo = condition == Condition::SloInfeasible;
    let (rejection, (cpu, threads), number) = if slo {
        least_late(field)
    } else {
        least_slow(field)
    }?;
    let class = request
        .classes
        .iter()
        .find(|class| class.name == rejection.class)?;
    let measurement = request
        .measurements
        .iter()
        .find(|m| Some(&m.profile.id) == rejection.profile.as_ref())?;
    let profile = &measurement.profile;
    let shape = shapes(profile, class, &request.policy)
        .into_iter()
        .find(|shape| {
            shape.config.threads == threads && shape.config.cpu.total_cmp(&cpu).is_eq()
        })?;
    let ttfa_p95 = if slo {
        RELAXED * number
    } else {
        request.objectives.ttfa_p95
    };
    let rtf_p95 = if slo { f64::MAX } else { number };
    let objectives = Objectives { ttfa_p95, rtf_p95 };
    let terms = Terms {
        objectives,
        ..request.terms()
    };
    let candidate = evaluate(&terms, class, profile, measurement.standing(), shape).ok()?;
    // For the record: what this candidate does, where the search asked for nothing.
    let rtf_p95 = candidate.rtf_p95.max(request.objectives.rtf_p95);
    Some((candidate, Objectives { ttfa_p95, rtf_p95 }))
}
