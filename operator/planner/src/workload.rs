//! From the levels of a measured pod shape to X(n), F(n) and RTF(n) for the texts of this load; and
//! from several voices to one pod that serves them all.

use crate::first_audio::{Mixture, Quantiles};
use crate::neighbours::{Beside, UNMEASURED};
use crate::profile::{Config, Level, Profile, QUANTILES};
use crate::request::Load;

/// How one pod shape serves one voice, by number in service from 1.
#[derive(Clone, Debug, PartialEq)]
pub struct ServiceCurve {
    /// X(n), requests per second.
    pub rates: Vec<f64>,
    /// F(n), seconds from start of service to first audio.
    pub first_audio: Vec<Quantiles>,
    /// p95 of the real-time factor.
    pub rtf_p95: Vec<f64>,
    /// cs², the squared coefficient of variation of the service time.
    pub service_cv2: f64,
    /// Turns that a request takes, on average; 1: each is served whole.
    pub turns: f64,
}

impl ServiceCurve {
    /// Levels are straight lines in X between measured n and are never continued beyond the last.
    ///
    /// The corpus is not the load: X is scaled by `(s0 + s1·ā_corpus) / (s0 + s1·ā_load)`, the
    /// ratio of mean service times. F is scaled alike only when the first audio is the whole
    /// request; a streaming server's first chunk does not grow with the request.
    ///
    /// RTF is service per audio-second, `(s0 + s1·a) / a` for a text of a seconds: scaled by its
    /// value at `ā_load` over that at `ā_corpus`, so shorter texts have a larger one. Both sets of
    /// lengths count as equally varied.
    ///
    /// `cs² = (s1·ā·c_a / (s0 + s1·ā))² + noise²`: the variation of the lengths, as far as service
    /// grows with length, and that of equal requests.
    ///
    /// Turns are the chunks of a text of the corpus, more for longer texts: `max(1, chunks·ā_load / ā_corpus)`.
    pub fn new(config: &Config, profile: &Profile, load: &Load) -> Self {
        let corpus_mean = profile.corpus.mean_audio;
        let service = |audio: f64| config.s0 + config.s1 * audio;
        let scale = service(corpus_mean) / service(load.mean_audio);
        let first_audio_scale = if profile.streaming { 1.0 } else { 1.0 / scale };
        let rtf_scale = corpus_mean / load.mean_audio / scale;
        let largest = config.levels.last().map_or(0, |level| level.n);
        let mut curve = Self {
            rates: Vec::new(),
            first_audio: Vec::new(),
            rtf_p95: Vec::new(),
            service_cv2: 0.0,
            turns: profile.corpus.chunks_per_text.map_or(1.0, |chunks| {
                (chunks * load.mean_audio / corpus_mean).max(1.0)
            }),
        };
        for n in 1..=largest {
            let Some((lower, upper, share)) = around(&config.levels, n) else {
                continue;
            };
            let between =
                |value: fn(&Level) -> f64| value(lower) * (1.0 - share) + value(upper) * share;
            curve
                .rates
                .push(between(|level| level.audio_per_sec) / corpus_mean * scale);
            let first_audio = quantiles(lower).towards(&quantiles(upper), share);
            curve
                .first_audio
                .push(first_audio.scaled(first_audio_scale));
            curve
                .rtf_p95
                .push(between(|level| level.rtf_p95) * rtf_scale);
        }
        let by_length = config.s1 * load.mean_audio * load.audio_cv / service(load.mean_audio);
        curve.service_cv2 = by_length * by_length + profile.run.noise_cv * profile.run.noise_cv;
        curve
    }

    /// `X ← X·(1 - u) / k`, `F ← F·(1 + u)·k`, `RTF ← RTF·k`: `derate` is u, `slowdown` is k,
    /// production's service time over the profile's. u is for the queue's closed forms and the
    /// spread of a measurement; the RTF has no queue in it and is compared as measured.
    #[must_use]
    pub fn derated(mut self, derate: f64, slowdown: f64) -> Self {
        for rate in &mut self.rates {
            *rate = *rate * (1.0 - derate) / slowdown;
        }
        for first_audio in &mut self.first_audio {
            *first_audio = first_audio.scaled((1.0 + derate) * slowdown);
        }
        for rtf in &mut self.rtf_p95 {
            *rtf *= slowdown;
        }
        self
    }

    /// G(n) = X(n) / X(1): what n in service get done against one.
    pub fn gain(&self, n: u32) -> Option<f64> {
        let at = self.rates.get(usize::try_from(n).ok()?.checked_sub(1)?)?;
        Some(at / self.rates.first()?)
    }

