//! The test that a voice passes before it counts as loaded. It also measures what the voice costs.

use std::time::Instant;

use super::{
    Voice, VoiceError,
    cost::{WarmUp, corrected, limited},
};
use crate::{
    engine::{Cancel, SessionOptions},
    families::{Runner, speak},
};

/// Sentence that a voice must synthesize before it counts as loaded.
pub const TEST_SENTENCE: &str = "The quick brown fox jumps over the lazy dog.";
/// Loudest sample below which audio is silence.
const SILENCE: f32 = 0.001;

impl Voice {
    /// Loads the model for this thread and tests it.
    ///
    /// # Errors
    /// When the model cannot be loaded, or fails the test.
    pub fn load(
        &self,
        options: &SessionOptions,
        cancel: &Cancel,
    ) -> Result<Box<dyn Runner>, VoiceError> {
        let mut runner = self.family.load(options)?;
        self.warm_up(runner.as_mut(), cancel)?;
        Ok(runner)
    }

    /// Synthesizes the test sentence and verifies that it is not silent; then the longest run that a request can cause, with
    /// every symbol in it: an id that the model does not have, or too little memory, fails now and not in service.
    ///
    /// # Errors
    /// When the model fails the test, or `cancel` stops it.
    pub fn warm_up(&self, runner: &mut dyn Runner, cancel: &Cancel) -> Result<(), VoiceError> {
        let guess = self.costs.pace();
        let script = self
            .family
            .read(TEST_SENTENCE, 1.0, guess)
            .map_err(|error| VoiceError::BadSpeech(error.to_string()))?;
        let mut loudest = 0.0_f32;
        let mut audio_seconds = 0.0;
        for chunk in &script.chunks {
            let samples = speak(runner, chunk, cancel)?;
            audio_seconds += self.seconds(samples.len());
            loudest = samples
                .iter()
                .fold(loudest, |loudest, sample| loudest.max(sample.abs()));
        }
        if loudest < SILENCE {
            return Err(VoiceError::BadSpeech("the audio is silent".to_owned()));
        }
        let pace = corrected(guess, audio_seconds / script.seconds());
        let started = Instant::now();
        let longest = speak(runner, &self.family.longest_chunk(limited(pace)), cancel)?;
        self.costs.seed(WarmUp {
            characters: TEST_SENTENCE.chars().count(),
            pace,
            audio_seconds,
        });
        self.costs
            .measured_service(self.seconds(longest.len()), started.elapsed());
        Ok(())
    }

    /// The length of this many samples.
    pub fn seconds(&self, samples: usize) -> f64 {
        #[expect(clippy::cast_precision_loss, reason = "minutes of samples")]
        let samples = samples as f64;
        samples / f64::from(self.sample_rate())
    }
}
