//! Executors that take several requests at once.
//!
//! A batch of B takes `S_B(B) = α + β·B` seconds for requests of mean length, and as long as its
//! longest member: with lengths that vary by 60 %, eight at once gain 1.66x where equal lengths
//! would gain 3.3x. Capacity must therefore be measured on mixed lengths, and requests of like
//! length belong together.

use serde::Serialize;

use crate::numeric::{float, quantile};
use crate::sequence::Sequence;

/// The longest a request waits for company: 50 ms or a tenth of the promise.
const WINDOW: f64 = 0.050;
const WINDOW_SHARE: f64 = 0.1;
/// Below this utilisation a window only adds its own length; above it a busy executor collects a
/// batch anyway.
const QUIET: f64 = 0.3;
/// Arrivals of the simulation that gives a p95.
const ARRIVALS: usize = 20_000;

/// An executor's batches.
#[derive(Clone, Copy, Debug, PartialEq, Serialize)]
pub struct Batches {
    /// α and β of `S_B(b) = α + β·b` (s), for requests of mean length.
    pub alpha: f64,
    pub beta: f64,
    /// Coefficient of variation of the lengths.
    pub length_cv: f64,
}

/// A batch size and what it does.
#[derive(Clone, Copy, Debug, PartialEq, Serialize)]
#[serde(rename_all = "camelCase")]
pub struct BatchChoice {
    pub size: u32,
    /// s.
    pub window: f64,
    /// `X_eff`, requests per second.
    pub rate: f64,
    /// mB.
    pub padding: f64,
    /// `window + 2·S_B(B)·mB`: what first audio stays below (s).
    pub bound: f64,
    /// Whether the two-batch rule was found to hold here (within 3 %): from 8 on, up to 70 %
    /// utilisation, or 80 % where lengths vary by at most 30 %. Elsewhere ask [`Batches::p95`].
    pub bound_holds: bool,
}

impl Batches {
    /// `S_B(b)` (s).
    pub fn service(&self, size: u32) -> f64 {
        self.alpha + self.beta * f64::from(size)
    }

    /// `mB = E[longest of B] / mean` for lognormal lengths:
    /// `∫ B·Φ(z)^(B-1)·φ(z)·exp(σz - σ²/2) dz`, by the trapezoid rule. Where a padding was
    /// measured, that one counts.
    pub fn padding(&self, size: u32) -> f64 {
        const REACH: f64 = 10.0;
        const STEPS: u32 = 400;
        let sigma = libm::log(1.0 + self.length_cv * self.length_cv).sqrt();
        let step = 2.0 * REACH / f64::from(STEPS);
        let density = |k: u32| {
            let z = f64::from(k) * step - REACH;
            let below = 0.5 * libm::erfc(-z / std::f64::consts::SQRT_2);
            let all_below = libm::pow(below, f64::from(size) - 1.0);
            let log_weight = sigma * z - 0.5 * (sigma * sigma + z * z);
            f64::from(size) * all_below * libm::exp(log_weight) / std::f64::consts::TAU.sqrt()
        };
        (0..=STEPS).map(density).sum::<f64>() * step
    }

    /// `X_eff(B) = B / (S_B(B)·mB)`, requests per second.
    pub fn rate(&self, size: u32) -> f64 {
        f64::from(size) / (self.service(size) * self.padding(size))
    }

    /// The largest of `sizes` with `window + 2·S_B(B)·mB <= promise`: one batch is running, the
    /// next is the request's own. None when not even the smallest keeps it, or there is none above
    /// zero.
    pub fn choose(&self, sizes: &[u32], promise: f64, utilisation: f64) -> Option<BatchChoice> {
        let window = if utilisation < QUIET {
            0.0
        } else {
            WINDOW.min(WINDOW_SHARE * promise)
        };
        let most_busy = if self.length_cv <= 0.3 { 0.8 } else { 0.7 };
        let choices = sizes.iter().filter(|&&size| size > 0).map(|&size| {
            let padding = self.padding(size);
            let bound = window + 2.0 * self.service(size) * padding;
            let bound_holds = size >= 8 && utilisation <= most_busy;
            BatchChoice {
                size,
                window,
                rate: self.rate(size),
                padding,
                bound,
                bound_holds,
            }
        });
        choices
            .filter(|choice| choice.bound <= promise)
            .max_by_key(|choice| choice.size)
    }

