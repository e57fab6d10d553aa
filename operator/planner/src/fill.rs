//! One peak over several node classes.

use crate::candidates::Candidate;
use crate::choice::{Field, alternative};
use crate::numeric::ceil_above_noise;
use crate::plan::{Fill, Share};
use crate::request::Request;

/// Fills classes in order of cost per audio-hour until the peak is covered: one Deployment and one
/// autoscaler a class. An integer program over load buckets does better with many classes and
/// loads; at this size it is not needed.
///
/// None when no class keeps the objectives at all. `uncovered` is above zero when all classes
/// together are too few.
pub(crate) fn fill(request: &Request, field: &Field<'_>) -> Option<Fill> {
    let mean_audio = request.load.mean_audio;
    let mut best: Vec<&Candidate<'_>> = Vec::new();
    let mut all: Vec<&Candidate<'_>> = field.feasible.iter().chain(&field.too_many).collect();
    all.sort_by(|a, b| {
        let cost = |candidate: &Candidate<'_>| candidate.cost_per_audio_hour(mean_audio);
        cost(a)
            .total_cmp(&cost(b))
            .then_with(|| a.class.name.cmp(&b.class.name))
            .then_with(|| a.profile.id.cmp(&b.profile.id))
            .then(a.shape.config.cpu.total_cmp(&b.shape.config.cpu))
            .then(a.shape.config.threads.cmp(&b.shape.config.threads))
    });
    for candidate in all {
        if candidate.limit > 0
            && !best
                .iter()
                .any(|known| known.class.name == candidate.class.name)
        {
            best.push(candidate);
        }
    }
    let mut uncovered = request.load.peak_rps();
    // The user's limit is for all classes together.
    let mut allowed = request.policy.max_replicas.unwrap_or(u32::MAX);
    let mut shares = Vec::new();
    for candidate in best {
        let replicas = ceil_above_noise(uncovered / candidate.rate)
            .min(candidate.limit)
            .min(allowed);
        if replicas == 0 {
            break;
        }
        let rate = uncovered.min(f64::from(replicas) * candidate.rate);
        uncovered -= rate;
        allowed -= replicas;
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
                alternative: alternative(candidate, mean_audio),
                replicas,
                rate,
            })
            .collect(),
    })
}
