//! The tail of first audio, and cold starts.

use serde::Serialize;

use crate::numeric::{median, quantile};
use crate::sequence::Sequence;

/// A tail needs this many samples on either side.
const SAMPLES: usize = 100;
/// Slower than this, with confidence, is a regression of the tail.
const LIMIT: f64 = 1.10;
const RESAMPLES: usize = 1000;
/// Of more samples than this, the first stand for all in the bound: it gets wider, never wrong.
const RESAMPLED: usize = 2000;
/// One-sided confidence of the lower bound.
const BOUND: f64 = 0.05;
/// A start that takes longer by this is a regression of the start.
const COLD_START: f64 = 0.30;

#[derive(Clone, Copy, Debug, PartialEq, Serialize)]
#[serde(rename_all = "camelCase")]
pub struct TailRatio {
    pub worse: bool,
    /// Candidate over baseline, of the 95th percentiles.
    pub ratio: f64,
    /// 95 % lower bound of it.
    pub low: f64,
}

/// 95th percentiles of time to first audio, compared by resampling: worse when the ratio's 95 %
/// lower bound is above 1.10. None with fewer than 100 samples on a side, or a sample that is no
/// positive number.
pub fn first_audio_p95(base: &[f64], candidate: &[f64]) -> Option<TailRatio> {
    let usable = base
        .iter()
        .chain(candidate)
        .all(|value| value.is_finite() && *value > 0.0);
    if base.len() < SAMPLES || candidate.len() < SAMPLES || !usable {
        return None;
    }
    let ratio = quantile(&mut candidate.to_vec(), 0.95) / quantile(&mut base.to_vec(), 0.95);
    // A fixed sequence: the same samples give the same bound.
    let mut sequence = Sequence::new(1);
    let mut ratios: Vec<f64> = (0..RESAMPLES)
        .map(|_| {
            let mut resampled = |values: &[f64]| {
                let values = &values[..values.len().min(RESAMPLED)];
                let mut drawn: Vec<f64> = (0..values.len())
                    .map(|_| values[sequence.index(values.len())])
                    .collect();
                quantile(&mut drawn, 0.95)
            };
            resampled(candidate) / resampled(base)
        })
        .collect();
    let low = quantile(&mut ratios, BOUND);
    Some(TailRatio {
        worse: low > LIMIT,
        ratio,
        low,
    })
}

#[derive(Clone, Copy, Debug, PartialEq, Serialize)]
#[serde(rename_all = "camelCase")]
pub struct ColdStart {
    pub worse: bool,
    /// Candidate over baseline, of the medians.
    pub ratio: f64,
}

/// Seconds from a container's start to ready, a few of each: worse when the median grew by more
/// than 30 %. None without positive numbers on both sides.
pub fn cold_start(base: &[f64], candidate: &[f64]) -> Option<ColdStart> {
    let usable = base
        .iter()
        .chain(candidate)
        .all(|value| value.is_finite() && *value > 0.0);
    if base.is_empty() || candidate.is_empty() || !usable {
        return None;
    }
    let ratio = median(&mut candidate.to_vec()) / median(&mut base.to_vec());
    Some(ColdStart {
        worse: ratio > 1.0 + COLD_START,
        ratio,
    })
}

#[cfg(test)]
mod tests {
    use super::*;

    fn times(count: u32, factor: f64) -> Vec<f64> {
        (0..count)
            .map(|k| factor * (1.0 + f64::from(k * 37 % 101) / 100.0))
            .collect()
    }

    #[test]
    fn a_tail_that_grew_by_a_third_is_worse() {
        let found = first_audio_p95(&times(300, 1.0), &times(300, 1.33)).unwrap();
        assert!(
            found.worse && (found.ratio - 1.33).abs() < 1e-9,
            "{found:?}"
        );
        assert!(found.low < found.ratio);
        assert!(
            !first_audio_p95(&times(300, 1.0), &times(300, 1.0))
                .unwrap()
                .worse
        );
        assert_eq!(first_audio_p95(&times(99, 1.0), &times(300, 1.0)), None);
    }

    #[test]
    fn starts() {
        assert!(
            cold_start(&[4.0, 4.1, 9.0], &[5.4, 5.5, 5.6])
                .unwrap()
                .worse
        );
        assert!(!cold_start(&[4.0], &[5.0]).unwrap().worse);
        assert_eq!(cold_start(&[], &[5.0]), None);
    }
}
