//! What a voice costs: measured when it is loaded, and kept current by every run.

use std::{
    sync::{Mutex, MutexGuard, PoisonError},
    time::Duration,
};

use crate::families::Pace;

/// Longest audio of one run at speed 1, in seconds: memory grows with it, and few sentences are longer.
const LONGEST_RUN_SECONDS: f64 = 14.0;
/// Paces that a voice may have, in seconds per unit: beyond them the measurement says nothing about speech.
const SLOWEST_PACE: f64 = 1.0;
const FASTEST_PACE: f64 = 0.01;
/// Weight of the newest measurement in the moving averages.
const NEWEST: f64 = 0.1;

/// Until a voice was measured. Only the first run of a voice and tests are estimated with these.
const GUESS: Costs = Costs {
    pace: Pace {
        seconds_per_unit: 0.08,
        longest_units: usize::MAX,
    },
    audio_per_character: 0.08,
    service_per_audio: 0.1,
};

#[derive(Clone, Copy, Debug)]
struct Costs {
    pace: Pace,
    /// Seconds of audio at speed 1 per character of a text.
    audio_per_character: f64,
    /// Seconds that one worker needs per second of audio.
    service_per_audio: f64,
}

/// What the first runs of a voice took.
#[derive(Clone, Copy, Debug)]
pub struct WarmUp {
    /// Characters of the test sentence.
    pub characters: usize,
    /// Its pace.
    pub pace: Pace,
    /// Its audio, in seconds.
    pub audio_seconds: f64,
}

/// The costs of one voice, shared by all workers.
#[derive(Debug)]
pub struct CostModel {
    costs: Mutex<Costs>,
}

impl Default for CostModel {
    fn default() -> Self {
        Self {
            costs: Mutex::new(GUESS),
        }
    }
}

/// The pace that estimates of this one were wrong by this factor for.
pub fn corrected(pace: Pace, actual_per_estimated: f64) -> Pace {
    let seconds_per_unit =
        (pace.seconds_per_unit * actual_per_estimated).clamp(FASTEST_PACE, SLOWEST_PACE);
    Pace {
        seconds_per_unit,
        ..pace
    }
}

/// The same pace, with runs of at most [`LONGEST_RUN_SECONDS`].
pub fn limited(pace: Pace) -> Pace {
    #[expect(
        clippy::cast_possible_truncation,
        clippy::cast_sign_loss,
        reason = "between 14 and 1400"
    )]
    let longest_units = (LONGEST_RUN_SECONDS / pace.seconds_per_unit).round() as usize;
    Pace {
        longest_units,
        ..pace
    }
}

#[expect(clippy::cast_precision_loss, reason = "an estimate")]
fn float(count: usize) -> f64 {
    count as f64
}

impl CostModel {
    fn costs(&self) -> MutexGuard<'_, Costs> {
        self.costs.lock().unwrap_or_else(PoisonError::into_inner)
    }

    /// Takes the costs of the first runs. The length of runs is set once: the same text is to be split in the same way as long
    /// as the process lives.
    pub fn seed(&self, warm_up: WarmUp) {
        let mut costs = self.costs();
        if costs.pace.longest_units == GUESS.pace.longest_units {
            costs.pace = limited(warm_up.pace);
            costs.audio_per_character = warm_up.audio_seconds / float(warm_up.characters.max(1));
        }
    }

    /// How fast the voice speaks, and how long its runs may be.
    pub fn pace(&self) -> Pace {
        self.costs().pace
    }

    /// A text was read: its characters, and the estimate of its audio at speed 1, in seconds.
    pub fn read(&self, characters: usize, audio_seconds: f64) {
        if characters > 0 {
            let costs = &mut *self.costs();
            let newest = audio_seconds / float(characters);
            costs.audio_per_character += NEWEST * (newest - costs.audio_per_character);
        }
    }

    /// A run ended: the estimate of its audio and the audio itself, in seconds, and what it took.
    pub fn ran(&self, estimated: f64, audio_seconds: f64, service: Duration) {
        if estimated <= 0.0 || audio_seconds <= 0.0 {
            return;
        }
        let costs = &mut *self.costs();
        let ratio = 1.0 + NEWEST * (audio_seconds / estimated - 1.0);
        costs.pace = corrected(costs.pace, ratio);
        let newest = service.as_secs_f64() / audio_seconds;
        costs.service_per_audio += NEWEST * (newest - costs.service_per_audio);
    }

    /// Sets the service time: what the longest run took, which is closest to that of service.
    pub fn measured_service(&self, audio_seconds: f64, service: Duration) {
        if audio_seconds > 0.0 {
            self.costs().service_per_audio = service.as_secs_f64() / audio_seconds;
        }
    }

    /// Estimated service time of a text that is not read yet, in seconds of one worker.
    pub fn service_of_text(&self, characters: usize, speed: f32) -> f64 {
        let costs = self.costs();
        float(characters) * costs.audio_per_character / f64::from(speed) * costs.service_per_audio
    }

    /// Estimated service time of this much audio, in seconds of one worker.
    pub fn service_of_audio(&self, audio_seconds: f64) -> f64 {
        audio_seconds * self.costs().service_per_audio
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    fn seeded(seconds_per_unit: f64) -> CostModel {
        let costs = CostModel::default();
        costs.seed(WarmUp {
            characters: 100,
            pace: corrected(GUESS.pace, seconds_per_unit / GUESS.pace.seconds_per_unit),
            audio_seconds: 7.0,
        });
        costs
    }

    #[test]
    fn a_slow_voice_has_shorter_runs_and_the_split_does_not_change_later() {
        let costs = seeded(0.07);
        assert_eq!(costs.pace().longest_units, 200);
        assert_eq!(seeded(0.14).pace().longest_units, 100);
        costs.ran(1.0, 2.0, Duration::from_millis(100));
        assert!(costs.pace().seconds_per_unit > 0.07);
        assert_eq!(costs.pace().longest_units, 200);
        // What no voice can be.
        assert_eq!(seeded(1e-9).pace().longest_units, 1400);
        assert_eq!(seeded(1e9).pace().longest_units, 14);
    }

    #[test]
    fn estimates_follow_the_measurements() {
        let costs = seeded(0.07);
        costs.measured_service(10.0, Duration::from_secs(1));
        assert!((costs.service_of_audio(20.0) - 2.0).abs() < 1e-9);
        assert!((costs.service_of_text(100, 1.0) - 0.7).abs() < 1e-9);
        assert!((costs.service_of_text(100, 2.0) - 0.35).abs() < 1e-9);
        for _ in 0..100 {
            costs.read(100, 14.0);
            costs.ran(1.0, 1.0, Duration::from_millis(500));
        }
        assert!((costs.service_of_audio(20.0) - 10.0).abs() < 0.01);
        assert!((costs.service_of_text(100, 1.0) - 7.0).abs() < 0.01);
    }
}
