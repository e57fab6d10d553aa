//! More failed requests than before.

use serde::Serialize;

use crate::ranks::normal_tail;

/// At which "no more errors than before" is rejected.
const CHANCE: f64 = 0.01;
/// Errors up to which every outcome is counted.
const EXACT: f64 = 10_000.0;

#[derive(Clone, Copy, Debug, PartialEq, Serialize)]
#[serde(rename_all = "camelCase")]
pub struct ErrorRate {
    pub worse: bool,
    pub baseline: f64,
    pub candidate: f64,
    /// One-sided p of Fisher's exact test.
    pub p: f64,
}

/// Errors among requests of both: Fisher's exact test, one-sided, at 1 %; with more than 10,000 errors
/// its normal approximation. None where one has no requests or more errors than requests.
pub fn error_rate(baseline: (u32, u32), candidate: (u32, u32)) -> Option<ErrorRate> {
    let usable = |(errors, requests): (u32, u32)| requests > 0 && errors <= requests;
    if !usable(baseline) || !usable(candidate) {
        return None;
    }
    let (base_errors, base_requests) = (f64::from(baseline.0), f64::from(baseline.1));
    let (errors, requests) = (f64::from(candidate.0), f64::from(candidate.1));
    let all_errors = base_errors + errors;
    let all = base_requests + requests;
    let p = if all_errors > EXACT {
        let mean = all_errors * requests / all;
        let variance = mean * (1.0 - requests / all) * (all - all_errors) / (all - 1.0);
        normal_tail((errors - mean - 0.5) / variance.sqrt())
    } else {
        // P(the candidate has this many errors or more), all errors dealt out at random.
        let log_probability = |k: f64| {
            log_choose(all_errors, k) + log_choose(all - all_errors, requests - k)
                - log_choose(all, requests)
        };
        // At most 10,000 here, so the sum is exact.
        let most = baseline.0.saturating_add(candidate.0).min(candidate.1);
        (candidate.0..=most)
            .map(|k| libm::exp(log_probability(f64::from(k))))
            .sum::<f64>()
            .min(1.0)
    };
    Some(ErrorRate {
        worse: p < CHANCE,
        baseline: base_errors / base_requests,
        candidate: errors / requests,
        p,
    })
}

/// ln of n over k; minus infinity where there is no such choice.
fn log_choose(n: f64, k: f64) -> f64 {
    if k > n {
        return f64::NEG_INFINITY;
    }
    let log_factorial = |n: f64| libm::lgamma(n + 1.0);
    log_factorial(n) - log_factorial(k) - log_factorial(n - k)
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn by_hand() {
        // One of four against three of four: (C(4,3)·C(4,1) + C(4,4)·C(4,0)) / C(8,4) = 17/70.
        let found = error_rate((1, 4), (3, 4)).unwrap();
        assert!((found.p - 17.0 / 70.0).abs() < 1e-12, "{found:?}");
        assert!(!found.worse);
    }

    #[test]
    fn many_more_errors_are_worse_and_fewer_are_not() {
        assert!(error_rate((2, 1000), (20, 1000)).unwrap().worse);
        assert!(!error_rate((20, 1000), (2, 1000)).unwrap().worse);
        assert!((error_rate((0, 10), (0, 10)).unwrap().p - 1.0).abs() < 1e-12);
    }

    #[test]
    fn very_many_errors_are_no_more_work() {
        assert!(
            error_rate((1_000_000, u32::MAX), (1_100_000, u32::MAX))
                .unwrap()
                .worse
        );
        assert!(
            !error_rate((u32::MAX, u32::MAX), (u32::MAX, u32::MAX))
                .unwrap()
                .worse
        );
    }

    #[test]
    fn no_requests_no_answer() {
        assert_eq!(error_rate((0, 0), (1, 2)), None);
        assert_eq!(error_rate((3, 2), (1, 2)), None);
    }
}
