//! Distributions of the time from the start of service to the first audio: of one voice, and of
//! several.

use crate::profile::{PROBABILITIES, QUANTILES};

/// Where [`PROBABILITIES`] is one half.
const MEDIAN: usize = 10;

/// The probability between two neighbouring quantiles.
const WIDTHS: [f64; QUANTILES - 1] = {
    let mut widths = [0.0; QUANTILES - 1];
    let mut index = 0;
    while index < QUANTILES - 1 {
        widths[index] = PROBABILITIES[index + 1] - PROBABILITIES[index];
        index += 1;
    }
    widths
};

/// Halvings in search of the median of several voices.
const MEDIAN_STEPS: usize = 60;

/// A distribution of times by its values at [`PROBABILITIES`], straight between them.
#[derive(Clone, Copy, Debug, PartialEq)]
pub struct Quantiles([f64; QUANTILES]);

impl Quantiles {
    /// The values must not go down.
    pub const fn new(values: [f64; QUANTILES]) -> Self {
        Self(values)
    }

    /// The same time, always.
    pub const fn constant(time: f64) -> Self {
        Self([time; QUANTILES])
    }

    /// The values, from the smallest to the largest.
    pub const fn values(&self) -> &[f64; QUANTILES] {
        &self.0
    }

    /// The middle value: what a typical request takes.
    pub const fn median(&self) -> f64 {
        self.0[MEDIAN]
    }

    /// The largest value.
    pub const fn largest(&self) -> f64 {
        self.0[QUANTILES - 1]
    }

    /// Each value times `factor`.
    #[must_use]
    pub fn scaled(mut self, factor: f64) -> Self {
        for value in &mut self.0 {
            *value *= factor;
        }
        self
    }

    /// The values between this and `other`, `share` of the way.
    #[must_use]
    pub fn towards(mut self, other: &Self, share: f64) -> Self {
        for (value, target) in self.0.iter_mut().zip(&other.0) {
            *value = *value * (1.0 - share) + target * share;
        }
        self
    }

    /// `P(F > x)`.
    pub fn exceeding(&self, x: f64) -> f64 {
        let above = self.0.partition_point(|&value| value <= x);
        if above == 0 {
            return 1.0;
        }
        let below = above - 1;
        match (self.0.get(below), self.0.get(above), WIDTHS.get(below)) {
            (Some(low), Some(high), Some(width)) => {
                1.0 - (PROBABILITIES[below] + width * (x - low) / (high - low))
            }
            _ => 0.0,
        }
    }

    /// `E[F >= x ? 1 : exp(-decay · (x - F))]`: the probability that F plus an exponential wait
    /// exceeds x. Exact, since F is uniform within each segment: there the integral is a difference
    /// of two exponentials.
    pub(crate) fn exceeding_after_wait(&self, x: f64, decay: f64) -> f64 {
        // 1 at and above x.
        let waited = |value: f64| {
            if value < x {
                libm::exp(-decay * (x - value))
            } else {
                1.0
            }
        };
        let mut low = self.0[0];
        let mut at_low = waited(low);
        let mut expected = 0.0;
        for (&high, &width) in self.0[1..].iter().zip(&WIDTHS) {
            let at_high = waited(high);
            if high <= low {
                expected += width * at_low;
            } else {
                // The part of the segment at or above x counts 1.
                let above = (high - low.max(x)).max(0.0) / (high - low);
                expected += width * (above + (at_high - at_low) / (decay * (high - low)));
            }
            (low, at_low) = (high, at_high);
        }
        expected
    }
}

/// The times of requests of several voices: the share of the requests that each voice has, and its
/// own times.
#[derive(Clone, Debug, PartialEq)]
pub struct Mixture(Vec<(f64, Quantiles)>);

impl From<Quantiles> for Mixture {
    fn from(times: Quantiles) -> Self {
        Self(vec![(1.0, times)])
    }
}

impl Mixture {
    /// The shares add up to 1.
    pub const fn new(parts: Vec<(f64, Quantiles)>) -> Self {
        Self(parts)
    }

    /// Each voice's share and times.
    pub fn parts(&self) -> &[(f64, Quantiles)] {
        &self.0
    }

