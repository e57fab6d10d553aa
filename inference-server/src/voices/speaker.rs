//! A voice with its session: symbols in, samples out. Owned by one thread.

use super::{Model, Voice, VoiceError};
use crate::{
    engine::{
        EngineError, Session,
        session::{Cancel, SessionOptions},
    },
    families::{Family, detect::detect, vits::VitsInput},
    text::{self, MAX_RUN_SYMBOLS, Symbol},
};

/// A loaded voice.
#[derive(Debug)]
pub struct Speaker {
    voice: Voice,
    session: Session,
    family: Family,
    /// Id of the model's speaker, if it has several.
    id: Option<i64>,
}

/// Sentence that a voice must synthesize before it counts as loaded.
pub const TEST_SENTENCE: &str = "The quick brown fox jumps over the lazy dog.";

impl Speaker {
    /// Loads the model and checks its signature against the configuration.
    pub fn load(voice: &Voice, options: SessionOptions) -> Result<Self, VoiceError> {
        let session = match &voice.model {
            Model::Builtin(bytes) => Session::load(bytes, options)?,
            Model::File(path) => Session::load_file(path, options)?,
        };
        let (family, takes_speaker) = detect(&session.inputs(), &session.outputs())?;
        if !takes_speaker && voice.config.speaker_count > 1 {
            return Err(VoiceError::Signature(format!(
                "the configuration names {} speakers, but the model has no input sid to choose one",
                voice.config.speaker_count
            )));
        }
        let id = takes_speaker.then_some(voice.config.default_speaker);
        Ok(Self {
            voice: voice.clone(),
            session,
            family,
            id,
        })
    }

    pub fn family(&self) -> Family {
        self.family
    }

    /// Synthesizes the symbols of one run. Samples are finite and within -1..=1.
    pub fn speak(
        &mut self,
        symbols: &[Symbol],
        speed: f32,
        cancel: &Cancel,
    ) -> Result<Vec<f32>, EngineError> {
        let config = &self.voice.config;
        let input = VitsInput::new(symbols, &config.ids, config.scales, speed, self.id);
        let session = &mut self.session;
        let samples = input.tensors(|inputs| session.run(inputs, "output", cancel))?;
        if samples.is_empty() {
            return Err(EngineError::Run {
                message: "the model returned no samples".to_owned(),
            });
        }
        if let Some(place) = samples.iter().position(|sample| !sample.is_finite()) {
            return Err(EngineError::Run {
                message: format!("sample {place} of the model's output is not finite"),
            });
        }
        Ok(samples)
    }

    /// Synthesizes the test sentence and verifies that it is not silent; then the longest run that a request can cause, with
    /// every symbol in it: an id that the model does not have, or too little memory, fails now and not in service.
    pub fn prove(&mut self, cancel: &Cancel) -> Result<(), VoiceError> {
        let reading = text::read(TEST_SENTENCE, MAX_RUN_SYMBOLS)
            .map_err(|error| VoiceError::BadSpeech(error.to_string()))?;
        let mut loudest = 0.0_f32;
        for run in &reading.runs {
            let samples = self.speak(&run.symbols, 1.0, cancel)?;
            loudest = samples
                .iter()
                .fold(loudest, |loudest, sample| loudest.max(sample.abs()));
        }
        if loudest < 0.001 {
            return Err(VoiceError::BadSpeech("the audio is silent".to_owned()));
        }
        let all: Vec<Symbol> = Symbol::all().cycle().take(MAX_RUN_SYMBOLS).collect();
        self.speak(&all, 1.0, cancel)?;
        Ok(())
    }
}