    /// Beside busy neighbours, by number in service. `derate` is what [`derated`](Self::derated) has
    /// taken off already: where the node was not measured that busy, at least [`UNMEASURED`] is
    /// taken off in all.
    #[must_use]
    pub(crate) fn beside(mut self, neighbours: &[Beside], derate: f64) -> Self {
        for (index, beside) in neighbours.iter().enumerate() {
            let speed = |already: f64, least: f64| {
                if beside.measured {
                    beside.speed
                } else {
                    beside.speed.min(least / already)
                }
            };
            if let Some(rate) = self.rates.get_mut(index) {
                *rate *= speed(1.0 - derate, 1.0 - UNMEASURED);
            }
            if let Some(times) = self.first_audio.get_mut(index) {
                let slower = 1.0 / speed(1.0 / (1.0 + derate), 1.0 / (1.0 + UNMEASURED));
                *times = times.scaled(slower);
            }
            if let Some(rtf) = self.rtf_p95.get_mut(index) {
                *rtf /= speed(1.0, 1.0 / (1.0 + UNMEASURED));
            }
        }
        self
    }

    /// One slot of a pod that shares a GPU with `others`, each of which is busy for the share `busy`
    /// of the time, independently: with m of them busy, whose probability is binomial, it takes
    /// `(m + 1) / X(m + 1)`, and its first audio F(m + 1). None where so many at once were not
    /// measured.
    pub(crate) fn shared_by(&self, others: u32, busy: f64) -> Option<Self> {
        let (mut time, mut rtf) = (0.0, 0.0);
        let mut first = [0.0; QUANTILES];
        let mut ways = 1.0;
        for m in 0..=others {
            let (of, idle) = (f64::from(m), f64::from(others - m));
            let share = ways * libm::pow(busy, of) * libm::pow(1.0 - busy, idle);
            ways *= idle / (of + 1.0);
            let index = usize::try_from(m).ok()?;
            time += share * (of + 1.0) / self.rates.get(index)?;
            rtf += share * self.rtf_p95.get(index)?;
            for (sum, time) in first.iter_mut().zip(self.first_audio.get(index)?.values()) {
                *sum += share * time;
            }
        }
        Some(Self {
            rates: vec![1.0 / time],
            first_audio: vec![Quantiles::new(first)],
            rtf_p95: vec![rtf],
            service_cv2: self.service_cv2,
            turns: self.turns,
        })
    }
}

/// How one pod shape serves a mix of voices, by number in service from 1.
#[derive(Clone, Debug, PartialEq)]
pub struct PodCurve {
    /// X(n), requests per second of the mix.
    pub rates: Vec<f64>,
    /// F(n), of the mix.
    pub first_audio: Vec<Mixture>,
    /// p95 of the real-time factor of the slowest voice.
    pub rtf_p95: Vec<f64>,
    /// cs² of the mix.
    pub service_cv2: f64,
    /// Turns of a request, on average.
    pub turns: f64,
}

impl PodCurve {
    /// Of voices with their shares of the requests, which add up to 1; as far as all were measured.
    ///
    /// A request of voice v takes `n / X_v(n)` with n in service, so one of the mix takes
    /// `Σ w_v·n / X_v(n)` on average: `1 / X(n) = Σ w_v / X_v(n)`. F(n) is the mixture of the
    /// voices' distributions. cs² is that of the mixture, by its two moments at n = 1:
    /// `Σ w_v·m_v²·(1 + cs_v²) / (Σ w_v·m_v)² - 1` with `m_v = 1 / X_v(1)`. Each voice must keep the
    /// real-time factor, so the largest counts. Turns are the mean of the requests.
    pub fn mixed(voices: &[(f64, ServiceCurve)]) -> Self {
        let levels = voices.iter().map(|(_, curve)| curve.rates.len()).min();
        let levels = 0..levels.unwrap_or(0);
        let at = |index: usize, value: fn(&ServiceCurve) -> &[f64]| {
            voices
                .iter()
                .filter_map(move |(share, curve)| Some((*share, *value(curve).get(index)?)))
        };
        let rate = |index| {
            let time: f64 = at(index, |curve| &curve.rates)
                .map(|(share, rate)| share / rate)
                .sum();
            1.0 / time
        };
        let first_audio = |index: usize| {
            let parts = voices
                .iter()
                .filter_map(|(share, curve)| Some((*share, *curve.first_audio.get(index)?)));
            Mixture::new(parts.collect())
        };
        let rtf = |index| {
            at(index, |curve| &curve.rtf_p95)
                .map(|(_, rtf)| rtf)
                .fold(0.0, f64::max)
        };
        let (mut mean, mut square) = (0.0, 0.0);
        for (share, curve) in voices {
            let time = curve.rates.first().map_or(0.0, |rate| 1.0 / rate);
            mean += share * time;
            square += share * time * time * (1.0 + curve.service_cv2);
        }
        Self {
            rates: levels.clone().map(rate).collect(),
            first_audio: levels.clone().map(first_audio).collect(),
            rtf_p95: levels.map(rtf).collect(),
            service_cv2: if mean > 0.0 {
                (square / (mean * mean) - 1.0).max(0.0)
            } else {
                0.0
            },
            turns: voices
                .iter()
                .map(|(share, curve)| share * curve.turns)
                .sum(),
        }
    }
}

