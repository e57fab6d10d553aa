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
    /// Audio-seconds per chunk, of which a request speaks one per turn; None: each request is served whole.
    pub turn: Option<f64>,
}

/// One text.
#[derive(Clone, Copy, Debug, PartialEq)]
pub struct Request {
    /// Which of the voices; 0 where there is one.
    pub voice: usize,
    /// When it comes (s).
    pub arrival: f64,
    /// Seconds of service alone on the pod, in all and to the first audio.
    pub service: f64,
    pub first_audio: f64,
    /// Turns, at least one: the first takes until the first audio, the others take equal parts of the rest. A request with
    /// one is served whole.
    pub turns: u32,
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
        let texts = Texts::new(self);
        let mut now = 0.0;
        (0..count)
            .map(|_| {
                now += gap(&mut random);
                texts.request(now, &mut random)
            })
            .collect()
    }
}

/// Draws texts of a voice.
pub(crate) struct Texts {
    work: Work,
    log_normal: Option<LogNormal<f64>>,
    gamma: Option<Gamma<f64>>,
    chunk: Option<LogNormal<f64>>,
    noise: Option<Normal<f64>>,
}

impl Texts {
    pub(crate) fn new(work: &Work) -> Self {
        let (mean, cv) = (work.mean_audio, work.audio_cv);
        let shape = 1.0 / (cv * cv);
        let random = |length| cv > 0.0 && work.length == length;
        Self {
            work: *work,
            log_normal: random(Length::LogNormal)
                .then(|| log_normal(mean, cv))
                .flatten(),
            gamma: random(Length::Gamma)
                .then(|| Gamma::new(shape, mean / shape).ok())
                .flatten(),
            chunk: work.chunk.and_then(|(mean, cv)| log_normal(mean, cv)),
            // The noise has mean one.
            noise: Normal::new(-work.noise * work.noise / 2.0, work.noise).ok(),
        }
    }

    /// The next text, of voice 0.
    pub(crate) fn request(&self, arrival: f64, random: &mut Xoshiro256PlusPlus) -> Request {
        let Work { s0, s1, f0, f1, .. } = self.work;
        let audio = match (self.log_normal, self.gamma) {
            (Some(law), _) => law.sample(random),
            (None, Some(law)) => law.sample(random),
            (None, None) => self.work.mean_audio,
        };
        let noise = self.noise.map_or(1.0, |noise| noise.sample(random).exp());
        let service = (s0 + s1 * audio) * noise;
        let first_audio = self.chunk.map_or(service, |chunk| {
            ((f0 + f1 * chunk.sample(random)) * noise).min(service)
        });
        Request {
            voice: 0,
            arrival,
            service,
            first_audio,
            turns: self.work.turn.map_or(1, |turn| rounded(audio / turn)),
        }
    }
}

/// The nearest whole number, at least one.
fn rounded(value: f64) -> u32 {
    (1..=1000)
        .find(|n| f64::from(*n) + 0.5 > value)
        .unwrap_or(1000)
}

/// By its mean and coefficient of variation.
fn log_normal(mean: f64, cv: f64) -> Option<LogNormal<f64>> {
    let variance = (1.0 + cv * cv).ln();
    LogNormal::new(mean.ln() - variance / 2.0, variance.sqrt()).ok()
}