    /// The 95th percentile of time to first audio (s) of one executor at `rate` requests per
    /// second, first audio at the batch's end: a batch starts when the executor is free and either
    /// `size` wait or the oldest has waited for `window`. Simulated with a fixed sequence of 20,000
    /// Poisson arrivals, the same every time.
    pub fn p95(&self, size: u32, window: f64, rate: f64) -> f64 {
        let mut sequence = Sequence::new(2);
        let log_variance = libm::log(1.0 + self.length_cv * self.length_cv);
        let mut now = 0.0;
        let requests: Vec<(f64, f64)> = (0..ARRIVALS)
            .map(|_| {
                now += sequence.exponential() / rate;
                (
                    now,
                    libm::exp(log_variance.sqrt() * sequence.normal() - log_variance / 2.0),
                )
            })
            .collect();
        let size = usize::try_from(size).unwrap_or(usize::MAX).max(1);
        let mut free = 0.0;
        let mut times = Vec::with_capacity(ARRIVALS);
        let mut waiting = requests.as_slice();
        while let Some(&(oldest, _)) = waiting.first() {
            let latest_start = f64::max(free, oldest + window);
            let count = waiting
                .iter()
                .take(size)
                .take_while(|(arrival, _)| *arrival <= latest_start)
                .count()
                .max(1);
            let (batch, rest) = waiting.split_at(count);
            // A full batch does not wait for its window.
            let filled = batch.last().map_or(latest_start, |(arrival, _)| *arrival);
            let start = if count == size {
                f64::max(free.max(oldest), filled)
            } else {
                latest_start
            };
            let longest = batch.iter().map(|(_, length)| *length).fold(0.0, f64::max);
            free = start + (self.alpha + self.beta * float(count)) * longest;
            times.extend(batch.iter().map(|(arrival, _)| free - arrival));
            waiting = rest;
        }
        // The empty executor at the start is no steady state.
        quantile(&mut times.split_off(ARRIVALS / 10), 0.95)
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    fn close(found: f64, expected: f64, digits: f64) {
        assert!(
            (found - expected).abs() <= digits,
            "{found}, expected {expected}"
        );
    }

    const fn batches(length_cv: f64) -> Batches {
        Batches {
            alpha: 0.8,
            beta: 0.2,
            length_cv,
        }
    }

    #[test]
    fn padding_grows_with_size_and_spread() {
        close(batches(0.0).padding(8), 1.0, 1e-6);
        close(batches(0.3).padding(1), 1.0, 1e-6);
        for (size, expected) in [(4, 1.32), (8, 1.48), (16, 1.63)] {
            close(batches(0.3).padding(size), expected, 0.01);
        }
        close(batches(0.6).padding(4), 1.64, 0.02);
        close(batches(0.6).padding(8), 2.01, 0.02);
    }

    #[test]
    fn mixed_lengths_halve_the_gain() {
        let gain = |length_cv| batches(length_cv).rate(8) / batches(length_cv).rate(1);
        close(gain(0.0), 3.33, 0.01);
        close(gain(0.3), 2.25, 0.03);
        close(gain(0.6), 1.66, 0.03);
    }

    #[test]
    fn the_largest_batch_that_keeps_the_promise() {
        let chosen = batches(0.3).choose(&[1, 2, 4, 8, 16], 8.0, 0.6).unwrap();
        assert_eq!(chosen.size, 8, "{chosen:?}");
        assert!(chosen.bound_holds && chosen.bound <= 8.0);
        close(chosen.window, 0.05, 1e-12);
        close(
            batches(0.3).choose(&[8], 8.0, 0.1).unwrap().window,
            0.0,
            1e-12,
        );
        assert_eq!(batches(0.3).choose(&[1, 2], 1.0, 0.5), None);
        assert!(!batches(0.3).choose(&[4], 8.0, 0.5).unwrap().bound_holds);
    }

    #[test]
    fn the_two_batch_rule_holds_where_it_is_said_to() {
        let executor = batches(0.3);
        let chosen = executor.choose(&[8], 10.0, 0.7).unwrap();
        let p95 = executor.p95(8, chosen.window, 0.7 * executor.rate(8));
        assert!(p95 <= 1.03 * chosen.bound, "{p95} against {}", chosen.bound);
        assert!(
            p95 > 0.5 * chosen.bound,
            "{p95}: the bound would say nothing"
        );
    }

    #[test]
    fn one_at_a_time_is_a_single_server() {
        // M/D/1 at half load: the mean wait is half a service, so p95 lies between one and four
        // services.
        let executor = Batches {
            alpha: 0.0,
            beta: 1.0,
            length_cv: 0.0,
        };
        let p95 = executor.p95(1, 0.0, 0.5);
        assert!(p95 > 2.0 && p95 < 4.0, "{p95}");
    }
}
