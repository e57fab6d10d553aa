//! No plan keeps the objectives: which one it is, what is missing in numbers, and what would help.

use crate::acceptance::{accept, predicted};
use crate::candidates::Candidate;
use crate::explanation;
use crate::field::{Contenders, Field};
use crate::fill::fill;
use crate::numeric::ceil;
use crate::plan::{AcceptedPlan, Infeasible};
use crate::reasons::Reason;
use crate::rejection::{Because, Rejection};
use crate::request::{Exclusion, Objectives, Request, Terms};
use crate::shortage::{Condition, Shortage};

/// An objective to suggest is 10 % above what an idle pod does, in steps of 50 ms.
const POSSIBLE: f64 = 1.1;
const POSSIBLE_STEP: f64 = 0.05;
/// What comes nearest is planned for twice what it does idle: room to queue once.
const RELAXED: f64 = 2.0;
/// Halvings of the searches below.
const HALVINGS: u32 = 10;
/// What the largest peak is searched to.
const SEARCHED: f64 = 1e-3;
/// Doublings of the objective that are tried.
const DOUBLINGS: u32 = 6;
/// Steps of an objective to suggest (s).
const OBJECTIVE_STEP: f64 = 0.01;

/// Capacity first: something keeps the objectives, there is only too little of it. Then time to
/// first audio, real-time factor, size, and at last that nothing was measured.
pub(crate) fn explain(
    request: &Request,
    contenders: &Contenders<'_>,
    field: &Field<'_>,
) -> Infeasible {
    let search = Search {
        contenders,
        terms: request.terms(),
    };
    let (condition, reason) = capacity(request, &search, field)
        .or_else(|| too_late(&search, field))
        .or_else(|| too_slow(request, field))
        .or_else(|| too_large(request, field))
        .unwrap_or_else(|| unusable(request, field));
    Infeasible {
        condition,
        message: reason.to_string(),
        reason,
        best_effort: best_effort(request, &search, field, condition).map(Box::new),
        together: (condition == Condition::CapacityInsufficient)
            .then(|| fill(request, field))
            .flatten()
            .filter(|fill| fill.shares.len() > 1),
    }
}

/// The candidate that lacks the smallest share of what it needs.
fn closest<'c, 'f>(field: &'f Field<'c>) -> Option<&'f Candidate<'c>> {
    let lack = |candidate: &Candidate<'_>| {
        f64::from(candidate.replicas) / f64::from(candidate.limit.max(1))
    };
    field
        .too_many
        .iter()
        .min_by(|a, b| lack(a).total_cmp(&lack(b)))
}

fn capacity(
    request: &Request,
    search: &Search<'_, '_>,
    field: &Field<'_>,
) -> Option<(Condition, Shortage)> {
    let closest = closest(field)?;
    let (class, needed) = (closest.of.class, closest.replicas);
    let reason = Shortage::Capacity {
        class: class.name.clone(),
        cpu: closest.of.shape.cpu,
        threads: closest.of.shape.threads,
        needed,
        limit: closest.limit,
        nodes: class.max_nodes,
        pods_per_node: closest.pods_per_node,
        add_nodes: closest.ask.missing_nodes(class, needed),
        raise_max_replicas: request
            .policy
            .max_replicas
            .filter(|&most| most < needed)
            .map(|_| needed),
        raise_quota: closest.ask.missing_quota(&request.quota, needed),
        affordable_peak: search.largest_peak(f64::from(closest.limit) * closest.rate),
        possible_objective: search.smallest_objective(Field::is_feasible),
    };
    Some((Condition::CapacityInsufficient, reason))
}

/// What would be feasible.
struct Search<'s, 'a> {
    contenders: &'s Contenders<'a>,
    terms: Terms<'s>,
}

