//! Chooses among all candidates: the best, unless what runs now is nearly as good.

use crate::candidates::Candidate;
use crate::contenders::Contender;
use crate::field::{Contenders, Field, place};
use crate::request::{Current, Request, Terms};

/// What a running queue may differ by from the wanted one and still be kept.
const QUEUE_KEPT: f64 = 0.25;

/// The best; or what runs now, or else the best of its class, unless the best is better by more
/// than the policy's gain.
pub(crate) fn choose<'c>(
    request: &Request,
    terms: &Terms<'_>,
    contenders: &'c Contenders<'_>,
    field: &Field<'c>,
) -> Option<Candidate<'c>> {
    let best = field.feasible.first()?;
    let Some(current) = &request.current else {
        return Some(best.clone());
    };
    let minimise = request.policy.minimise;
    let near = |candidate: &Candidate<'_>| {
        let (score, best) = (candidate.score(minimise).0, best.score(minimise).0);
        score <= best / (1.0 - request.policy.switch_gain) || score.total_cmp(&best).is_eq()
    };
    if let Some(running) = running(terms, contenders, current).filter(&near) {
        return Some(running);
    }
    let of_class = field
        .feasible
        .iter()
        .find(|candidate| candidate.of.class.name == current.class);
    Some(
        of_class
            .filter(|&of_class| near(of_class))
            .unwrap_or(best)
            .clone(),
    )
}

/// What runs now, if it keeps the objectives and fits: the same shape with the same admission limit
/// and at least the same memory, which a killed pod may have taught.
pub(crate) fn running<'c>(
    terms: &Terms<'_>,
    contenders: &'c Contenders<'_>,
    current: &Current,
) -> Option<Candidate<'c>> {
    let (Some(_), Some(_)) = (current.cpu, current.threads) else {
        return None;
    };
    let candidates = contenders
        .list
        .iter()
        .filter(|contender| contender.class.name == current.class)
        .filter_map(|contender| as_it_runs(terms, contender, current))
        .filter(Candidate::fits_inventory);
    candidates.min_by(|a, b| {
        let score = |candidate: &Candidate<'_>| candidate.score(terms.policy.minimise).0;
        score(a).total_cmp(&score(b)).then_with(|| place(a, b))
    })
}

/// The contender as it runs now; None when it is another shape or does not keep the objectives.
fn as_it_runs<'c>(
    terms: &Terms<'_>,
    contender: &'c Contender<'_>,
    current: &Current,
) -> Option<Candidate<'c>> {
    if !contender.serves(&current.variants) || current.threads != Some(contender.shape.threads) {
        return None;
    }
    let with = |concurrency, memory| Candidate::with(contender, terms, concurrency, memory).ok();
    let mut candidate = match current.concurrency {
        Some(concurrency) => {
            with(concurrency, current.memory).or_else(|| with(concurrency, None))?
        }
        None => Candidate::best(contender, terms).ok()?,
    };
    let cores = [contender.shape.cpu, candidate.ask.cpu];
    let wanted = current.cpu?;
    if !cores.iter().any(|cores| (cores - wanted).abs() < 1e-9) {
        return None;
    }
    if let Some(queue) = current.queue {
        let difference = (f64::from(queue) - f64::from(candidate.queue)).abs();
        if difference <= (QUEUE_KEPT * f64::from(candidate.queue)).max(1.0) {
            candidate.queue = queue;
        }
    }
    Some(candidate)
}