/// The measured levels at or around n and how far n is from the lower to the upper one.
fn around(levels: &[Level], n: u32) -> Option<(&Level, &Level, f64)> {
    let after = levels.partition_point(|level| level.n <= n);
    let lower = levels.get(after.checked_sub(1)?)?;
    let upper = levels.get(after).unwrap_or(lower);
    let share = if upper.n == lower.n {
        0.0
    } else {
        f64::from(n - lower.n) / f64::from(upper.n - lower.n)
    };
    Some((lower, upper, share))
}

/// The stored quantiles; a checked profile has all of them.
fn quantiles(level: &Level) -> Quantiles {
    let mut values = [0.0; QUANTILES];
    for (value, stored) in values.iter_mut().zip(&level.ttfa_q) {
        *value = *stored;
    }
    Quantiles::new(values)
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::request::Peak;

    /// Levels at 1 and 4, on a GPU.
    const PROFILE: &str = include_str!("../tests/goldens/profile.json");

    fn curve(change: impl FnOnce(&mut Profile, &mut Load)) -> ServiceCurve {
        let mut profile = Profile::from_json(PROFILE).unwrap();
        let mut load = Load::new(Peak::RequestsPerSecond(1.0));
        change(&mut profile, &mut load);
        ServiceCurve::new(&profile.configs[0], &profile, &load)
    }

    fn close(found: f64, expected: f64) {
        assert!(
            (found - expected).abs() <= 1e-9,
            "{found}, expected {expected}"
        );
    }

    #[test]
    fn straight_between_levels_and_no_further() {
        let curve = curve(|_, _| ());
        assert_eq!(curve.rates.len(), 4);
        close(curve.rates[0], 12.77 / 6.0);
        close(curve.rates[1], (12.77 + (30.1 - 12.77) / 3.0) / 6.0);
        close(curve.rates[3], 30.1 / 6.0);
        close(
            curve.first_audio[2].median(),
            0.2 + (0.32 - 0.2) * 2.0 / 3.0,
        );
        close(curve.rtf_p95[3], 0.15);
    }

    #[test]
    fn other_lengths_scale_the_rates() {
        let corpus = curve(|_, _| ());
        let longer = curve(|_, load| load.mean_audio = 12.0);
        let ratio = (0.02 + 0.075 * 6.0) / (0.02 + 0.075 * 12.0);
        close(longer.rates[0], corpus.rates[0] * ratio);
        close(
            longer.first_audio[0].median(),
            corpus.first_audio[0].median(),
        );
        let whole = curve(|profile, load| {
            profile.streaming = false;
            load.mean_audio = 12.0;
        });
        close(
            whole.first_audio[0].median(),
            corpus.first_audio[0].median() / ratio,
        );
    }

    #[test]
    fn lengths_and_noise_make_the_variation() {
        let by_length = 0.075 * 6.0 * 0.6 / (0.02 + 0.075 * 6.0);
        close(
            curve(|_, _| ()).service_cv2,
            by_length * by_length + 0.068 * 0.068,
        );
        close(
            curve(|_, load| load.audio_cv = 0.0).service_cv2,
            0.068 * 0.068,
        );
    }

    #[test]
    fn a_derate_takes_from_the_rates_and_adds_to_the_times() {
        let (plain, derated) = (curve(|_, _| ()), curve(|_, _| ()).derated(0.1, 1.5));
        close(derated.rates[3], plain.rates[3] * 0.9 / 1.5);
        close(
            derated.first_audio[3].largest(),
            plain.first_audio[3].largest() * 1.1 * 1.5,
        );
    }

    #[test]
    fn production_slower_than_the_profile_is_slower_in_real_time_too() {
        let (plain, derated) = (curve(|_, _| ()), curve(|_, _| ()).derated(0.1, 1.5));
        close(derated.rtf_p95[0], plain.rtf_p95[0] * 1.5);
        close(derated.rtf_p95[3], plain.rtf_p95[3] * 1.5);
    }

    #[test]
    fn shorter_texts_take_longer_per_audio_second() {
        let corpus = curve(|_, _| ());
        let rtf = |audio: f64| (0.02 + 0.075 * audio) / audio;
        for length in [0.5, 2.0, 12.0] {
            let other = curve(|_, load| load.mean_audio = length);
            for (found, measured) in other.rtf_p95.iter().zip(&corpus.rtf_p95) {
                close(*found, measured * rtf(length) / rtf(6.0));
            }
        }
    }

    #[test]
    fn pods_that_share_a_gpu_get_what_its_slots_would() {
        let curve = curve(|_, _| ());
        let shared = curve.shared_by(3, 1.0).unwrap();
        close(shared.rates[0] * 4.0, curve.rates[3]);
        close(
            shared.first_audio[0].median(),
            curve.first_audio[3].median(),
        );
        close(curve.shared_by(3, 0.0).unwrap().rates[0], curve.rates[0]);
        let half = curve.shared_by(1, 0.5).unwrap();
        close(
            1.0 / half.rates[0],
            f64::midpoint(1.0 / curve.rates[0], 2.0 / curve.rates[1]),
        );
        assert_eq!(curve.shared_by(4, 0.5), None);
        close(curve.gain(4).unwrap(), 30.1 / 12.77);
    }
}
