//! `tts-server say`: text to a WAV file, without a server, a socket, or any file besides the output.

use std::{fs, io::Read, io::Write, path::Path};

use crate::{
    audio::{encode, join},
    engine::session::{Cancel, SessionOptions},
    text::{self, TextError},
    voices::{Speaker, Voice, VoiceError, VoiceLocation},
};

/// Why no speech was written.
#[derive(Debug, thiserror::Error)]
pub enum SayError {
    #[error("cannot read standard input as UTF-8 text: {0}")]
    Input(std::io::Error),
    #[error(transparent)]
    Text(#[from] TextError),
    #[error(transparent)]
    Voice(#[from] VoiceError),
    #[error("cannot write {path}: {error}")]
    Output { path: String, error: std::io::Error },
}

impl From<crate::engine::EngineError> for SayError {
    fn from(error: crate::engine::EngineError) -> Self {
        Self::Voice(error.into())
    }
}

/// Synthesizes a text (`-`: standard input) to a WAV file (`-`: standard output).
pub fn say(
    text: &str,
    output: &Path,
    name: &str,
    location: &VoiceLocation,
    speed: f32,
) -> Result<(), SayError> {
    let mut input = String::new();
    let text = if text == "-" {
        std::io::stdin()
            .read_to_string(&mut input)
            .map_err(SayError::Input)?;
        &input
    } else {
        text
    };
    let reading = text::read(text, text::run_limit(speed))?;
    let voice = Voice::read(name, location)?;
    let mut speaker = Speaker::load(&voice, SessionOptions { intra_threads: 1 })?;
    let cancel = Cancel::new()?;
    let rate = voice.config.sample_rate;
    let mut data = Vec::new();
    for (index, run) in reading.runs.iter().enumerate() {
        if index > 0 {
            data.resize(
                data.len() + 2 * join::gap(rate, reading.runs[index - 1].ends_sentence),
                0,
            );
        }
        data.extend(encode::pcm16(&speaker.speak(
            &run.symbols,
            speed,
            &cancel,
        )?));
    }
    let wav = encode::wav(rate, &data);
    let written = if output == Path::new("-") {
        std::io::stdout().lock().write_all(&wav)
    } else {
        fs::write(output, &wav)
    };
    written.map_err(|error| SayError::Output {
        path: output.display().to_string(),
        error,
    })
}
