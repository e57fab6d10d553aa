//! Sample statistics, and the conversions between counts and floats.

/// A count as a float, exact: counts in this crate stay below 2^32.
pub(crate) fn float(count: usize) -> f64 {
    u32::try_from(count).map_or(f64::from(u32::MAX), f64::from)
}

/// Truncates to an index; below zero and NaN give 0, too large gives `usize::MAX`.
#[expect(
    clippy::cast_possible_truncation,
    clippy::cast_sign_loss,
    reason = "`as` saturates and sends NaN to 0, which is what callers are promised"
)]
pub(crate) fn index(position: f64) -> usize {
    position as usize
}

/// The middle value, or the mean of the two middle ones; 0 for none. Sorts its input.
pub(crate) fn median(values: &mut [f64]) -> f64 {
    values.sort_by(f64::total_cmp);
    let middle = values.len() / 2;
    match (values.len() % 2, values.get(middle)) {
        (_, None) => 0.0,
        (1, Some(&value)) => value,
        (_, Some(&upper)) => f64::midpoint(
            values.get(middle.wrapping_sub(1)).copied().unwrap_or(upper),
            upper,
        ),
    }
}

/// The quantile by linear interpolation between order statistics; 0 for none. Sorts its input.
pub(crate) fn quantile(values: &mut [f64], q: f64) -> f64 {
    values.sort_by(f64::total_cmp);
    let position = q * float(values.len().saturating_sub(1));
    let below = index(position);
    let at = |index: usize| values.get(index).or(values.last()).copied().unwrap_or(0.0);
    at(below) + (at(below + 1) - at(below)) * position.fract()
}

/// The arithmetic mean; 0 for no values.
pub(crate) fn mean(values: &[f64]) -> f64 {
    if values.is_empty() {
        0.0
    } else {
        values.iter().sum::<f64>() / float(values.len())
    }
}

/// The variance of a sample (divided by n - 1); 0 for fewer than two values.
pub(crate) fn variance(values: &[f64]) -> f64 {
    if values.len() < 2 {
        return 0.0;
    }
    let centre = mean(values);
    values
        .iter()
        .map(|value| (value - centre) * (value - centre))
        .sum::<f64>()
        / float(values.len() - 1)
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn indices_saturate_instead_of_failing() {
        assert_eq!(index(2.9), 2);
        assert_eq!(index(-3.0), 0);
        assert_eq!(index(f64::NAN), 0);
        assert_eq!(index(f64::INFINITY), usize::MAX);
    }

    #[test]
    fn medians_of_odd_even_and_nothing() {
        assert_eq!(median(&mut [3.0, 1.0, 2.0]).to_bits(), 2.0_f64.to_bits());
        assert_eq!(median(&mut [4.0, 1.0]).to_bits(), 2.5_f64.to_bits());
        assert_eq!(median(&mut []).to_bits(), 0.0_f64.to_bits());
    }

    #[test]
    fn quantiles_lie_between_order_statistics() {
        assert!((quantile(&mut [3.0, 1.0, 2.0], 0.5) - 2.0).abs() < 1e-12);
        assert!((quantile(&mut [1.0, 2.0], 0.95) - 1.95).abs() < 1e-12);
        assert!((quantile(&mut [1.0], 1.0) - 1.0).abs() < 1e-12);
        assert!(quantile(&mut [], 0.5).abs() < 1e-12);
    }
}
