//! `tts-server say`: text to an audio file, without a server, a socket, or any file besides the output.

use std::{fs, io::Read, io::Write, path::Path};

use crate::{
    audio::{EncodeError, Encoder, Format, Joiner},
    engine::{Cancel, EngineError, SessionOptions},
    families::{LoadError, speak},
    text::{self, TextError},
    voices::{Voice, VoiceError, VoiceLocation},
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
    #[error(transparent)]
    Encode(#[from] EncodeError),
    #[error(
        "cannot tell the format of {path}; let its name end in .mp3, .opus, .aac, .flac, .wav or .pcm"
    )]
    Format { path: String },
    #[error("cannot write {path}: {error}")]
    Output { path: String, error: std::io::Error },
}

impl From<LoadError> for SayError {
    fn from(error: LoadError) -> Self {
        Self::Voice(error.into())
    }
}

impl From<EngineError> for SayError {
    fn from(error: EngineError) -> Self {
        Self::Voice(error.into())
    }
}

/// Synthesizes a text (`-`: standard input) to an audio file of the format that its ending names (`-`: WAV to standard
/// output).
pub fn say(
    text: &str,
    output: &Path,
    name: &str,
    location: &VoiceLocation,
    speed: f32,
) -> Result<(), SayError> {
    let format = format_of(output)?;
    let mut input = String::new();
    let text = if text == "-" {
        std::io::stdin()
            .read_to_string(&mut input)
            .map_err(SayError::Input)?;
        &input
    } else {
        text
    };
    let voice = Voice::read(name, location)?;
    let options = SessionOptions::default();
    let cancel = Cancel::new()?;
    // Before the model is loaded: a text that cannot be read is told at once.
    voice.family.read(text, speed, voice.costs.pace())?;
    let mut runner = voice.load(&options, &cancel)?;
    let script = voice.family.read(text, speed, voice.costs.pace())?;
    if let Some(warning) = text::skipped_warning(&script.skipped) {
        eprintln!("tts-server: {warning}");
    }
    let rate = voice.sample_rate();
    let mut joiner = Joiner::new(rate);
    let mut samples = Vec::new();
    for chunk in &script.chunks {
        let gap = joiner.next(chunk.boundary);
        samples.resize(samples.len() + gap, 0.0);
        samples.extend(speak(runner.as_mut(), chunk, &cancel)?);
    }
    let (bytes, _) = Encoder::new(format, rate, format.rate_for(rate))?.whole(&samples)?;
    let written = if output == Path::new("-") {
        std::io::stdout().lock().write_all(&bytes)
    } else {
        fs::write(output, &bytes)
    };
    written.map_err(|error| SayError::Output {
        path: output.display().to_string(),
        error,
    })
}

fn format_of(output: &Path) -> Result<Format, SayError> {
    if output == Path::new("-") {
        return Ok(Format::Wav);
    }
    let ending = output.extension().and_then(|ending| ending.to_str());
    ending
        .and_then(|ending| Format::named(&ending.to_ascii_lowercase()))
        .ok_or_else(|| SayError::Format {
            path: output.display().to_string(),
        })
}
