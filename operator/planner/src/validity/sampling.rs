//! How well a level of few requests knows its 95th percentile.

use crate::profile::{Level, PROBABILITIES};

/// A level of fewer requests is not used: the largest of 19 values lies below the true 95th
/// percentile in 38 % of cases (`0.95^19`).
const FEWEST: u32 = 20;
/// From this many on, the policy's smallest derate covers the error: the largest of 59 values
/// bounds the true 95th percentile with 95 % confidence (`0.95^59 = 0.0485`).
const ENOUGH: u32 = 60;
/// The share of requests that an objective binds.
const QUANTILE: f64 = 0.95;

/// Whether a level has enough requests to be planned with.
pub(crate) const fn used(level: &Level) -> bool {
    enough(level.requests)
}

/// Whether so many requests are enough to be planned with.
pub(crate) const fn enough(requests: u32) -> bool {
    requests >= FEWEST
}

/// What few requests take off: the standard error of the 95th percentile of the time to first
/// audio, as a share of it; 0 from 60 requests on.
///
/// By Woodruff, "Confidence Intervals for Medians and Other Position Measures", Journal of the
/// American Statistical Association 47 (1952), 635-646: the share of requests below a quantile has
/// the standard error `δ = sqrt(p·(1 - p)/n)`, and the order statistics at p ± δ carry it over to
/// the times, `(Q(p + δ) - Q(p - δ)) / 2`. For 20 to 59 lognormal times with a coefficient of
/// variation of 0.35 or 0.6 this is 0.87 to 1.09 times the root mean square error that a simulation
/// finds. It assumes independent requests; the corpus is stratified by length, which makes the
/// error smaller.
pub(crate) fn p95_error(level: &Level) -> f64 {
    if level.requests >= ENOUGH {
        return 0.0;
    }
    let requests = f64::from(level.requests.max(1));
    let delta = (QUANTILE * (1.0 - QUANTILE) / requests).sqrt();
    let at_quantile = quantile(&level.ttfa_q, QUANTILE);
    if at_quantile <= 0.0 {
        return 0.0;
    }
    let spread =
        quantile(&level.ttfa_q, QUANTILE + delta) - quantile(&level.ttfa_q, QUANTILE - delta);
    spread / 2.0 / at_quantile
}

/// The value at probability p, straight between the stored ones.
fn quantile(values: &[f64], p: f64) -> f64 {
    let stored = || PROBABILITIES.iter().zip(values);
    let below = stored().rfind(|&(&at, _)| at <= p);
    let above = stored().find(|&(&at, _)| at > p);
    match (below, above) {
        (Some((from, low)), Some((to, high))) => low + (high - low) * (p - from) / (to - from),
        (Some((_, value)), None) | (None, Some((_, value))) => *value,
        (None, None) => 0.0,
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::profile::Profile;

    const PROFILE: &str = include_str!("../../tests/goldens/profile.json");

    fn level(requests: u32, value: fn(f64) -> f64) -> Level {
        let profile = Profile::from_json(PROFILE).unwrap();
        let mut level = profile.configs[0].levels[0].clone();
        level.requests = requests;
        level.ttfa_q = PROBABILITIES.map(value).to_vec();
        level
    }

    fn close(found: f64, expected: f64) {
        assert!(
            (found - expected).abs() <= 1e-9,
            "{found}, expected {expected}"
        );
    }

    #[test]
    fn uniform_times_err_as_the_share_does() {
        // Q(p) = p, so the error is δ/p.
        for requests in [20, 30, 59] {
            let delta = (0.95 * 0.05 / f64::from(requests)).sqrt();
            close(p95_error(&level(requests, |p| p)), delta / 0.95);
        }
    }

    #[test]
    fn the_estimate_is_the_error_that_samples_make() {
        // Knuth's linear congruential generator: the same samples on every machine.
        let mut state = 1_u64;
        let mut exponential = || {
            state = state
                .wrapping_mul(6_364_136_223_846_793_005)
                .wrapping_add(1_442_695_040_888_963_407);
            let upper = u32::try_from(state >> 32).unwrap_or(u32::MAX);
            -libm::log((f64::from(upper) + 0.5) / 4_294_967_296.0)
        };
        let truth = -libm::log(0.05);
        for (requests, count) in [(20_u32, 20_usize), (40, 40), (59, 59)] {
            let (mut squares, mut estimates) = (0.0, 0.0);
            let mut sample = level(requests, |_| 0.0);
            for _ in 0..2000 {
                let mut times: Vec<f64> = (0..count).map(|_| exponential()).collect();
                times.sort_by(f64::total_cmp);
                let last = f64::from(requests - 1);
                sample.ttfa_q = PROBABILITIES
                    .iter()
                    .map(|p| {
                        let place = p * last;
                        let below = crate::numeric::floor(place) as usize;
                        let above = (below + 1).min(count - 1);
                        times[below] + (times[above] - times[below]) * place.fract()
                    })
                    .collect();
                let found = quantile(&sample.ttfa_q, 0.95);
                squares += (found / truth - 1.0) * (found / truth - 1.0);
                estimates += p95_error(&sample);
            }
            let (error, estimate) = ((squares / 2000.0).sqrt(), estimates / 2000.0);
            assert!(
                (0.75..1.25).contains(&(estimate / error)),
                "{requests} requests: {estimate}, found {error}"
            );
        }
    }

    #[test]
    fn equal_times_have_no_error_and_enough_requests_need_no_allowance() {
        close(p95_error(&level(20, |_| 0.3)), 0.0);
        close(p95_error(&level(20, |_| 0.0)), 0.0);
        close(p95_error(&level(60, |p| p)), 0.0);
        assert!(!used(&level(19, |p| p)) && used(&level(20, |p| p)));
    }

    #[test]
    fn values_lie_straight_between_the_stored_ones() {
        let values = PROBABILITIES.map(|p| 2.0 * p);
        close(quantile(&values, 0.96), 1.92);
        close(quantile(&values, 1.1), 2.0);
        close(quantile(&values, -0.1), 0.0);
    }
}
