//! Streams of requests of several voices.

use rand::{RngExt, SeedableRng};
use rand_distr::{Distribution, Gamma};
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
