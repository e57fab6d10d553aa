//! Rank statistics. Normal approximations with continuity and tie corrections: at the levels used
//! here they are on the safe side of the exact tails from 10 samples on.

use crate::numeric::{float, index, median};

/// P(Z > z) of the standard normal distribution.
pub(crate) fn normal_tail(z: f64) -> f64 {
    0.5 * libm::erfc(z / std::f64::consts::SQRT_2)
}

/// The two-sided 95 % point of the standard normal distribution.
const Z95: f64 = 1.959_963_984_540_054;

/// Ranks from 1, ties sharing their mean; and Σ (t³ - t) over groups of ties.
fn ranks(values: &[f64]) -> (Vec<f64>, f64) {
    let mut order: Vec<usize> = (0..values.len()).collect();
    order.sort_by(|&a, &b| values[a].total_cmp(&values[b]));
    let mut ranks = vec![0.0; values.len()];
    let mut ties = 0.0;
    let mut first = 0;
    for group in order.chunk_by(|&a, &b| values[a].total_cmp(&values[b]).is_eq()) {
        let size = float(group.len());
        let rank = float(first) + f64::midpoint(1.0, size);
        for &index in group {
            ranks[index] = rank;
        }
        ties += size * size * size - size;
        first += group.len();
    }
    (ranks, ties)
}

/// One-sided p that the differences lie above `shift`: Wilcoxon's signed-rank test. 1 without a
/// difference.
pub(crate) fn signed_rank_above(differences: &[f64], shift: f64) -> f64 {
    let shifted: Vec<f64> = differences
        .iter()
        .map(|d| d - shift)
        .filter(|&d| d != 0.0)
        .collect();
    let n = float(shifted.len());
    let (ranks, ties) = ranks(&shifted.iter().map(|d| d.abs()).collect::<Vec<_>>());
    let positive: f64 = shifted
        .iter()
        .zip(&ranks)
        .filter(|(d, _)| **d > 0.0)
        .map(|(_, rank)| rank)
        .sum();
    let variance = n * (n + 1.0) * (2.0 * n + 1.0) / 24.0 - ties / 48.0;
    if variance <= 0.0 {
        return 1.0;
    }
    normal_tail((positive - n * (n + 1.0) / 4.0 - 0.5) / variance.sqrt())
}

/// One-sided p that `candidate` lies above `base + shift`: Mann and Whitney's test. 1 without
/// samples.
pub(crate) fn mann_whitney_above(base: &[f64], candidate: &[f64], shift: f64) -> f64 {
    let (n, m) = (float(base.len()), float(candidate.len()));
    let all: Vec<f64> = base
        .iter()
        .map(|value| value + shift)
        .chain(candidate.iter().copied())
        .collect();
    let (ranks, ties) = ranks(&all);
    let above = ranks.iter().skip(base.len()).sum::<f64>() - m * (m + 1.0) / 2.0;
    let total = n + m;
    let variance = n * m / 12.0 * (total + 1.0 - ties / (total * (total - 1.0)));
    if variance.is_nan() || variance <= 0.0 {
        return 1.0;
    }
    normal_tail((above - n * m / 2.0 - 0.5) / variance.sqrt())
}

/// Estimates compare all samples with all: of more than this, evenly spaced ones stand for the rest.
const COMPARED: usize = 1000;

fn thinned(values: &[f64]) -> Vec<f64> {
    let step = values.len().div_ceil(COMPARED).max(1);
    values.iter().copied().step_by(step).collect()
}

/// A shift and its 95 % interval.
#[derive(Clone, Copy, Debug, PartialEq)]
pub(crate) struct Estimate {
    pub shift: f64,
    pub low: f64,
    pub high: f64,
}

/// Hodges and Lehmann's estimate of the centre of paired differences: the median of all means of
/// two.
pub(crate) fn hodges_lehmann_paired(differences: &[f64]) -> Estimate {
    let differences = thinned(differences);
    let n = float(differences.len());
    let means = differences.iter().enumerate().flat_map(|(i, a)| {
        differences
            .iter()
            .skip(i)
            .map(move |b| f64::midpoint(*a, *b))
    });
    let deviation = (n * (n + 1.0) * (2.0 * n + 1.0) / 24.0).sqrt();
    estimate(means.collect(), deviation)
}

