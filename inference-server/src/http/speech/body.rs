//! The JSON of a speech request.

use serde::Deserialize;
use utoipa::ToSchema;

use super::rejection::RequestError;
use crate::audio::Format;

/// Characters that are repeated of names and values in messages.
const LONGEST_NAME: usize = 40;
/// Characters of a parser's message, which quotes what it found.
const LONGEST_MESSAGE: usize = 200;

/// The body of a speech request. Other fields are ignored and named in the header `warnings`.
#[derive(Debug, Deserialize, ToSchema)]
#[schema(example = json!({"model": "tts-1", "voice": "alloy", "input": "Hello."}))]
pub struct SpeechBody {
    /// The text to speak.
    #[schema(value_type = String)]
    pub(super) input: Option<String>,
    /// One of OpenAI's names, which stand for any voice, or the name of a voice.
    pub(super) model: Option<String>,
    /// A voice; OpenAI's names select the default voice.
    pub(super) voice: Option<VoiceName>,
    /// Default: mp3.
    #[schema(value_type = Option<Format>)]
    pub(super) response_format: Option<String>,
    /// In Hz, for flac, wav and pcm only: 8000, 11025, 16000, 22050, 24000, 44100 or 48000. Default: 24000 for pcm, else the
    /// voice's.
    pub(super) sample_rate: Option<u32>,
    /// Default: 1.
    #[schema(minimum = 0.25, maximum = 4.0)]
    pub(super) speed: Option<f64>,
    /// Ignored: no voice supports them yet.
    pub(super) instructions: Option<String>,
    /// Only `audio` is supported.
    pub(super) stream_format: Option<String>,
}

/// A voice, by name or as OpenAI's object.
#[derive(Debug, Deserialize, ToSchema)]
#[serde(untagged, expecting = "it must be a string or an object with an id")]
pub(super) enum VoiceName {
    Name(String),
    Object { id: String },
}

impl VoiceName {
    pub(super) fn name(&self) -> &str {
        match self {
            Self::Name(name) | Self::Object { id: name } => name,
        }
    }
}

impl SpeechBody {
    /// The fields whose errors are named; a body has no others.
    const FIELDS: [&str; 8] = [
        "input",
        "model",
        "voice",
        "response_format",
        "sample_rate",
        "speed",
        "instructions",
        "stream_format",
    ];

    /// The body, and the names of the fields that are unknown.
    ///
    /// # Errors
    /// When it is no JSON object, or a field is of another type.
    pub(super) fn parse(json: &[u8]) -> Result<(Self, Vec<String>), RequestError> {
        let mut unknown = Vec::new();
        let mut parser = serde_json::Deserializer::from_slice(json);
        let mut track = serde_path_to_error::Track::new();
        let body = serde_ignored::deserialize(
            serde_path_to_error::Deserializer::new(&mut parser, &mut track),
            |path| unknown.push(shorten(&path.to_string())),
        )
        .and_then(|body| parser.end().map(|()| body));
        match body {
            // A derived struct can be read from an array, too.
            Ok(body) if is_object(json) => Ok((body, unknown)),
            Err(error) if error.is_syntax() || error.is_eof() => {
                Err(RequestError::BadJson(error.to_string()))
            }
            Err(error) if is_object(json) => {
                let path = track.path().to_string();
                let name = path.split(['.', '[']).next().unwrap_or_default();
                let field = Self::FIELDS.into_iter().find(|field| *field == name);
                let message = readable(&error);
                Err(match field {
                    Some(field) => RequestError::WrongType { field, message },
                    None => RequestError::BadJson(message),
                })
            }
            _ => Err(RequestError::NotAnObject),
        }
    }
}

fn is_object(json: &[u8]) -> bool {
    json.trim_ascii_start().first() == Some(&b'{')
}

/// The parser's message without Rust's names of types.
fn readable(error: &serde_json::Error) -> String {
    let message = error
        .to_string()
        .replace("expected f64", "expected a number")
        .replace("expected u32", "expected a whole number");
    message.chars().take(LONGEST_MESSAGE).collect()
}

/// What is repeated of a client's name or value.
pub(super) fn shorten(text: &str) -> String {
    text.chars().take(LONGEST_NAME).collect()
}
