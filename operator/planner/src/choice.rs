//! Chooses among all candidates: the best, unless what runs now is nearly as good.

use crate::candidates::Candidate;
use crate::contenders::Contender;
use crate::field::{Contenders, Field, place};
use crate::request::{Current, Request, Terms};

/// What measurements may be wrong by without a move: one pod more or less through rounding must not
/// restart all.
const DOUBT: f64 = 0.05;
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
    let near = |score: f64, best: f64| score <= best / (1.0 - request.policy.switch_gain);
    let running = running(terms, contenders, current);
    if let Some(running) = running {
        let (score, best) = doubtful_scores(terms, &running, best);
        if near(score, best) {
            return Some(running);
        }
    }
    let of_class = field.feasible.iter().find(|candidate| {
        candidate.of.class.name == current.class
            && near(candidate.score(minimise).0, best.score(minimise).0)
    });
    Some(of_class.unwrap_or(best).clone())
}

/// What is minimised, of the running pods and of the best, were the one measured too low and the
/// other too high.
pub(crate) fn doubtful_scores(
    terms: &Terms<'_>,
    running: &Candidate<'_>,
    best: &Candidate<'_>,
) -> (f64, f64) {
    (
        running.score_if(terms, 1.0 + DOUBT),
        best.score_if(terms, 1.0 - DOUBT),
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
