//! How fast one thread of this machine is, measured with nothing but our own code: tells machines of one name apart, and
//! a machine from itself at another time.

use std::{
    hint::black_box,
    time::{Duration, Instant},
};

const SIDE: usize = 96;
/// How long one measurement takes at least.
const SHORTEST: Duration = Duration::from_millis(150);
const COPIED: usize = 64 << 20;

/// Speed of one thread.
#[derive(Clone, Copy, Debug, PartialEq)]
pub struct Speed {
    /// A product of small matrices (GFLOP/s).
    pub gflops: f64,
    /// Copying memory that fits no cache (GB/s, read and written).
    pub gigabytes_per_second: f64,
}

/// Measures this thread; takes about half a second.
pub fn speed() -> Speed {
    Speed {
        gflops: gflops(),
        gigabytes_per_second: bandwidth(),
    }
}

fn product(left: &[f32], right: &[f32], out: &mut [f32]) {
    for (row, out) in left.chunks_exact(SIDE).zip(out.chunks_exact_mut(SIDE)) {
        out.fill(0.0);
        for (factor, right) in row.iter().zip(right.chunks_exact(SIDE)) {
            for (out, value) in out.iter_mut().zip(right) {
                *out += factor * value;
            }
        }
    }
}

fn gflops() -> f64 {
    let values: Vec<f32> = (0_u8..=250)
        .cycle()
        .take(SIDE * SIDE)
        .map(|n| f32::from(n) / 250.0)
        .collect();
    let mut out = vec![0.0; SIDE * SIDE];
    #[expect(clippy::cast_precision_loss, reason = "below two million")]
    let operations = (2 * SIDE * SIDE * SIDE) as f64;
    let mut best = 0.0_f64;
    let begun = Instant::now();
    while begun.elapsed() < SHORTEST {
        let started = Instant::now();
        for _ in 0..8 {
            product(black_box(&values), black_box(&values), &mut out);
            black_box(&mut out);
        }
        best = best.max(8.0 * operations / started.elapsed().as_secs_f64() / 1e9);
    }
    best
}

fn bandwidth() -> f64 {
    let from = vec![1_u8; COPIED];
    let mut to = vec![0_u8; COPIED];
    #[expect(clippy::cast_precision_loss, reason = "128 MiB")]
    let bytes = (2 * COPIED) as f64;
    let mut best = 0.0_f64;
    let begun = Instant::now();
    while begun.elapsed() < SHORTEST {
        let started = Instant::now();
        to.copy_from_slice(black_box(&from));
        black_box(&mut to);
        best = best.max(bytes / started.elapsed().as_secs_f64() / 1e9);
    }
    best
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn the_product_is_a_matrix_product() {
        let identity: Vec<f32> = (0..SIDE * SIDE)
            .map(|index| {
                if index / SIDE == index % SIDE {
                    1.0
                } else {
                    0.0
                }
            })
            .collect();
        let values: Vec<f32> = (0_u8..=250)
            .cycle()
            .take(SIDE * SIDE)
            .map(f32::from)
            .collect();
        let mut out = vec![9.0; SIDE * SIDE];
        product(&identity, &values, &mut out);
        assert_eq!(out, values);
        product(&values, &identity, &mut out);
        assert_eq!(out, values);
    }

    #[test]
    fn speeds_are_positive() {
        let speed = speed();
        assert!(
            speed.gflops > 0.0 && speed.gigabytes_per_second > 0.0,
            "{speed:?}"
        );
    }
}
