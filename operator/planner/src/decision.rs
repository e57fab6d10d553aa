//! From a request to a decision.

use std::collections::BTreeMap;

use crate::acceptance::accept;
use crate::choice;
use crate::explanation;
use crate::field::{Contenders, Field};
use crate::infeasible;
use crate::plan::{Alternative, Alternatives, Decision, Outcome};
use crate::rejection::{Because, Rejection};
use crate::request::{Request, RequestError};

/// The most candidates and rejections that are listed.
const LISTED: usize = 20;

/// Plans, or says what is missing. The answer does not depend on the order of anything in the
/// request.
pub fn plan(request: &Request) -> Result<Decision, RequestError> {
    request.check()?;
    let contenders = Contenders::of(request);
    let terms = request.terms();
    let field = Field::with(&contenders, &terms);
    let outcome = match choice::choose(request, &terms, &contenders, &field) {
        Some(chosen) => {
            let mut plan = accept(request, &chosen, &terms);
            plan.reasons =
                explanation::of_plan(request, &terms, &contenders, &field, &chosen, &plan);
            Outcome::Plan(Box::new(plan))
        }
        None => Outcome::Infeasible(Box::new(infeasible::explain(request, &contenders, &field))),
    };
    Ok(Decision {
        outcome,
        alternatives: alternatives(request, &field),
    })
}

/// The best of each class and the best of all; of each class and cause the nearest rejection.
fn alternatives(request: &Request, field: &Field<'_>) -> Alternatives {
    let mut listed: Vec<usize> = Vec::new();
    let mut classes: Vec<&str> = Vec::new();
    for (index, candidate) in field.feasible.iter().enumerate() {
        let class = candidate.of.class.name.as_str();
        if !classes.contains(&class) {
            classes.push(class);
            listed.push(index);
        }
    }
    listed.truncate(LISTED);
    let others = (0..field.feasible.len()).filter(|index| !listed.contains(index));
    let others: Vec<usize> = others.take(LISTED - listed.len()).collect();
    listed.extend(others);
    listed.sort_unstable();
    let candidates: Vec<Alternative> = listed
        .iter()
        .filter_map(|&index| field.feasible.get(index))
        .map(|candidate| Alternative::of(candidate, request.load.mean_audio))
        .collect();
    let all = field.rejected();
    let count = all.len();
    let mut nearest: BTreeMap<(String, &'static str), Rejection> = BTreeMap::new();
    for rejection in all {
        let key = (rejection.class.clone(), rejection.because.code());
        let nearer = nearest
            .get(&key)
            .is_none_or(|known| lack(&rejection.because) < lack(&known.because));
        if nearer {
            nearest.insert(key, rejection);
        }
    }
    let rejected: Vec<Rejection> = nearest.into_values().take(LISTED).collect();
    let omitted = |all: usize, listed: usize| u32::try_from(all - listed).unwrap_or(u32::MAX);
    Alternatives {
        omitted_candidates: omitted(field.feasible.len(), candidates.len()),
        omitted_rejected: omitted(count, rejected.len()),
        candidates,
        rejected,
    }
}

/// How far a shape is from keeping its place, among those with the same cause.
fn lack(because: &Because) -> f64 {
    match because {
        Because::FirstAudio { idle_p95, .. } => *idle_p95,
        Because::RealTimeFactor { rtf_p95, .. } => *rtf_p95,
        Because::Fit { cpu, .. }
        | Because::PartOfACore { cpu }
        | Because::AboveLimit { cpu, .. } => *cpu,
        Because::AboveMemoryLimit { memory, .. } => *memory,
        Because::GpuMemory { needed, .. } => *needed,
        Because::Capacity { needed, limit, .. } => f64::from(*needed) / f64::from((*limit).max(1)),
        _ => 0.0,
    }
}
