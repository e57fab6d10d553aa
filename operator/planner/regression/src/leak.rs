//! Memory that grows for ever, told apart from memory that grows until the longest text has come.

use serde::Serialize;

use crate::numeric::{float, mean, median};
use crate::ranks::normal_tail;

/// The share of samples that warm-up takes: the runtime's arena keeps its high-water mark.
const WARM_UP: usize = 3;
/// p of a trend that is no accident.
const TREND: f64 = 0.001;
/// Growth over this many requests must stay below this share of the limit.
const HORIZON: f64 = 100_000.0;
const SHARE: f64 = 0.10;
/// All pairs of samples are compared, so more than this are averaged first.
const SAMPLES: usize = 240;

/// What a soak run says about memory.
#[derive(Clone, Copy, Debug, PartialEq, Serialize)]
#[serde(rename_all = "camelCase")]
pub struct Leak {
    pub leaks: bool,
    /// One-sided p of no trend, Mann and Kendall's.
    pub p: f64,
    /// MiB per request, the smaller of the whole and the last half: a step early on is no leak.
    pub per_request: f64,
    /// Growth after 100,000 requests over the memory limit.
    pub share_of_limit: f64,
}

/// `resident` is the process's memory in MiB, one sample every `requests_per_sample` requests;
/// `limit` the pod's, in MiB. Run the longest texts first, so that the arena is full before it
/// counts. None with fewer than 12 samples, or a sample, step or limit that is no positive number.
///
/// A leak is a trend at p < 0.001 over the last two thirds whose slope (Theil and Sen's) would take
/// more than a tenth of the limit within 100,000 requests.
pub fn memory_leak(resident: &[f64], requests_per_sample: f64, limit: f64) -> Option<Leak> {
    let positive = |value: f64| value.is_finite() && value > 0.0;
    let usable = positive(requests_per_sample)
        && positive(limit)
        && resident.iter().all(|value| positive(*value));
    if resident.len() < 12 || !usable {
        return None;
    }
    let warm = &resident[resident.len() / WARM_UP..];
    let block = warm.len().div_ceil(SAMPLES);
    // A last block of fewer samples would weigh as much as a full one.
    let samples: Vec<f64> = warm.chunks_exact(block).map(mean).collect();
    let requests = requests_per_sample * float(block);
    let late = &samples[samples.len() / 2..];
    let per_request = slope(&samples).min(slope(late)) / requests;
    let p = trend(&samples);
    let share_of_limit = per_request * HORIZON / limit;
    Some(Leak {
        leaks: p < TREND && share_of_limit > SHARE,
        p,
        per_request,
        share_of_limit,
    })
}

/// One-sided p of no upward trend: Mann and Kendall's test, with the correction for ties.
fn trend(samples: &[f64]) -> f64 {
    let score: f64 = pairs(samples)
        .map(|(earlier, later, _)| {
            if later > earlier {
                1.0
            } else {
                -f64::from(later < earlier)
            }
        })
        .sum();
    let n = float(samples.len());
    let mut sorted = samples.to_vec();
    sorted.sort_by(f64::total_cmp);
    let ties: f64 = sorted
        .chunk_by(|a, b| a.total_cmp(b).is_eq())
        .map(|group| float(group.len()))
        .map(|t| t * (t - 1.0) * (2.0 * t + 5.0))
        .sum();
    let variance = (n * (n - 1.0) * (2.0 * n + 5.0) - ties) / 18.0;
    if variance > 0.0 && score > 0.0 {
        normal_tail((score - 1.0) / variance.sqrt())
    } else {
        1.0
    }
}

/// Theil and Sen's slope: the median over all pairs, per sample.
fn slope(samples: &[f64]) -> f64 {
    median(
        &mut pairs(samples)
            .map(|(earlier, later, distance)| (later - earlier) / distance)
            .collect::<Vec<_>>(),
    )
}

fn pairs(samples: &[f64]) -> impl Iterator<Item = (f64, f64, f64)> + '_ {
    samples.iter().enumerate().flat_map(|(i, &a)| {
        samples[i + 1..]
            .iter()
            .enumerate()
            .map(move |(k, &b)| (a, b, float(k + 1)))
    })
}

#[cfg(test)]
mod tests {
    use super::*;

    fn wobble(k: u32) -> f64 {
        f64::from(k * 7 % 11) / 5.0 - 1.0
    }

    #[test]
    fn steady_memory_is_no_leak() {
        let steady: Vec<f64> = (0..60).map(|k| 400.0 + wobble(k)).collect();
        assert!(!memory_leak(&steady, 10.0, 600.0).unwrap().leaks);
        assert!(!memory_leak(&[400.0; 60], 10.0, 600.0).unwrap().leaks);
    }

    #[test]
    fn an_arena_that_fills_early_is_no_leak() {
        let filling: Vec<f64> = (0..60)
            .map(|k| 400.0 + 5.0 * f64::from(k.min(18)) + wobble(k))
            .collect();
        assert!(!memory_leak(&filling, 10.0, 600.0).unwrap().leaks);
    }

    #[test]
    fn twenty_kib_a_request_is_a_leak() {
        let leaking: Vec<f64> = (0..60)
            .map(|k| 400.0 + f64::from(k) * 10.0 * 20.0 / 1024.0 + wobble(k))
            .collect();
        let leak = memory_leak(&leaking, 10.0, 600.0).unwrap();
        assert!(leak.leaks, "{leak:?}");
        assert!((leak.per_request * 1024.0 - 20.0).abs() < 3.0, "{leak:?}");
    }

    #[test]
    fn many_samples_are_averaged_and_say_the_same() {
        let leaking: Vec<f64> = (0..3000)
            .map(|k| 400.0 + f64::from(k) * 20.0 / 1024.0 + wobble(k))
            .collect();
        let leak = memory_leak(&leaking, 1.0, 600.0).unwrap();
        assert!(
            leak.leaks && (leak.per_request * 1024.0 - 20.0).abs() < 1.0,
            "{leak:?}"
        );
    }

    #[test]
    fn too_little_to_say() {
        assert_eq!(memory_leak(&[400.0; 11], 10.0, 600.0), None);
        assert_eq!(memory_leak(&[f64::NAN; 60], 10.0, 600.0), None);
        assert_eq!(memory_leak(&[400.0; 60], 0.0, 600.0), None);
    }
}
