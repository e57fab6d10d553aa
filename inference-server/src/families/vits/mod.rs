//! VITS as Piper exports it.

mod alphabet;
pub mod config;
mod input;
pub mod signature;

use super::{About, Chunk, Family, Kind, LoadError, Pace, Runner, Script, Sink, Stage};
use crate::{
    audio::Boundary,
    engine::{Cancel, EngineError, Model, Session, SessionOptions},
    text::{self, Symbol, TextError, explain::Explanation},
};
use config::VitsConfig;
use input::VitsInput;

/// Symbols per bucket: chunks whose lengths differ by less may share a run.
const BUCKET_SYMBOLS: usize = 16;

/// A VITS voice.
#[derive(Debug)]
pub struct Vits {
    model: Model,
    config: VitsConfig,
}

impl Vits {
    /// A voice with this model and configuration (`NAME.onnx.json`).
    ///
    /// # Errors
    /// When the configuration is invalid, or of a voice that is not supported.
    pub fn new(model: Model, config: &[u8]) -> Result<Self, LoadError> {
        let config = VitsConfig::parse(config)?;
        Ok(Self { model, config })
    }

    fn chunk(&self, symbols: &[Symbol], speed: f32, pace: Pace, boundary: Boundary) -> Chunk {
        let config = &self.config;
        let input = VitsInput::new(config.alphabet.ids(symbols), config.scales, speed);
        let bucket = u32::try_from(symbols.len().div_ceil(BUCKET_SYMBOLS)).unwrap_or(u32::MAX);
        Chunk::new(input, pace.seconds(symbols.len(), speed), boundary, bucket)
    }
}

impl Family for Vits {
    fn kind(&self) -> Kind {
        self.config.alphabet.kind()
    }

    fn about(&self) -> &About {
        &self.config.about
    }

    fn read(&self, text: &str, speed: f32, pace: Pace) -> Result<Script, TextError> {
        let reading = text::read(text, pace.longest_at(speed))?;
        let chunks = reading.runs.iter().map(|run| {
            let boundary = if run.ends_sentence {
                Boundary::Sentence
            } else {
                Boundary::Part
            };
            self.chunk(&run.symbols, speed, pace, boundary)
        });
        Ok(Script {
            chunks: chunks.collect(),
            skipped: reading.passed_over,
            stages: [
                ("normalise", reading.took.normalise),
                ("phonemise", reading.took.phonemise),
            ]
            .map(|(name, took)| Stage { name, took })
            .to_vec(),
        })
    }

    fn longest_chunk(&self, pace: Pace) -> Chunk {
        let longest = pace.longest_at(1.0);
        let symbols: Vec<Symbol> = Symbol::all().cycle().take(longest).collect();
        self.chunk(&symbols, 1.0, pace, Boundary::Sentence)
    }

    fn explain(&self, text: &str) -> Result<Explanation, TextError> {
        text::explain::explain(text, |symbol| self.config.alphabet.spelling(symbol))
    }

    fn load(&self, options: &SessionOptions) -> Result<Box<dyn Runner>, LoadError> {
        let session = Session::load(&self.model, options)?;
        let takes_speaker = signature::check(&session.inputs(), &session.outputs())?;
        let speakers = self.config.about.speaker_count;
        if !takes_speaker && speakers > 1 {
            return Err(LoadError::Signature(format!(
                "the configuration names {speakers} speakers, but the model has no input sid to choose one"
            )));
        }
        let speaker = takes_speaker.then_some(self.config.default_speaker);
        Ok(Box::new(VitsRunner { session, speaker }))
    }
}

struct VitsRunner {
    session: Session,
    /// Id of the model's speaker, if it has several.
    speaker: Option<i64>,
}

impl Runner for VitsRunner {
    fn run(
        &mut self,
        chunks: &[&Chunk],
        cancel: &Cancel,
        sink: &mut Sink<'_>,
    ) -> Result<(), EngineError> {
        for (index, chunk) in chunks.iter().enumerate() {
            let input: &VitsInput = chunk.input()?;
            let session = &mut self.session;
            input.tensors(self.speaker, |inputs| {
                let outputs = session.run(inputs, cancel)?;
                sink(index, outputs.tensor("output")?.1);
                Ok(())
            })?;
        }
        Ok(())
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::voices::builtin;

    fn vits() -> Vits {
        let files = builtin::find("rms").unwrap();
        Vits::new(Model::Builtin(files.model), files.config).unwrap()
    }

    const PACE: Pace = Pace {
        seconds_per_unit: 0.1,
        longest_units: 20,
    };

    #[test]
    fn a_long_sentence_has_several_chunks_and_the_last_one_ends_it() {
        let script = vits()
            .read(
                "Every single word of this long sentence is spoken at some time. Yes.",
                1.0,
                PACE,
            )
            .unwrap();
        let boundaries: Vec<_> = script.chunks.iter().map(|chunk| chunk.boundary).collect();
        let (last, parts) = boundaries.split_last().unwrap();
        assert!(parts.len() > 2, "{boundaries:?}");
        assert_eq!(*last, Boundary::Sentence);
        assert_eq!(parts.last(), Some(&Boundary::Sentence));
        assert_eq!(parts[0], Boundary::Part);
        assert!(
            script
                .chunks
                .iter()
                .all(|chunk| chunk.seconds <= 2.0 + 1e-9)
        );
    }

    #[test]
    fn the_longest_chunk_is_as_long_as_the_pace_allows() {
        let chunk = vits().longest_chunk(PACE);
        assert!((chunk.seconds - 2.0).abs() < 1e-9);
        assert_eq!(chunk.boundary, Boundary::Sentence);
    }

    #[test]
    fn a_chunk_of_another_family_is_refused() {
        crate::engine::test_library();
        let mut runner = vits().load(&SessionOptions::default()).unwrap();
        let chunk = Chunk::new("another", 1.0, Boundary::Sentence, 0);
        let error = runner.run(&[&chunk], &Cancel::new().unwrap(), &mut |_, _| {});
        assert!(matches!(error, Err(EngineError::Run { .. })));
    }
}
