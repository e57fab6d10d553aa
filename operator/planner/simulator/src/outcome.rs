//! What became of the requests.

use crate::number::{float, whole};

/// What became of one request.
#[derive(Clone, Copy, Debug, PartialEq)]
pub struct Served {
    pub voice: usize,
    /// When it came (s).
    pub arrival: f64,
    /// Seconds from the arrival to the first audio and to the end; None: rejected.
    pub first_audio: Option<f64>,
    pub in_system: Option<f64>,
}

impl Served {
    fn late_or_rejected(&self, promise: f64) -> bool {
        self.first_audio.is_none_or(|time| time > promise)
    }
}

/// The outcome of the requests.
#[derive(Clone, Debug)]
pub struct Outcome {
    /// Time to first audio of the accepted ones, in order of arrival (s).
    pub first_audio: Vec<f64>,
    /// Share of rejected requests.
    pub rejected: f64,
    /// Mean number in one pod, waiting or in service, by Little's law.
    pub mean_in_system: f64,
    /// Each request, in order of arrival.
    pub served: Vec<Served>,
    /// Seconds in which these requests came.
    span: f64,
    /// Mean number of pods.
    pods: f64,
}

impl Outcome {
    pub(crate) fn of(served: Vec<Served>, span: f64, pods: f64) -> Self {
        let first_audio: Vec<f64> = served.iter().filter_map(|one| one.first_audio).collect();
        let in_system: f64 = served.iter().filter_map(|one| one.in_system).sum();
        Self {
            rejected: 1.0 - float(first_audio.len()) / float(served.len().max(1)),
            first_audio,
            mean_in_system: in_system / span / pods,
            served,
            span,
            pods,
        }
    }

    /// The requests of one voice.
    #[must_use]
    pub fn voice(&self, voice: usize) -> Self {
        let of_voice = |one: &&Served| one.voice == voice;
        let served = self.served.iter().filter(of_voice).copied().collect();
        Self::of(served, self.span, self.pods)
    }

    /// The requests that came from `from` to before `to` (s).
    #[must_use]
    pub fn between(&self, from: f64, to: f64) -> Self {
        let inside = |one: &&Served| (from..to).contains(&one.arrival);
        let served = self.served.iter().filter(inside).copied().collect();
        Self::of(served, to - from, self.pods)
    }

    /// Share of requests that were rejected or got their first audio after `promise` seconds.
    pub fn late_or_rejected(&self, promise: f64) -> f64 {
        let late = self
            .first_audio
            .iter()
            .filter(|&&time| time > promise)
            .count();
        self.rejected + (1.0 - self.rejected) * float(late) / float(self.first_audio.len().max(1))
    }

    /// (start, [`Outcome::late_or_rejected`]) of each interval of `seconds`, counted from time
    /// zero, in which requests came.
    pub fn late_or_rejected_per(&self, seconds: f64, promise: f64) -> Vec<(f64, f64)> {
        let interval = |one: &Served| whole(one.arrival / seconds);
        self.served
            .chunk_by(|one, next| interval(one) == interval(next))
            .map(|chunk| {
                let broken = chunk.iter().filter(|one| one.late_or_rejected(promise));
                (
                    float(interval(&chunk[0])) * seconds,
                    float(broken.count()) / float(chunk.len()),
                )
            })
            .collect()
    }

    /// Of the time to first audio.
    pub fn quantile(&self, q: f64) -> f64 {
        quantile(&self.first_audio, q)
    }
}

/// Straight between order statistics; NaN for none.
pub fn quantile(values: &[f64], q: f64) -> f64 {
    let mut sorted = values.to_vec();
    sorted.sort_by(f64::total_cmp);
    let position = q * float(sorted.len().saturating_sub(1));
    let below = whole(position);
    let at = |place: usize| {
        sorted
            .get(place)
            .or(sorted.last())
            .copied()
            .unwrap_or(f64::NAN)
    };
    at(below) + (at(below + 1) - at(below)) * position.fract()
}