impl Search<'_, '_> {
    /// The largest peak that the inventory carries at these objectives, in requests per second; 0
    /// if none. `likely` is tried first.
    fn largest_peak(&self, likely: f64) -> f64 {
        let carries = |peak: f64| {
            let terms = Terms { peak, ..self.terms };
            Field::is_feasible(self.contenders, &terms)
        };
        let mut high = self.terms.peak;
        // Rounding noise must not take a pod more. What R pods carry in turn depends on R: then half
        // of it, and so on.
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

    /// The smallest time to first audio above the objective at which something holds, such as that
    /// the inventory keeps it at this load (s).
    fn smallest_objective(&self, holds: fn(&Contenders<'_>, &Terms<'_>) -> bool) -> Option<f64> {
        let above = self.terms.objectives.ttfa_p95;
        let keeps = |objective: f64| {
            let mut terms = self.terms;
            terms.objectives.ttfa_p95 = objective;
            holds(self.contenders, &terms)
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
}

/// The rejection with the smallest number of one kind, with its shape.
fn least<'f>(
    field: &'f Field<'_>,
    number: fn(&Because) -> Option<f64>,
) -> Option<(&'f Rejection, (f64, u32), f64)> {
    let found = field
        .out
        .iter()
        .filter_map(|rejection| Some((rejection, rejection.shape?, number(&rejection.because)?)));
    found.min_by(|a, b| a.2.total_cmp(&b.2))
}

fn lateness(because: &Because) -> Option<f64> {
    match because {
        Because::FirstAudio { idle_p95, .. } => Some(*idle_p95),
        _ => None,
    }
}

fn slowness(because: &Because) -> Option<f64> {
    match because {
        Because::RealTimeFactor { rtf_p95, .. } => Some(*rtf_p95),
        _ => None,
    }
}

/// An objective with some room above what an idle pod does.
fn possible(idle: f64) -> f64 {
    f64::from(ceil(idle * POSSIBLE / POSSIBLE_STEP)) * POSSIBLE_STEP
}

fn too_late(search: &Search<'_, '_>, field: &Field<'_>) -> Option<(Condition, Shortage)> {
    let (rejection, (cpu, threads), idle_p95) = least(field, lateness)?;
    let voice = match &rejection.because {
        Because::FirstAudio { voice, .. } => voice.clone(),
        _ => None,
    };
    let reason = Shortage::TooLate {
        class: rejection.class.clone(),
        cpu,
        threads,
        voice,
        idle_p95,
        objective: search.terms.objectives.ttfa_p95,
        possible_objective: search
            .smallest_objective(Field::is_feasible)
            .or_else(|| search.smallest_objective(Field::is_possible))
            .unwrap_or_else(|| possible(idle_p95)),
    };
    Some((Condition::SloInfeasible, reason))
}

fn too_slow(request: &Request, field: &Field<'_>) -> Option<(Condition, Shortage)> {
    let (rejection, (cpu, threads), rtf_p95) = least(field, slowness)?;
    let reason = Shortage::TooSlow {
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
fn too_large(request: &Request, field: &Field<'_>) -> Option<(Condition, Shortage)> {
    let size = |because: &Because| match because {
        Because::Fit { cpu, .. }
        | Because::PartOfACore { cpu }
        | Because::AboveLimit { cpu, .. } => Some(*cpu),
        // Sizes of these are not what is wrong with them: they count if there is no other.
        Because::AboveMemoryLimit { memory, .. } => Some(1e6 + memory),
        Because::GpuMemory { needed, .. } => Some(1e12 + needed),
        Because::NoGpu => Some(f64::MAX),
        _ => None,
    };
    let rejected = field
        .out
        .iter()
        .filter_map(|rejection| Some((rejection, size(&rejection.because)?)));
    let (rejection, _) = rejected.min_by(|a, b| a.1.total_cmp(&b.1))?;
    let class = request
        .classes
        .iter()
        .find(|class| class.name == rejection.class)?;
    let reason = Shortage::Unfit {
        class: class.name.clone(),
        because: rejection.because.clone(),
        allocatable_cpu: class.allocatable_cpu,
        allocatable_memory: class.allocatable_memory,
    };
    Some((Condition::PodDoesNotFit, reason))
}

/// Nothing was looked at: no class may be used, voices were not measured together, or not at all.
fn unusable(request: &Request, field: &Field<'_>) -> (Condition, Shortage) {
    let mut classes: Vec<(String, Option<Exclusion>)> = request
        .classes
        .iter()
        .map(|class| (class.name.clone(), class.excluded))
        .collect();
    classes.sort_unstable_by(|a, b| a.0.cmp(&b.0));
    let excluded: Option<Vec<_>> = classes
        .iter()
        .map(|(name, excluded)| Some((name.clone(), (*excluded)?)))
        .collect();
    if let Some(classes) = excluded.filter(|classes| !classes.is_empty()) {
        return (Condition::NoNodeClass, Shortage::Excluded { classes });
    }
    let apart = field.out.iter().find_map(|rejection| {
        let voice = match &rejection.because {
            Because::VoiceUnmeasured { voice } => Some(voice.clone()),
            Because::NoCommonShape => None,
            _ => return None,
        };
        let class = rejection.class.clone();
        Some(Shortage::NotTogether { class, voice })
    });
    let usable = classes
        .into_iter()
        .filter(|(_, excluded)| excluded.is_none())
        .map(|(name, _)| name);
    let reason = apart.unwrap_or_else(|| Shortage::Unmeasured {
        classes: usable.collect(),
    });
    (Condition::NoProfile, reason)
}

/// What runs while the condition stands: for lack of nodes, the nearest candidate on all there are;
/// for lack of speed, the shape nearest to the objectives, planned for objectives that it can keep.
/// What it does is reported against the objectives that were asked for.
fn best_effort(
    request: &Request,
    search: &Search<'_, '_>,
    field: &Field<'_>,
    condition: Condition,
) -> Option<AcceptedPlan> {
    let mut candidate = match condition {
        Condition::CapacityInsufficient => closest(field)?.clone(),
        Condition::SloInfeasible => nearest(search, least(field, lateness)?, true)?,
        Condition::RtfInfeasible => nearest(search, least(field, slowness)?, false)?,
        Condition::PodDoesNotFit | Condition::NoProfile | Condition::NoNodeClass => return None,
    };
    let needed = candidate.replicas;
    let replicas = needed.min(candidate.limit);
    if replicas == 0 {
        return None;
    }
    let steady = candidate.steady.min(candidate.limit);
    candidate.replicas = replicas;
    candidate.steady = steady;
    candidate.cost = f64::from(steady) * candidate.pod_price;
    let terms = &search.terms;
    let mut plan = accept(request, &candidate, terms);
    let prediction = predicted(&candidate, terms, replicas);
    let first = Reason::BestEffort {
        condition,
        replicas,
        needed,
        late_or_rejected: prediction.late_or_rejected,
        ttfa_p95: prediction.ttfa_p95,
    };
    plan.reasons = explanation::of_best_effort(request, terms, field, &candidate, &plan, first);
    Some(plan)
}

/// The shape that was rejected, planned for an objective that it can keep.
fn nearest<'s>(
    search: &Search<'s, '_>,
    (rejection, (cpu, threads), number): (&Rejection, (f64, u32), f64),
    too_late: bool,
) -> Option<Candidate<'s>> {
    let contender = search.contenders.list.iter().find(|contender| {
        contender.class.name == rejection.class
            && contender.shape.threads == threads
            && contender.shape.cpu.total_cmp(&cpu).is_eq()
            && contender.mix.profiles() == rejection.profiles
    })?;
    let mut terms = search.terms;
    terms.objectives = if too_late {
        Objectives {
            ttfa_p95: RELAXED * number,
            rtf_p95: f64::MAX,
        }
    } else {
        Objectives {
            rtf_p95: number,
            ..terms.objectives
        }
    };
    Candidate::best(contender, &terms).ok()
}
