//! When the requests of an open loop are due.

use rand::{RngExt as _, SeedableRng as _};
use rand_xoshiro::Xoshiro256PlusPlus;
use serde::{Deserialize, Serialize};

use super::{Limits, Texts, sample::count};

/// Keeps the order of the texts independent of the gaps.
const ORDER_SEED: u64 = 0x5eed_0f7e_0000_0001;

/// Which requests come when.
#[derive(Clone, Debug, PartialEq)]
pub enum Arrivals {
    /// Gaps of an exponential law with `rate` requests per second, and texts in shuffled rounds. The same seed gives the
    /// same arrivals.
    Poisson { rate: f64, seed: u64 },
    /// As recorded, sorted by `due`.
    Trace(Vec<Arrival>),
}

/// One request of a trace.
#[derive(Clone, Copy, Debug, PartialEq, Serialize, Deserialize)]
#[serde(rename_all = "camelCase", deny_unknown_fields)]
pub struct Arrival {
    /// From the start (s).
    pub due: f64,
    pub text_index: usize,
}

impl Arrivals {
    /// All requests within the limits; those of a trace up to the longest time.
    pub fn schedule(&self, texts: &Texts, limits: &Limits) -> Vec<Arrival> {
        let longest = limits.max_time.as_secs_f64();
        match self {
            Self::Trace(trace) => trace
                .iter()
                .copied()
                .filter(|arrival| (0.0..=longest).contains(&arrival.due))
                .collect(),
            Self::Poisson { rate, seed } => {
                if !(rate.is_finite() && *rate > 0.0) {
                    return Vec::new();
                }
                let mut random = Xoshiro256PlusPlus::seed_from_u64(*seed);
                let mut order = texts.order(seed ^ ORDER_SEED);
                let shortest = limits.min_time.as_secs_f64();
                let mut schedule = Vec::new();
                let mut due = 0.0;
                loop {
                    // The logarithm of 0 is not drawn.
                    due -= (1.0 - random.random::<f64>()).ln() / rate;
                    let enough = count(schedule.len()) >= limits.min_requests;
                    if due > longest || (enough && due > shortest) {
                        return schedule;
                    }
                    schedule.push(Arrival {
                        due,
                        text_index: order.next(),
                    });
                }
            }
        }
    }

    /// Requests per second that are offered.
    pub(super) fn rate(&self) -> f64 {
        match self {
            Self::Poisson { rate, .. } => *rate,
            Self::Trace(trace) => {
                let last = trace.last().map_or(0.0, |arrival| arrival.due);
                if last > 0.0 {
                    f64::from(count(trace.len())) / last
                } else {
                    0.0
                }
            }
        }
    }
}

#[cfg(test)]
mod tests {
    use std::time::Duration;

    use super::*;

    fn texts() -> Texts {
        Texts::new((0..5).map(|text| text.to_string()).collect()).unwrap()
    }

    fn limits(min_requests: u32, min: u64, max: u64) -> Limits {
        Limits {
            min_requests,
            min_time: Duration::from_secs(min),
            max_time: Duration::from_secs(max),
        }
    }

    fn poisson(rate: f64, limits: &Limits) -> Vec<Arrival> {
        Arrivals::Poisson { rate, seed: 7 }.schedule(&texts(), limits)
    }

    #[test]
    fn gaps_have_the_rate_and_the_spread_of_a_poisson_stream() {
        let schedule = poisson(20.0, &limits(0, 1000, 1000));
        let count = f64::from(u32::try_from(schedule.len()).unwrap());
        // Four standard deviations of a Poisson count of 20,000.
        assert!((count - 20_000.0).abs() < 566.0, "{count}");
        let gaps = schedule.windows(2).map(|pair| pair[1].due - pair[0].due);
        let squares: f64 = gaps.map(|gap| gap * gap).sum::<f64>() / count;
        // Of an exponential law, the mean square is twice the square of the mean.
        assert!((squares * 200.0 - 1.0).abs() < 0.1, "{squares}");
        for text in 0..5 {
            let share = schedule.iter().filter(|arrival| arrival.text_index == text);
            assert!(share.count().abs_diff(schedule.len() / 5) <= 1);
        }
    }

    #[test]
    fn the_same_seed_gives_the_same_arrivals() {
        let limits = limits(100, 0, 1000);
        let schedule = poisson(3.0, &limits);
        assert_eq!(schedule, poisson(3.0, &limits));
        let other = Arrivals::Poisson { rate: 3.0, seed: 8 }.schedule(&texts(), &limits);
        assert_ne!(schedule, other);
    }

    #[test]
    fn limits_end_the_schedule() {
        assert_eq!(poisson(10.0, &limits(50, 0, 1000)).len(), 50);
        assert!(poisson(10.0, &limits(1, 20, 1000)).len() > 100);
        let short = poisson(10.0, &limits(1000, 1, 2));
        assert!(short.len() < 100 && short.iter().all(|arrival| arrival.due <= 2.0));
        for rate in [0.0, f64::NAN, -1.0, f64::INFINITY] {
            assert!(poisson(rate, &limits(10, 1, 2)).is_empty(), "{rate}");
        }
    }

    #[test]
    fn a_trace_is_kept_up_to_the_longest_time() {
        let arrival = |due| Arrival { due, text_index: 4 };
        let trace = Arrivals::Trace([0.5, 1.0, 4.0].map(arrival).to_vec());
        assert_eq!(
            trace.schedule(&texts(), &limits(0, 0, 2)),
            [0.5, 1.0].map(arrival)
        );
        assert!((trace.rate() - 0.75).abs() < 1e-9);
    }
}
