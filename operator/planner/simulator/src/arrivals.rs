//! Streams of requests of several voices, at a constant rate or one that varies in time.

use rand::{RngExt, SeedableRng};
use rand_distr::{Distribution, Exp, Gamma};
use rand_xoshiro::Xoshiro256PlusPlus;

use crate::work::Texts;
use crate::{Request, Work};

/// [`Work::renewal_arrivals`] of several voices: each request is of voice `v` with probability
/// weight `v` over the sum of weights, independent of the others. None where all weights are zero.
pub fn mixed_arrivals(
    mix: &[(f64, Work)],
    rate: f64,
    gap_cv2: f64,
    count: usize,
    seed: u64,
) -> Vec<Request> {
    let gap = Gamma::new(1.0 / gap_cv2, gap_cv2 / rate).ok();
    let mut random = Xoshiro256PlusPlus::seed_from_u64(seed);
    let mut mix = Mix::new(mix, &random);
    let mut now = 0.0;
    (0..count)
        .filter_map(|_| {
            now += gap.map_or(0.0, |gap| gap.sample(&mut random));
            mix.request(now, &mut random)
        })
        .collect()
}

/// A rate of requests that varies in time.
#[derive(Clone, Debug, PartialEq)]
pub struct Rate {
    /// (Time in s, requests per second).
    points: Vec<(f64, f64)>,
}

impl Rate {
    /// Straight between points (time in s, requests per second) in order of time; two at the same
    /// time are a step. Zero before the first and after the last.
    pub fn through(points: Vec<(f64, f64)>) -> Self {
        Self { points }
    }

    /// `from` for `before` seconds, a straight line to `to` within `seconds`, `to` for `after`
    /// seconds.
    pub fn ramp(from: f64, to: f64, before: f64, seconds: f64, after: f64) -> Self {
        let top = before + seconds;
        Self::through(vec![
            (0.0, from),
            (before, from),
            (top, to),
            (top + after, to),
        ])
    }

    /// `from` for `before` seconds, then `to` for `after` seconds.
    pub fn step(from: f64, to: f64, before: f64, after: f64) -> Self {
        Self::ramp(from, to, before, 0.0, after)
    }

    /// Requests per second at a time; at a step the rate after it.
    pub fn at(&self, time: f64) -> f64 {
        let after = self.points.partition_point(|&(at, _)| at <= time);
        let from = after.checked_sub(1).and_then(|at| self.points.get(at));
        match (from, self.points.get(after)) {
            (Some(from), Some(to)) => from.1 + (to.1 - from.1) * (time - from.0) / (to.0 - from.0),
            _ => 0.0,
        }
    }

    /// When the last requests come (s).
    pub fn end(&self) -> f64 {
        self.points.last().map_or(0.0, |&(time, _)| time)
    }

    /// A Poisson stream of this rate, of voices as in [`mixed_arrivals`]: a stream of the highest
    /// rate of which each request is kept with probability `rate/highest` (thinning; Lewis and
    /// Shedler 1979).
    pub fn arrivals(&self, mix: &[(f64, Work)], seed: u64) -> Vec<Request> {
        let rates = self.points.iter().map(|&(_, rate)| rate);
        let highest = rates.fold(0.0, f64::max);
        let Some(gap) = Exp::new(highest).ok().filter(|_| highest > 0.0) else {
            return Vec::new();
        };
        let mut random = Xoshiro256PlusPlus::seed_from_u64(seed);
        let mut mix = Mix::new(mix, &random);
        let mut now = self.points.first().map_or(0.0, |&(time, _)| time);
        let mut requests = Vec::new();
        loop {
            now += gap.sample(&mut random);
            if now >= self.end() {
                return requests;
            }
            if random.random::<f64>() * highest < self.at(now) {
                requests.extend(mix.request(now, &mut random));
            }
        }
    }
}

/// Texts of several voices.
struct Mix {
    /// (Sum of the weights up to and with the voice, its texts).
    voices: Vec<(f64, Texts)>,
    /// Which voice comes next, apart from the random numbers of gaps and texts: a mix of one voice
    /// is then that voice's stream, and so is a mix of equal voices.
    random: Xoshiro256PlusPlus,
}

impl Mix {
    fn new(mix: &[(f64, Work)], random: &Xoshiro256PlusPlus) -> Self {
        let mut random = random.clone();
        random.jump();
        let mut sum = 0.0;
        let voices = mix
            .iter()
            .map(|(weight, work)| {
                sum += weight;
                (sum, Texts::new(work))
            })
            .collect();
        Self { voices, random }
    }

    fn request(&mut self, arrival: f64, random: &mut Xoshiro256PlusPlus) -> Option<Request> {
        let sum = self.voices.last().map_or(0.0, |(sum, _)| *sum);
        let drawn = self.random.random::<f64>() * sum;
        let voice = self.voices.partition_point(|(up_to, _)| *up_to <= drawn);
        let (_, texts) = self.voices.get(voice)?;
        Some(Request {
            voice,
            ..texts.request(arrival, random)
        })
    }
}