    fn sum(&self, value: impl Fn(&Quantiles) -> f64) -> f64 {
        self.0
            .iter()
            .map(|(share, times)| share * value(times))
            .sum()
    }

    /// `P(F > x)`; 1 for no voice.
    pub fn exceeding(&self, x: f64) -> f64 {
        if self.0.is_empty() {
            1.0
        } else {
            self.sum(|times| times.exceeding(x))
        }
    }

    pub(crate) fn exceeding_after_wait(&self, x: f64, decay: f64) -> f64 {
        if self.0.is_empty() {
            1.0
        } else {
            self.sum(|times| times.exceeding_after_wait(x, decay))
        }
    }

    /// The time that half of the requests take at most (s), by bisection where voices differ;
    /// infinite for no voice.
    pub fn median(&self) -> f64 {
        match self.0.as_slice() {
            [] => f64::INFINITY,
            [(_, times)] => times.median(),
            parts => {
                let medians = || parts.iter().map(|(_, times)| times.median());
                let (mut low, mut high) = (
                    medians().fold(f64::INFINITY, f64::min),
                    medians().fold(0.0, f64::max),
                );
                for _ in 0..MEDIAN_STEPS {
                    let middle = f64::midpoint(low, high);
                    if middle <= low || middle >= high {
                        break;
                    }
                    if self.exceeding(middle) > 0.5 {
                        low = middle;
                    } else {
                        high = middle;
                    }
                }
                high
            }
        }
    }

    /// The largest value of any voice (s).
    pub fn largest(&self) -> f64 {
        let largest = self.0.iter().map(|(_, times)| times.largest());
        largest.fold(0.0, f64::max)
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    fn close(found: f64, expected: f64) {
        assert!(
            (found - expected).abs() <= 1e-9,
            "{found}, expected {expected}"
        );
    }

    /// Uniform from `from` to `from` + 1.
    fn uniform(from: f64) -> Quantiles {
        Quantiles::new(PROBABILITIES.map(|probability| from + probability))
    }

    #[test]
    fn tails_of_quantiles() {
        let uniform = uniform(2.0);
        close(uniform.exceeding(1.9), 1.0);
        close(uniform.exceeding(2.25), 0.75);
        close(uniform.exceeding(2.98), 0.02);
        close(uniform.exceeding(3.0) + 1.0, 1.0);
        close(uniform.median(), 2.5);
        // ∫ exp(-3·(4 - u)) du over 2..3 is (e^-3 - e^-6) / 3.
        close(
            uniform.exceeding_after_wait(4.0, 3.0),
            ((-3.0_f64).exp() - (-6.0_f64).exp()) / 3.0,
        );
        // Half above x; below it the mean of exp(-3·(2.5 - u)) over 2..2.5.
        close(
            uniform.exceeding_after_wait(2.5, 3.0),
            0.5 + (1.0 - (-1.5_f64).exp()) / 3.0,
        );
    }

    #[test]
    fn a_mixture_is_its_voices_by_their_shares() {
        let (fast, slow) = (uniform(0.0), uniform(4.0));
        let mixture = Mixture::new(vec![(0.75, fast), (0.25, slow)]);
        close(mixture.exceeding(0.5), 0.75 * 0.5 + 0.25);
        close(mixture.exceeding(2.0), 0.25);
        close(mixture.exceeding(4.8), 0.25 * 0.2);
        // Two thirds of the fast voice's requests are half of all.
        close(mixture.median(), 2.0 / 3.0);
        close(mixture.largest(), 5.0);
        let (x, decay) = (4.5, 2.0);
        close(
            mixture.exceeding_after_wait(x, decay),
            0.75 * fast.exceeding_after_wait(x, decay) + 0.25 * slow.exceeding_after_wait(x, decay),
        );
        let alone = Mixture::from(fast);
        close(alone.median(), fast.median());
        close(alone.exceeding(0.25), fast.exceeding(0.25));
    }

    #[test]
    fn nobody_is_served_by_no_voice() {
        let none = Mixture::new(Vec::new());
        close(none.exceeding(1e9), 1.0);
        assert!(none.median().is_infinite());
    }
}
