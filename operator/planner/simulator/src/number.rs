//! Conversions between counts and floats.

/// Infinite above `u32::MAX`.
pub fn float(count: usize) -> f64 {
    u32::try_from(count).map_or(f64::INFINITY, f64::from)
}

/// Rounded down; 0 for a negative or NaN.
#[expect(
    clippy::cast_possible_truncation,
    clippy::cast_sign_loss,
    reason = "the cast saturates, which is what is documented"
)]
pub fn whole(value: f64) -> usize {
    value as usize
}
