//! Model families. A family turns text into chunks of its own input, and runs them: the rest of the server knows the traits
//! here only.

pub mod vits;

use std::{any::Any, fmt, time::Duration};

use crate::{
    audio::Boundary,
    engine::{Cancel, EngineError, Model, SessionOptions},
    text::{TextError, explain::Explanation},
};
use vits::Vits;

/// A voice of some family, without a session: what all workers share.
pub trait Family: fmt::Debug + Send + Sync {
    fn kind(&self) -> Kind;

    fn about(&self) -> &About;

    /// Number of chunks that one run takes at most.
    fn largest_batch(&self) -> usize {
        1
    }

    /// Turns a text into chunks, each no longer than the pace allows. `speed` divides the length of the audio.
    ///
    /// # Errors
    /// When the text cannot be spoken.
    fn read(&self, text: &str, speed: f32, pace: Pace) -> Result<Script, TextError>;

    /// The longest chunk that any text leads to at this pace, with every part of the family's alphabet in it.
    fn longest_chunk(&self, pace: Pace) -> Chunk;

    /// Explains how a text is read.
    ///
    /// # Errors
    /// When the text has characters that cannot be read.
    fn explain(&self, text: &str) -> Result<Explanation, TextError>;

    /// Loads the model. The session belongs to the thread that calls this.
    ///
    /// # Errors
    /// When the model cannot be loaded or does not fit its configuration.
    fn load(&self, options: &SessionOptions) -> Result<Box<dyn Runner>, LoadError>;
}

/// A loaded model.
pub trait Runner: Send {
    /// Runs the model on chunks of its family, at most [`Family::largest_batch`], all of one bucket. The samples of each chunk
    /// go to the sink in order, with the chunk's index; they are in -1..=1 if the model is well made.
    ///
    /// # Errors
    /// When the run fails or is cancelled; the sink may have received some of the audio.
    fn run(
        &mut self,
        chunks: &[&Chunk],
        cancel: &Cancel,
        sink: &mut Sink<'_>,
    ) -> Result<(), EngineError>;
}

/// Receives samples, with the index of their chunk.
pub type Sink<'a> = dyn FnMut(usize, &[f32]) + 'a;

/// A family, as reports name it.
#[derive(Clone, Copy, Debug, PartialEq, Eq, strum::Display, strum::IntoStaticStr)]
pub enum Kind {
    /// VITS with Piper's tensors and alphabet.
    Piper,
    /// VITS with Piper's tensors and another alphabet.
    #[strum(serialize = "VITS")]
    Vits,
}

/// What is known of a voice before it is loaded.
#[derive(Clone, Debug, Default, PartialEq, Eq)]
pub struct About {
    /// In Hz.
    pub sample_rate: u32,
    /// BCP 47, such as `en-US`.
    pub languages: Vec<String>,
    pub speaker_count: u32,
    /// Ordered by id; the speaker of a single-speaker voice is `default`.
    pub speaker_names: Vec<String>,
}

/// How fast a voice speaks, in units of its family's input (symbols, frames, …).
#[derive(Clone, Copy, Debug, PartialEq)]
pub struct Pace {
    /// Seconds of audio at speed 1 per unit.
    pub seconds_per_unit: f64,
    /// Units of a chunk at most, at speed 1 and above.
    pub longest_units: usize,
}

impl Pace {
    /// Units of a chunk at most, at a speed: slow speech has more audio per unit.
    pub fn longest_at(self, speed: f32) -> usize {
        #[expect(
            clippy::cast_possible_truncation,
            clippy::cast_sign_loss,
            clippy::cast_precision_loss,
            reason = "from 1 to `longest_units`"
        )]
        let longest = (self.longest_units as f64 * f64::from(speed.clamp(0.01, 1.0))) as usize;
        longest.max(1)
    }

    /// Estimated seconds of audio of this many units at a speed.
    pub fn seconds(self, units: usize, speed: f32) -> f64 {
        #[expect(clippy::cast_precision_loss, reason = "an estimate")]
        let units = units as f64;
        units * self.seconds_per_unit / f64::from(speed)
    }
}

/// A text, ready for synthesis.
#[derive(Debug)]
pub struct Script {
    pub chunks: Vec<Chunk>,
    /// Skipped characters with no spoken form (emoji, box drawings, …), each once, in order.
    pub skipped: Vec<char>,
    /// What reading it took, by stage, in order.
    pub stages: Vec<Stage>,
}

