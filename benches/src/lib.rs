//! Benchmarks: each compares two things in one run.
//!
//! The machines they run on are noisy, so the two take turns, and what counts is the ratio of a
//! pair. [`compare`] does that for all of them.
use std::time::{Duration, Instant};

/// One round's times of both sides.
#[derive(Clone, Copy, Debug)]
pub struct Pair {
    pub a: Duration,
    pub b: Duration,
}

/// Runs `a` and `b` in turns, `rounds` times after one round that does not count. Which of them
/// goes first alternates, so that neither always finds the warmer caches.
pub fn compare(rounds: usize, mut a: impl FnMut(), mut b: impl FnMut()) -> Vec<Pair> {
    (0..=rounds)
        .map(|round| {
            if round % 2 == 0 {
                let a = time(&mut a);
                Pair { a, b: time(&mut b) }
            } else {
                let b = time(&mut b);
                Pair { a: time(&mut a), b }
            }
        })
        .skip(1)
        .collect()
}

fn time(work: &mut impl FnMut()) -> Duration {
    let start = Instant::now();
    work();
    start.elapsed()
}

/// The middle value; of an even number of values, the upper one of the middle two. 0 for none.
pub fn median(values: impl IntoIterator<Item = f64>) -> f64 {
    let mut values: Vec<f64> = values.into_iter().collect();
    values.sort_by(f64::total_cmp);
    values.get(values.len() / 2).copied().unwrap_or(0.0)
}

/// Prints the medians of both sides and of the ratio a/b, pair by pair.
pub fn report(name_a: &str, name_b: &str, pairs: &[Pair]) {
    let ratios = pairs.iter().map(|p| p.a.as_secs_f64() / p.b.as_secs_f64());
    let (mut low, mut high) = (f64::INFINITY, 0.0_f64);
    for ratio in ratios.clone() {
        low = low.min(ratio);
        high = high.max(ratio);
    }
    let milliseconds = |side: fn(&Pair) -> Duration| {
        median(pairs.iter().map(|pair| side(pair).as_secs_f64() * 1e3))
    };
    println!("a: {name_a}: median {:.1} ms", milliseconds(|p| p.a));
    println!("b: {name_b}: median {:.1} ms", milliseconds(|p| p.b));
    println!(
        "a/b: median {:.3}, from {low:.3} to {high:.3}, {} pairs",
        median(ratios),
        pairs.len()
    );
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn the_sides_take_turns_at_going_first_and_the_first_round_does_not_count() {
        let order = std::cell::RefCell::new(String::new());
        let pairs = compare(
            2,
            || order.borrow_mut().push('a'),
            || order.borrow_mut().push('b'),
        );
        assert_eq!(pairs.len(), 2);
        assert_eq!(order.into_inner(), "abbaab");
    }

    #[test]
    fn the_median_is_in_the_middle() {
        assert!((median([9.0, 1.0, 2.0]) - 2.0).abs() < f64::EPSILON);
        assert!(median([]).abs() < f64::EPSILON);
    }
}
