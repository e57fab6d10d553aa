//! Counts, floats and rounding: each conversion in one place, saying what happens at its limits.

/// What a ratio may exceed a whole number by and still count as that number: the difference is
/// rounding noise, not demand, and must not buy a replica.
const NOISE: f64 = 1e-9;

/// A count as a float, exact: counts in this crate stay below 2^32.
pub(crate) fn float(count: usize) -> f64 {
    u32::try_from(count).map_or(f64::from(u32::MAX), f64::from)
}

/// Truncates to a whole number; below zero and NaN give 0, too large gives `u32::MAX`.
#[expect(
    clippy::cast_possible_truncation,
    clippy::cast_sign_loss,
    reason = "`as` saturates and sends NaN to 0, which is what callers are promised"
)]
pub(crate) fn whole(value: f64) -> u32 {
    value as u32
}

/// The smallest whole number not below `value`.
pub(crate) fn ceil(value: f64) -> u32 {
    whole(value.ceil())
}

/// [`ceil`], but a value above a whole number by rounding noise alone counts as that number.
pub(crate) fn ceil_above_noise(value: f64) -> u32 {
    ceil(value - NOISE)
}

/// The largest whole number not above `value`.
pub(crate) fn floor(value: f64) -> u32 {
    whole(value.floor())
}

/// What a quantity in whole units may be off by and still count as whole.
pub(crate) const NOISE_UNITS: f64 = 1e-6;
/// Parts of a core and of a MiB that Kubernetes counts: thousandths, and bytes.
pub(crate) const CPU_UNITS: f64 = 1000.0;
pub(crate) const MEMORY_UNITS: f64 = 1_048_576.0;

/// How often `asked` goes into `offered`, both in whole units of which there are `units` in 1: the quotient of two decimal
/// fractions may be below a whole number by rounding noise.
#[expect(
    clippy::cast_possible_truncation,
    clippy::cast_sign_loss,
    reason = "`as` saturates and sends NaN to 0"
)]
pub(crate) fn times(offered: f64, asked: f64, units: f64) -> u32 {
    let offered = (offered * units + NOISE_UNITS).floor() as u64;
    let asked = (asked * units - NOISE_UNITS).ceil() as u64;
    u32::try_from(offered / asked.max(1)).unwrap_or(u32::MAX)
}

/// `count` times what is asked, in whole units of which there are `units` in 1: the least of which
/// [`times`] is `count`.
pub(crate) fn times_in(count: f64, asked: f64, units: f64) -> f64 {
    count * (asked * units - NOISE_UNITS).ceil() / units
}

/// Rounds to significant decimal digits.
pub(crate) fn round_significant(value: f64, digits: usize) -> f64 {
    format!("{value:.*e}", digits.saturating_sub(1))
        .parse()
        .unwrap_or(value)
}

/// Rounds to decimal digits, correctly: through the decimal text, because multiplying by a power of
/// ten and back is off by one digit for values next to a half.
pub(crate) fn round(value: f64, digits: usize) -> f64 {
    format!("{value:.digits$}").parse().unwrap_or(value)
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn conversions_saturate_instead_of_failing() {
        assert_eq!(whole(-3.0), 0);
        assert_eq!(whole(f64::NAN), 0);
        assert_eq!(whole(1e300), u32::MAX);
        assert_eq!(ceil(f64::INFINITY), u32::MAX);
    }

    #[test]
    fn rounding_noise_buys_no_replica() {
        assert_eq!(
            ceil_above_noise(0.3 / 0.1),
            3,
            "0.3 / 0.1 is 2.9999999999999996"
        );
        assert_eq!(ceil_above_noise(4.000_000_000_01), 4);
        assert_eq!(ceil_above_noise(4.000_001), 5);
    }

    #[test]
    fn whole_units_divide_without_loss() {
        assert_eq!(floor(3.3 / 1.1), 2, "3.3 / 1.1 is 2.9999999999999996");
        assert_eq!(times(3.3, 1.1, CPU_UNITS), 3);
        assert_eq!(times(3.299, 1.1, CPU_UNITS), 2);
        assert_eq!(times(4000.0, 400.0, MEMORY_UNITS), 10);
        assert_eq!(times(1.0, 0.0, CPU_UNITS), 1000);
        assert_eq!(times(f64::NAN, 1.0, CPU_UNITS), 0);
    }

    #[test]
    fn significant_digits_do_not_depend_on_the_size() {
        for scale in [1e-12, 1.0, 1e12] {
            let (a, b) = (1.234_567_891_1 * scale, 1.234_567_891_2 * scale);
            assert_eq!(
                round_significant(a, 9).to_bits(),
                round_significant(b, 9).to_bits()
            );
            assert_ne!(
                round_significant(a, 11).to_bits(),
                round_significant(b, 11).to_bits()
            );
        }
        assert_eq!(round_significant(0.0, 9).to_bits(), 0.0_f64.to_bits());
    }

    #[test]
    fn rounding_is_the_decimal_one() {
        assert_eq!(
            round(2.675, 2).to_bits(),
            2.67_f64.to_bits(),
            "2.675 is stored below itself"
        );
        assert_eq!(round(0.25 + 0.1, 2).to_bits(), 0.35_f64.to_bits());
        assert!(round(f64::NAN, 2).is_nan());
    }
}
