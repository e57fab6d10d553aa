//! Why a speech request is rejected.

use std::ops::RangeInclusive;

use http::StatusCode;

use crate::text::TextError;

pub(super) const SPEED: RangeInclusive<f64> = 0.25..=4.0;
/// Sample rates in Hz that requests may choose.
pub(super) const SAMPLE_RATES: [u32; 7] = [8_000, 11_025, 16_000, 22_050, 24_000, 44_100, 48_000];

/// Why a speech request is rejected.
#[derive(Debug, Clone, PartialEq, thiserror::Error)]
pub enum RequestError {
    #[error("the body is not valid JSON: {0}")]
    BadJson(String),
    #[error(
        "the body must be a JSON object such as {{\"model\":\"tts-1\",\"voice\":\"alloy\",\"input\":\"Hello.\"}}"
    )]
    NotAnObject,
    #[error("{field} is missing; it is the text to speak")]
    Missing { field: &'static str },
    #[error("{field}: {message}")]
    WrongType {
        field: &'static str,
        message: String,
    },
    #[error("{0}")]
    Text(#[from] TextError),
    #[error("input has {found} characters, the limit is {limit}; split it into several requests")]
    TooManyCharacters { found: usize, limit: usize },
    #[error(
        "unknown voice {found:?}; available voices: {known} (OpenAI's voice names select the default voice)"
    )]
    UnknownVoice { found: String, known: String },
    #[error("unknown model {found:?}; available models: {known}")]
    UnknownModel { found: String, known: String },
    #[error("response_format {found:?} is not supported; supported formats: {known}")]
    UnsupportedFormat { found: String, known: String },
    #[error(
        "sample_rate must be one of {}, not {found}",
        SAMPLE_RATES.map(|rate| rate.to_string()).join(", ")
    )]
    BadSampleRate { found: u32 },
    #[error("sample_rate cannot be chosen for {format}, only for flac, wav and pcm; remove it")]
    FixedSampleRate { format: &'static str },
    #[error("speed must be a number from {} to {}, not {found}", SPEED.start(), SPEED.end())]
    SpeedOutOfRange { found: String },
    #[error("stream_format {found:?} is not supported yet; use \"audio\"")]
    UnsupportedStreamFormat { found: String },
}

impl RequestError {
    /// The invalid field.
    pub fn param(&self) -> Option<&'static str> {
        match self {
            Self::BadJson(_) | Self::NotAnObject => None,
            Self::Missing { field } | Self::WrongType { field, .. } => Some(field),
            Self::Text(_) | Self::TooManyCharacters { .. } => Some("input"),
            Self::UnknownVoice { .. } => Some("voice"),
            Self::UnknownModel { .. } => Some("model"),
            Self::UnsupportedFormat { .. } => Some("response_format"),
            Self::BadSampleRate { .. } | Self::FixedSampleRate { .. } => Some("sample_rate"),
            Self::SpeedOutOfRange { .. } => Some("speed"),
            Self::UnsupportedStreamFormat { .. } => Some("stream_format"),
        }
    }

    pub fn code(&self) -> &'static str {
        match self {
            Self::BadJson(_) | Self::NotAnObject => "invalid_json",
            Self::Missing { .. } => "missing_field",
            Self::WrongType { .. } => "invalid_type",
            Self::Text(TextError::Empty) => "empty_input",
            Self::Text(TextError::NothingToSay) => "nothing_to_say",
            Self::Text(TextError::Nul { .. }) => "invalid_character",
            Self::Text(TextError::UnknownLetter { .. }) => "unsupported_character",
            Self::TooManyCharacters { .. } => "input_too_long",
            Self::UnknownVoice { .. } => "voice_not_found",
            Self::UnknownModel { .. } => "model_not_found",
            Self::UnsupportedFormat { .. } => "unsupported_format",
            Self::BadSampleRate { .. } | Self::FixedSampleRate { .. } => "invalid_sample_rate",
            Self::SpeedOutOfRange { .. } => "invalid_speed",
            Self::UnsupportedStreamFormat { .. } => "unsupported_stream_format",
        }
    }

    /// 400, but OpenAI answers 404 to an unknown model.
    pub fn status(&self) -> StatusCode {
        match self {
            Self::UnknownModel { .. } => StatusCode::NOT_FOUND,
            _ => StatusCode::BAD_REQUEST,
        }
    }
}
