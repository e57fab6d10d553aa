//! More failed requests than before.

use serde::Serialize;

/// At which "no more errors than before" is rejected.
const CHANCE: f64 = 0.01;

#[derive(Clone, Copy, Debug, PartialEq, Serialize)]
#[serde(rename_all = "camelCase")]
pub struct ErrorRate {
    pub worse: bool,
    pub baseline: f64,
    pub candidate: f64,
    /// One-sided p of Fisher's exact test.
    pub p: f64,
}

/// Errors among requests of both: Fisher's exact test, one-sided, at 1 %. None where one has no
/// requests or more errors than requests.
pub fn error_rate(baseline: (u32, u32), candidate: (u32, u32)) -> Option<ErrorRate> {
    let (base_errors, base_requests) = baseline;
    let (errors, requests) = candidate;
    if base_requests == 0 || requests == 0 || base_errors > base_requests || errors > requests {
        return None;
    }
    let all_errors = base_errors + errors;
    // P(the candidate has this many errors or more), all errors dealt out at random.
    let all_ways = log_choose(base_requests.saturating_add(requests), requests);
    let log_probability = |k: u32| {
        log_choose(all_errors, k)
            + log_choose(
                (base_requests.saturating_add(requests)) - all_errors,
                requests - k,
            )
            - all_ways
    };
    let p = (errors..=all_errors.min(requests))
        .map(|k| libm::exp(log_probability(k)))
        .sum::<f64>()
        .min(1.0);
    let rate = |errors: u32, requests: u32| f64::from(errors) / f64::from(requests);
    Some(ErrorRate {
        worse: p < CHANCE,
        baseline: rate(base_errors, base_requests),
        candidate: rate(errors, requests),
        p,
    })
}

/// ln of n over k; minus infinity where there is no such choice.
fn log_choose(n: u32, k: u32) -> f64 {
    if k > n {
        return f64::NEG_INFINITY;
    }
    let log_factorial = |n: u32| libm::lgamma(f64::from(n) + 1.0);
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
    fn no_requests_no_answer() {
        assert_eq!(error_rate((0, 0), (1, 2)), None);
        assert_eq!(error_rate((3, 2), (1, 2)), None);
    }
}
