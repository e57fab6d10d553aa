//! Numbers as a profile has them.

use tts_planner::profile::Clock;

use crate::statistics::{median, variation};

/// Digits that a measurement is worth writing down with.
const DIGITS: i32 = 6;

/// To [`DIGITS`] significant digits: a profile is read by people and kept in git.
pub fn round(value: f64) -> f64 {
    if value == 0.0 || !value.is_finite() {
        return value;
    }
    #[expect(clippy::cast_possible_truncation, reason = "a decimal exponent")]
    let magnitude = value.abs().log10().floor() as i32;
    let factor = 10_f64.powi(DIGITS - 1 - magnitude);
    (value * factor).round() / factor
}

/// `None` where the clock was not told.
pub fn clock(clocks: &[f64]) -> Option<Clock> {
    (!clocks.is_empty()).then(|| Clock {
        median: round(median(clocks.iter().copied())),
        cv: round(variation(clocks)),
    })
}
