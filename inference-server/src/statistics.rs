//! Statistics of measured times.

/// Converts a count; exact up to 2^53.
#[expect(clippy::cast_precision_loss, reason = "counts of requests and bytes")]
pub fn float(count: usize) -> f64 {
    count as f64
}

/// The values in ascending order.
pub fn sorted(values: impl IntoIterator<Item = f64>) -> Vec<f64> {
    let mut values: Vec<f64> = values.into_iter().collect();
    values.sort_by(f64::total_cmp);
    values
}

/// The quantile at `probability`, 0 to 1, of sorted values: linear between them (Hyndman and Fan's type 7). 0 of none.
pub fn quantile(sorted: &[f64], probability: f64) -> f64 {
    let Some(last) = sorted.len().checked_sub(1) else {
        return 0.0;
    };
    let place = probability.clamp(0.0, 1.0) * float(last);
    #[expect(
        clippy::cast_possible_truncation,
        clippy::cast_sign_loss,
        reason = "between 0 and the last index"
    )]
    let below = place.floor() as usize;
    let (low, high) = (sorted[below], sorted[(below + 1).min(last)]);
    low + (high - low) * (place - float(below))
}

/// 0 of none.
pub fn median(values: impl IntoIterator<Item = f64>) -> f64 {
    quantile(&sorted(values), 0.5)
}

/// Mean and standard deviation (n - 1); 0 of none.
pub fn mean_and_sd(values: &[f64]) -> (f64, f64) {
    if values.is_empty() {
        return (0.0, 0.0);
    }
    let mean = values.iter().sum::<f64>() / float(values.len());
    let squares: f64 = values.iter().map(|value| (value - mean).powi(2)).sum();
    let sd = (squares / float(values.len().saturating_sub(1).max(1))).sqrt();
    (mean, sd)
}

/// Standard deviation over mean; 0 of none.
pub fn variation(values: &[f64]) -> f64 {
    let (mean, sd) = mean_and_sd(values);
    if mean > 0.0 { sd / mean } else { 0.0 }
}

/// Half the range over the median; 0 of none.
pub fn half_range(values: &[f64]) -> f64 {
    let sorted = sorted(values.iter().copied());
    let (Some(least), Some(most)) = (sorted.first(), sorted.last()) else {
        return 0.0;
    };
    let median = quantile(&sorted, 0.5);
    if median > 0.0 {
        (most - least) / 2.0 / median
    } else {
        0.0
    }
}

/// A straight line `intercept + slope · x` with neither part below zero.
#[derive(Clone, Copy, Debug, Default, PartialEq)]
pub struct Line {
    pub intercept: f64,
    pub slope: f64,
    /// Standard deviation of what it leaves over.
    pub residual_sd: f64,
}

impl Line {
    /// The least-squares line through points (x, y); where one part would be below zero it is zero, and the other is
    /// fitted alone.
    pub fn fit(points: &[(f64, f64)]) -> Self {
        let n = float(points.len());
        if points.is_empty() {
            return Self::default();
        }
        let mean_x = points.iter().map(|point| point.0).sum::<f64>() / n;
        let mean_y = points.iter().map(|point| point.1).sum::<f64>() / n;
        let covariance: f64 = points
            .iter()
            .map(|(x, y)| (x - mean_x) * (y - mean_y))
            .sum();
        let squares: f64 = points.iter().map(|(x, _)| (x - mean_x).powi(2)).sum();
        let slope = if squares > 0.0 {
            covariance / squares
        } else {
            0.0
        };
        let (mut intercept, mut slope) = (mean_y - slope * mean_x, slope);
        if slope < 0.0 {
            (intercept, slope) = (mean_y, 0.0);
        } else if intercept < 0.0 {
            let products: f64 = points.iter().map(|(x, y)| x * y).sum();
            let squares: f64 = points.iter().map(|(x, _)| x * x).sum();
            (intercept, slope) = (
                0.0,
                if squares > 0.0 {
                    products / squares
                } else {
                    0.0
                },
            );
        }
        let line = Self {
            intercept: intercept.max(0.0),
            slope: slope.max(0.0),
            residual_sd: 0.0,
        };
        let left: f64 = points
            .iter()
            .map(|(x, y)| (y - line.intercept - line.slope * x).powi(2))
            .sum();
        Self {
            residual_sd: (left / (n - 2.0).max(1.0)).sqrt(),
            ..line
        }
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    fn near(left: f64, right: f64) {
        assert!((left - right).abs() < 1e-9, "{left} {right}");
    }

    #[test]
    fn quantiles_are_linear_between_the_values() {
        let values = sorted([4.0, 1.0, 3.0, 2.0]);
        near(quantile(&values, 0.0), 1.0);
        near(quantile(&values, 1.0), 4.0);
        near(quantile(&values, 0.5), 2.5);
        near(quantile(&values, 0.1), 1.3);
        near(quantile(&[7.0], 0.9), 7.0);
        near(quantile(&[], 0.9), 0.0);
    }

    #[test]
    fn spread() {
        near(variation(&[1.0, 3.0]), 2.0_f64.sqrt() / 2.0);
        near(half_range(&[9.0, 10.0, 12.0]), 0.15);
        near(mean_and_sd(&[]).0, 0.0);
        near(variation(&[5.0]), 0.0);
    }

    #[test]
    fn a_line_is_found_and_never_below_zero() {
        let line = Line::fit(&[(1.0, 3.0), (2.0, 5.0), (3.0, 7.0)]);
        near(line.intercept, 1.0);
        near(line.slope, 2.0);
        near(line.residual_sd, 0.0);
        let through_zero = Line::fit(&[(1.0, 1.0), (2.0, 4.0)]);
        near(through_zero.intercept, 0.0);
        near(through_zero.slope, 1.8);
        let falling = Line::fit(&[(1.0, 4.0), (2.0, 2.0)]);
        near(falling.intercept, 3.0);
        near(falling.slope, 0.0);
        assert_eq!(Line::fit(&[]), Line::default());
        near(Line::fit(&[(2.0, 3.0)]).intercept, 3.0);
    }
}
