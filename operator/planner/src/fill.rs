//! One peak over several node classes.

use crate::candidates::Candidate;
use crate::field::{Field, place};
use crate::numeric::ceil_above_noise;
use crate::plan::{Alternative, Fill, Share};
use crate::request::Request;

/// Fills classes in order of cost per audio-hour until the peak is covered: one Deployment and one
/// autoscaler per class. An integer program over load buckets does better with many classes and
/// loads; at this size it is not needed.
///
/// None when no class keeps the objectives at all. `uncovered` is above zero when all classes
/// together are too few.
pub(crate) fn fill(request: &Request, field: &Field<'_>) -> Option<Fill> {
    let mean_audio = request.load.mean_audio;
    let mut all: Vec<&Candidate<'_>> = field.feasible.iter().chain(&field.too_many).collect();
    all.sort_by(|a, b| {
        let cost = |candidate: &Candidate<'_>| candidate.cost_per_audio_hour(mean_audio);
        cost(a).total_cmp(&cost(b)).then_with(|| place(a, b))
    });
    let mut best: Vec<&Candidate<'_>> = Vec::new();
    for candidate in all {
        let known = |known: &&Candidate<'_>| known.of.class.name == candidate.of.class.name;
        if candidate.limit > 0 && !best.iter().any(known) {
            best.push(candidate);
        }
    }
    let mut uncovered = request.load.peak_rps();
    // The user's limit and the quota are for all classes together.
    let mut allowed = request.policy.max_replicas.unwrap_or(u32::MAX);
    let mut quota = request.quota;
    let mut shares = Vec::new();
    for candidate in best {
        let replicas = ceil_above_noise(uncovered / candidate.rate)
            .min(candidate.node_limit)
            .min(candidate.ask.in_quota(&quota))
            .min(allowed);
        if replicas == 0 {
            continue;
        }
        let rate = uncovered.min(f64::from(replicas) * candidate.rate);
        uncovered -= rate;
        allowed -= replicas;
        quota = candidate.ask.taken_from(quota, replicas);
        shares.push((candidate, replicas, rate));
    }
    (!shares.is_empty()).then(|| Fill {
        uncovered,
        cost_per_hour: shares
            .iter()
            .map(|(candidate, replicas, _)| f64::from(*replicas) * candidate.pod_price)
            .sum(),
        shares: shares
            .into_iter()
            .map(|(candidate, replicas, rate)| Share {
                alternative: Alternative::of(candidate, mean_audio),
                replicas,
                rate,
            })
            .collect(),
    })
}