/// Hodges and Lehmann's estimate of the shift between two samples: the median of all differences.
pub(crate) fn hodges_lehmann_unpaired(base: &[f64], candidate: &[f64]) -> Estimate {
    let (base, candidate) = (thinned(base), thinned(candidate));
    let (n, m) = (float(base.len()), float(candidate.len()));
    let differences = candidate
        .iter()
        .flat_map(|c| base.iter().map(move |b| c - b));
    estimate(differences.collect(), (n * m * (n + m + 1.0) / 12.0).sqrt())
}

/// The median, and the order statistics that the test's own distribution leaves between its 2.5 %
/// points.
fn estimate(mut values: Vec<f64>, deviation: f64) -> Estimate {
    let shift = median(&mut values);
    let outside = (float(values.len()) / 2.0 - Z95 * deviation).max(0.0);
    let outside = index(outside).min(values.len().saturating_sub(1));
    let low = values.get(outside).copied().unwrap_or(shift);
    let high = values.iter().rev().nth(outside).copied().unwrap_or(shift);
    Estimate { shift, low, high }
}

#[cfg(test)]
mod tests {
    use super::*;

    fn close(found: f64, expected: f64) {
        assert!(
            (found - expected).abs() <= 1e-6,
            "{found}, expected {expected}"
        );
    }

    #[test]
    fn the_normal_tail() {
        close(normal_tail(0.0), 0.5);
        close(normal_tail(1.959_964), 0.025);
        close(normal_tail(-1.959_964), 0.975);
    }

    #[test]
    fn ties_share_their_rank() {
        assert_eq!(
            ranks(&[3.0, 1.0, 3.0, 2.0]),
            (vec![3.5, 1.0, 3.5, 2.0], 6.0)
        );
    }

    #[test]
    fn signed_ranks_by_hand() {
        // All ten positive: W = 55, mean 27.5, variance 96.25.
        let differences: Vec<f64> = (1..=10).map(f64::from).collect();
        close(
            signed_rank_above(&differences, 0.0),
            normal_tail((55.0 - 27.5 - 0.5) / 96.25_f64.sqrt()),
        );
        close(signed_rank_above(&[], 0.0), 1.0);
        close(signed_rank_above(&[0.5, 0.5], 0.5), 1.0);
    }

    #[test]
    fn mann_whitney_by_hand() {
        // U = 9 of 9, mean 4.5, variance 3·3·7/12.
        let p = mann_whitney_above(&[1.0, 2.0, 3.0], &[4.0, 5.0, 6.0], 0.0);
        close(p, normal_tail((9.0 - 4.5 - 0.5) / 5.25_f64.sqrt()));
        close(mann_whitney_above(&[1.0], &[], 0.0), 1.0);
        close(mann_whitney_above(&[2.0, 2.0], &[2.0, 2.0], 0.0), 1.0);
    }

    #[test]
    fn centres_and_their_intervals() {
        let paired = hodges_lehmann_paired(&[1.0, 2.0, 4.0]);
        close(paired.shift, f64::midpoint(2.0, 2.5));
        assert!(paired.low <= paired.shift && paired.shift <= paired.high);
        let unpaired = hodges_lehmann_unpaired(&[1.0, 2.0, 3.0], &[11.0, 12.0, 13.0]);
        close(unpaired.shift, 10.0);
        close(hodges_lehmann_paired(&[]).shift, 0.0);
        // Ten thousand samples are no hundred million differences.
        let many: Vec<f64> = (0..10_000).map(f64::from).collect();
        assert!((hodges_lehmann_unpaired(&many, &many).shift).abs() < 10.0);
        assert!((hodges_lehmann_paired(&many).shift - 5000.0).abs() < 10.0);
    }
}
