//! Slowly slower: a change point in a series of nightly results.

use serde::Serialize;

use crate::numeric::{float, mean, variance};

/// The latest nights that are looked at, and the fewest on either side of a change.
const WINDOW: usize = 40;
const SEGMENT: usize = 4;
/// A change that is no accident, and one that matters.
const CHANCE: f64 = 0.001;
const MAGNITUDE: f64 = 0.03;

/// A lasting change for the slower.
#[derive(Clone, Copy, Debug, PartialEq, Serialize)]
#[serde(rename_all = "camelCase")]
pub struct Shift {
    /// Index in the series of the first night after the change.
    pub at: usize,
    /// Mean after over mean before.
    pub ratio: f64,
    pub p: f64,
}

/// Splits the last 40 values where the two parts differ most (the energy statistic of E-divisive
/// means) and reports the split if Student's t finds it at p < 0.001 and the part after is slower
/// by more than 3 %.
///
/// One in fourteen quiet 48-night series has such a split by chance: worth a warning, never a
/// rollback.
pub fn slow_drift(nights: &[f64]) -> Option<Shift> {
    let first = nights.len().saturating_sub(WINDOW);
    let window = &nights[first..];
    if window.len() < 2 * SEGMENT
        || window
            .iter()
            .any(|value| !(value.is_finite() && *value > 0.0))
    {
        return None;
    }
    let splits = SEGMENT..=window.len() - SEGMENT;
    // Of equal splits the first.
    let at = splits
        .map(|at| (at, energy(window, at)))
        .reduce(|best, split| if split.1 > best.1 { split } else { best })?
        .0;
    let (before, after) = window.split_at(at);
    let ratio = mean(after) / mean(before);
    let p = t_test(before, after);
    (p < CHANCE && ratio - 1.0 > MAGNITUDE).then_some(Shift {
        at: first + at,
        ratio,
        p,
    })
}

/// `n·m/(n + m) · (2·E|A - B| - E|A - A'| - E|B - B'|)`.
fn energy(window: &[f64], at: usize) -> f64 {
    let (a, b) = window.split_at(at);
    let (n, m) = (float(a.len()), float(b.len()));
    let distance = |x: &[f64], y: &[f64]| {
        x.iter()
            .flat_map(|p| y.iter().map(move |q| (p - q).abs()))
            .sum::<f64>()
    };
    let between = 2.0 * distance(a, b) / (n * m);
    n * m / (n + m)
        * (between - distance(a, a) / (n * (n - 1.0)) - distance(b, b) / (m * (m - 1.0)))
}

/// Two-sided p of equal means, equal variances assumed. Equal samples differ by nothing, whatever
/// their spread.
fn t_test(a: &[f64], b: &[f64]) -> f64 {
    let (n, m) = (float(a.len()), float(b.len()));
    let freedom = n + m - 2.0;
    let pooled = ((n - 1.0) * variance(a) + (m - 1.0) * variance(b)) / freedom;
    let difference = mean(a) - mean(b);
    if difference == 0.0 {
        return 1.0;
    }
    let t_squared = difference * difference / (pooled * (1.0 / n + 1.0 / m));
    // With no spread at all t is infinite and any difference is certain.
    incomplete_beta(freedom / 2.0, 0.5, 1.0 / (1.0 + t_squared / freedom))
}

/// The regularised incomplete beta function `I_x(a, b)`, by its continued fraction (Lentz's
/// method).
fn incomplete_beta(alpha: f64, beta: f64, x: f64) -> f64 {
    if x <= 0.0 {
        return 0.0;
    }
    if x >= 1.0 {
        return 1.0;
    }
    // The fraction converges fast only on this side of the mean.
    if x > (alpha + 1.0) / (alpha + beta + 2.0) {
        return 1.0 - incomplete_beta(beta, alpha, 1.0 - x);
    }
    let log_beta = libm::lgamma(alpha) + libm::lgamma(beta) - libm::lgamma(alpha + beta);
    let log_front = alpha * libm::log(x) + beta * libm::log1p(-x) - log_beta;
    libm::exp(log_front) / alpha * beta_fraction(alpha, beta, x)
}

fn beta_fraction(alpha: f64, beta: f64, x: f64) -> f64 {
    const TINY: f64 = 1e-300;
    let away_from_zero = |value: f64| if value.abs() < TINY { TINY } else { value };
    let sum = alpha + beta;
    let mut numerator = 1.0;
    let mut denominator = 1.0 / away_from_zero(1.0 - sum * x / (alpha + 1.0));
    let mut fraction = denominator;
    for step in 1..200_u32 {
        let step = f64::from(step);
        let odd = alpha + 2.0 * step;
        for term in [
            step * (beta - step) * x / ((odd - 1.0) * odd),
            -(alpha + step) * (sum + step) * x / (odd * (odd + 1.0)),
        ] {
            denominator = 1.0 / away_from_zero(1.0 + term * denominator);
            numerator = away_from_zero(1.0 + term / numerator);
            fraction *= numerator * denominator;
        }
        if (numerator * denominator - 1.0).abs() < 1e-14 {
            break;
        }
    }
    fraction
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn t_tests_as_published() {
        // scipy.stats.ttest_ind([1,2,3,4], [3,4,5,7]): t = -2.1019..., p = 0.08026...
        let p = t_test(&[1.0, 2.0, 3.0, 4.0], &[3.0, 4.0, 5.0, 7.0]);
        assert!((p - 0.080_261_326_218_972_15).abs() < 1e-9, "{p}");
        assert!(t_test(&[1.0; 4], &[2.0; 4]) < 1e-12);
        assert!((t_test(&[1.0; 4], &[1.0; 4]) - 1.0).abs() < 1e-12);
    }

    fn series(nights: u32, change: u32, factor: f64) -> Vec<f64> {
        let night = |k: u32| 1.0 + 0.02 * (f64::from(k * 7 % 11) / 5.0 - 1.0);
        (0..nights)
            .map(|k| night(k) * if k >= change { factor } else { 1.0 })
            .collect()
    }

    #[test]
    fn a_lasting_change_is_found_where_it_is() {
        let shift = slow_drift(&series(40, 30, 1.08)).unwrap();
        assert_eq!(shift.at, 30);
        assert!((shift.ratio - 1.08).abs() < 0.02, "{shift:?}");
    }

    #[test]
    fn only_the_last_forty_nights_count() {
        assert_eq!(slow_drift(&series(100, 90, 1.08)).unwrap().at, 90);
        assert_eq!(slow_drift(&series(100, 20, 1.5)), None);
    }

    #[test]
    fn quiet_faster_and_short_series_are_fine() {
        assert_eq!(slow_drift(&series(40, 40, 1.0)), None);
        assert_eq!(slow_drift(&series(40, 30, 0.9)), None);
        assert_eq!(slow_drift(&series(7, 3, 2.0)), None);
        assert_eq!(slow_drift(&[f64::NAN; 20]), None);
    }
}