/// What one stage of a request took.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub struct Stage {
    /// In lower case, such as `phonemise`.
    pub name: &'static str,
    pub took: Duration,
}

impl Script {
    /// Estimated seconds of audio.
    pub fn seconds(&self) -> f64 {
        self.chunks.iter().map(|chunk| chunk.seconds).sum()
    }
}

/// What one run of a model speaks.
pub struct Chunk {
    input: Box<dyn Any + Send + Sync>,
    /// Estimated seconds of audio.
    pub seconds: f64,
    pub boundary: Boundary,
    /// Chunks of one bucket may share a run.
    pub bucket: u32,
}

impl Chunk {
    /// A chunk of a family's own input.
    pub fn new(
        input: impl Any + Send + Sync,
        seconds: f64,
        boundary: Boundary,
        bucket: u32,
    ) -> Self {
        Self {
            input: Box::new(input),
            seconds,
            boundary,
            bucket,
        }
    }

    /// The input, for the family that made the chunk.
    ///
    /// # Errors
    /// When another family made it.
    pub fn input<I: Any>(&self) -> Result<&I, EngineError> {
        self.input.downcast_ref().ok_or_else(|| EngineError::Run {
            message: "the input is of another model family".to_owned(),
        })
    }
}

impl fmt::Debug for Chunk {
    fn fmt(&self, formatter: &mut fmt::Formatter<'_>) -> fmt::Result {
        formatter
            .debug_struct("Chunk")
            .field("seconds", &self.seconds)
            .field("boundary", &self.boundary)
            .field("bucket", &self.bucket)
            .finish_non_exhaustive()
    }
}

/// Why a model cannot be used.
#[derive(Debug, thiserror::Error)]
pub enum LoadError {
    #[error(transparent)]
    Config(#[from] vits::config::ConfigError),
    #[error(transparent)]
    UnknownFamily(#[from] vits::signature::UnknownFamily),
    #[error("{0}")]
    Signature(String),
    #[error(transparent)]
    Engine(#[from] EngineError),
}

/// The family of a model, by its configuration. The model itself is checked when it is loaded.
///
/// # Errors
/// When the configuration is invalid, or of a voice that no family supports.
pub fn open(model: Model, config: &[u8]) -> Result<Box<dyn Family>, LoadError> {
    Ok(Box::new(Vits::new(model, config)?))
}

/// Verifies samples of a model.
///
/// # Errors
/// When one is not finite.
pub fn check(samples: &[f32]) -> Result<(), EngineError> {
    match samples.iter().position(|sample| !sample.is_finite()) {
        Some(place) => Err(EngineError::Run {
            message: format!("sample {place} of the model's output is not finite"),
        }),
        None => Ok(()),
    }
}

/// The error of a model that returned no samples for a chunk.
pub fn no_samples() -> EngineError {
    EngineError::Run {
        message: "the model returned no samples".to_owned(),
    }
}

/// Runs one chunk and collects its samples.
///
/// # Errors
/// As for [`Runner::run`], and when the samples are not finite or there are none.
pub fn speak(
    runner: &mut dyn Runner,
    chunk: &Chunk,
    cancel: &Cancel,
) -> Result<Vec<f32>, EngineError> {
    let mut samples = Vec::new();
    runner.run(&[chunk], cancel, &mut |_, piece| {
        samples.extend_from_slice(piece);
    })?;
    check(&samples)?;
    if samples.is_empty() {
        return Err(no_samples());
    }
    Ok(samples)
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn slow_speech_has_shorter_chunks() {
        let pace = Pace {
            seconds_per_unit: 0.1,
            longest_units: 100,
        };
        assert_eq!(
            [0.25, 1.0, 4.0].map(|speed| pace.longest_at(speed)),
            [25, 100, 100]
        );
        assert!((pace.seconds(10, 0.5) - 2.0).abs() < 1e-9);
    }

    #[test]
    fn a_chunk_is_of_the_family_that_made_it() {
        let chunk = Chunk::new(5_u8, 1.0, Boundary::Sentence, 0);
        assert_eq!(*chunk.input::<u8>().unwrap(), 5);
        assert!(chunk.input::<u16>().is_err());
    }
}
