//! A fixed sequence that looks random, for resampling. The same every time.

use crate::numeric::{float, index};

/// `SplitMix64` (Steele, Lea and Flood, 2014).
pub(crate) struct Sequence(u64);

impl Sequence {
    pub const fn new(seed: u64) -> Self {
        Self(seed)
    }

    fn next(&mut self) -> u64 {
        self.0 = self.0.wrapping_add(0x9e37_79b9_7f4a_7c15);
        let mut mixed = self.0;
        mixed = (mixed ^ (mixed >> 30)).wrapping_mul(0xbf58_476d_1ce4_e5b9);
        mixed = (mixed ^ (mixed >> 27)).wrapping_mul(0x94d0_49bb_1331_11eb);
        mixed ^ (mixed >> 31)
    }

    /// Below `count`; 0 when there is nothing to choose from.
    pub fn index(&mut self, count: usize) -> usize {
        let high = u32::try_from(self.next() >> 32).unwrap_or(u32::MAX);
        let uniform = (f64::from(high) + 0.5) / 4_294_967_296.0;
        index(uniform * float(count)).min(count.saturating_sub(1))
    }
}
