//! What arrives: texts of random length and the work they are.

use rand::SeedableRng;
use rand_distr::{Distribution, Exp, Gamma, LogNormal, Normal};
use rand_xoshiro::Xoshiro256PlusPlus;

/// The law of the lengths.
#[derive(Clone, Copy, Debug, PartialEq)]
pub enum Length {
    LogNormal,
    Gamma,
}

/// Texts and how long they take to speak, alone on the pod.
#[derive(Clone, Copy, Debug)]
pub struct Work {
    /// Mean length (audio-seconds) and its coefficient of variation.
    pub mean_audio: f64,
    pub audio_cv: f64,
    pub length: Length,
    /// Service: `s0 + s1·audio` (s).
    pub s0: f64,
    pub s1: f64,
    /// First audio: `f0 + f1·first chunk` (s), never after the end.
    pub f0: f64,
    pub f1: f64,
    /// Mean and coefficient of variation of the first chunk (audio-seconds); None: first audio at
    /// the end.
    pub chunk: Option<(f64, f64)>,
    /// Coefficient of variation of equal requests.
    pub noise: f64,
}

/// One text.
#[derive(Clone, Copy, Debug, PartialEq)]
pub struct Request {
    /// When it comes (s).
    pub arrival: f64,
    /// Seconds of service alone on the pod, in all and to the first audio.
    pub service: f64,
    pub first_audio: f64,
}

impl Work {
    /// `count` requests of a Poisson stream of `rate` per second.
    pub fn arrivals(&self, rate: f64, count: usize, seed: u64) -> Vec<Request> {
        let gap = Exp::new(rate).ok();
        self.requests(count, seed, |random| {
            gap.map_or(0.0, |gap| gap.sample(random))
        })
    }

    /// [`Work::arrivals`] with gamma-distributed gaps whose squared coefficient of variation is
    /// `gap_cv2`: above 1 requests come in bursts, below 1 they are steadier than a Poisson stream.
    pub fn renewal_arrivals(
        &self,
        rate: f64,
        gap_cv2: f64,
        count: usize,
        seed: u64,
    ) -> Vec<Request> {
        let gap = Gamma::new(1.0 / gap_cv2, gap_cv2 / rate).ok();
        self.requests(count, seed, |random| {
            gap.map_or(0.0, |gap| gap.sample(random))
        })
    }

    fn requests(
        &self,
        count: usize,
        seed: u64,
        gap: impl Fn(&mut Xoshiro256PlusPlus) -> f64,
    ) -> Vec<Request> {
        let mut random = Xoshiro256PlusPlus::seed_from_u64(seed);
        let chunk = self.chunk.map(|(mean, cv)| log_normal(mean, cv));
        let length = self.lengths();
        // The noise has mean one.
        let noise = Normal::new(-self.noise * self.noise / 2.0, self.noise).ok();
        let mut now = 0.0;
        (0..count)
            .map(|_| {
                now += gap(&mut random);
                let audio = length(&mut random);
                let noise = noise.map_or(1.0, |noise| noise.sample(&mut random).exp());
                let service = (self.s0 + self.s1 * audio) * noise;
                let first_audio = chunk.map_or(service, |chunk| {
                    let first = chunk.map_or(0.0, |chunk| chunk.sample(&mut random));
                    ((self.f0 + self.f1 * first) * noise).min(service)
                });
                Request {
                    arrival: now,
                    service,
                    first_audio,
                }
            })
            .collect()
    }

    fn lengths(&self) -> impl Fn(&mut Xoshiro256PlusPlus) -> f64 + use<> {
        let (mean, cv) = (self.mean_audio, self.audio_cv);
        let log_normal = (cv > 0.0 && self.length == Length::LogNormal)
            .then(|| log_normal(mean, cv))
            .flatten();
        let shape = 1.0 / (cv * cv);
        let gamma = (cv > 0.0 && self.length == Length::Gamma)
            .then(|| Gamma::new(shape, mean / shape).ok())
            .flatten();
        move |random| match (log_normal, gamma) {
            (Some(law), _) => law.sample(random),
            (None, Some(law)) => law.sample(random),
            (None, None) => mean,
        }
    }
}

/// By its mean and coefficient of variation.
fn log_normal(mean: f64, cv: f64) -> Option<LogNormal<f64>> {
    let variance = (1.0 + cv * cv).ln();
    LogNormal::new(mean.ln() - variance / 2.0, variance.sqrt()).ok()
}
