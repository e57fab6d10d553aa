//! Parses and validates OpenAI's speech request. Pure: the voices are passed in.

use std::ops::RangeInclusive;

use http::StatusCode;
use serde_json::{Map, Value};

use crate::{audio::Format, text::TextError};

/// OpenAI's model names, which are accepted for any voice.
pub const MODEL_ALIASES: [&str; 3] = ["tts-1", "tts-1-hd", "gpt-4o-mini-tts"];
/// OpenAI's voice names, which select the default voice.
pub const VOICE_ALIASES: [&str; 13] = [
    "alloy", "ash", "ballad", "cedar", "coral", "echo", "fable", "marin", "nova", "onyx", "sage",
    "shimmer", "verse",
];
const SPEED: RangeInclusive<f64> = 0.25..=4.0;
/// Sample rates in Hz that requests may choose.
const SAMPLE_RATES: [u32; 7] = [8_000, 11_025, 16_000, 22_050, 24_000, 44_100, 48_000];
/// Limits for the names of unknown fields in a warning.
const MOST_NAMES: usize = 8;
const LONGEST_NAME: usize = 40;

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
    #[error("{field} must be {expected}, not {found}")]
    WrongType {
        field: &'static str,
        expected: &'static str,
        found: &'static str,
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
    BadSampleRate { found: String },
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

/// The names that requests may use, and their limits.
#[derive(Clone, Debug)]
pub struct Rules {
    /// Served voices, in order.
    pub voices: Vec<String>,
    pub default_voice: usize,
    /// Formats that requests may choose.
    pub formats: Vec<Format>,
    pub max_input_characters: usize,
}

/// A checked request.
#[derive(Clone, Debug, PartialEq)]
pub struct SpeechRequest {
    pub voice: usize,
    /// Not read yet: its characters may turn out to be unsupported, or its audio too long.
    pub input: String,
    pub format: Format,
    /// In Hz; `None`: what the format has for the voice.
    pub sample_rate: Option<u32>,
    pub speed: f32,
    /// What was ignored or skipped, one sentence per item.
    pub warnings: Vec<String>,
    /// Number of ignored fields.
    pub ignored_fields: usize,
}

const KNOWN_FIELDS: [&str; 8] = [
    "model",
    "input",
    "voice",
    "response_format",
    "sample_rate",
    "speed",
    "instructions",
    "stream_format",
];

impl SpeechRequest {
    /// Parses the body of a request.
    pub fn parse(body: &[u8], rules: &Rules) -> Result<Self, RequestError> {
        let value: Value = serde_json::from_slice(body)
            .map_err(|error| RequestError::BadJson(error.to_string()))?;
        let Value::Object(fields) = value else {
            return Err(RequestError::NotAnObject);
        };
        let mut warnings = Vec::new();
        let input = string(&fields, "input")?.ok_or(RequestError::Missing { field: "input" })?;
        let characters = input.chars().count();
        if characters > rules.max_input_characters {
            return Err(RequestError::TooManyCharacters {
                found: characters,
                limit: rules.max_input_characters,
            });
        }
        let voice = voice(&fields, rules)?;
        let speed = speed(&fields)?;
        let format = format(&fields, rules, &mut warnings)?;
        let sample_rate = sample_rate(&fields, format)?;
        if let Some(found) = string(&fields, "stream_format")?.filter(|found| *found != "audio") {
            return Err(RequestError::UnsupportedStreamFormat {
                found: shorten(found),
            });
        }
        if string(&fields, "instructions")?.is_some_and(|instructions| !instructions.is_empty()) {
            warnings.push("instructions are ignored: this voice does not support them".to_owned());
        }
        let ignored_fields = ignored(&fields, &mut warnings);
        #[expect(clippy::cast_possible_truncation, reason = "between 0.25 and 4")]
        let run_speed = speed as f32;
        Ok(Self {
            voice,
            input: input.to_owned(),
            format,
            sample_rate,
            speed: run_speed,
            warnings,
            ignored_fields,
        })
    }
}

fn kind(value: &Value) -> &'static str {
    match value {
        Value::Null => "null",
        Value::Bool(_) => "a boolean",
        Value::Number(_) => "a number",
        Value::String(_) => "a string",
        Value::Array(_) => "an array",
        Value::Object(_) => "an object",
    }
}

/// A string field; `null` counts as absent.
fn string<'a>(
    fields: &'a Map<String, Value>,
    field: &'static str,
) -> Result<Option<&'a str>, RequestError> {
    match fields.get(field) {
        None | Some(Value::Null) => Ok(None),
        Some(Value::String(text)) => Ok(Some(text)),
        Some(other) => Err(RequestError::WrongType {
            field,
            expected: "a string",
            found: kind(other),
        }),
    }
}

/// The voice, by `voice` (a name or `{"id"}`), else by `model` (voices are models too), else the default.
fn voice(fields: &Map<String, Value>, rules: &Rules) -> Result<usize, RequestError> {
    let named = |name: &str| rules.voices.iter().position(|voice| voice == name);
    let model = string(fields, "model")?;
    let by_model = match model {
        None => None,
        Some(model) if MODEL_ALIASES.contains(&model) => None,
        Some(model) => Some(named(model).ok_or_else(|| {
            RequestError::UnknownModel {
                found: shorten(model),
                known: MODEL_ALIASES
                    .iter()
                    .map(|alias| (*alias).to_owned())
                    .chain(rules.voices.clone())
                    .collect::<Vec<_>>()
                    .join(", "),
            }
        })?),
    };
    let name = match fields.get("voice") {
        Some(Value::Object(voice)) => {
            Some(string(voice, "id")?.ok_or(RequestError::WrongType {
                field: "voice",
                expected: "a string or an object with an id",
                found: "an object without id",
            })?)
        }
        _ => string(fields, "voice")?,
    };
    let by_voice = match name {
        None => None,
        Some(name) => match named(name) {
            Some(voice) => Some(voice),
            None if VOICE_ALIASES.contains(&name) => None,
            None => {
                return Err(RequestError::UnknownVoice {
                    found: shorten(name),
                    known: rules.voices.join(", "),
                });
            }
        },
    };
    Ok(by_voice.or(by_model).unwrap_or(rules.default_voice))
}

fn speed(fields: &Map<String, Value>) -> Result<f64, RequestError> {
    match fields.get("speed") {
        None | Some(Value::Null) => Ok(1.0),
        Some(value) => value
            .as_f64()
            .filter(|speed| SPEED.contains(speed))
            .ok_or_else(|| RequestError::SpeedOutOfRange {
                found: shorten(&value.to_string()),
            }),
    }
}

/// OpenAI's default is mp3.
fn format(
    fields: &Map<String, Value>,
    rules: &Rules,
    warnings: &mut Vec<String>,
) -> Result<Format, RequestError> {
    let names = || rules.formats.iter().map(|format| format.name());
    if let Some(name) = string(fields, "response_format")? {
        return Format::named(name)
            .filter(|format| rules.formats.contains(format))
            .ok_or_else(|| RequestError::UnsupportedFormat {
                found: shorten(name),
                known: names().collect::<Vec<_>>().join(", "),
            });
    }
    let default = match rules.formats.first() {
        Some(first) if !rules.formats.contains(&Format::Mp3) => {
            warnings.push(format!(
                "response_format is not set: the response is {}, because mp3 is turned off",
                first.name()
            ));
            *first
        }
        _ => Format::Mp3,
    };
    Ok(default)
}

fn sample_rate(fields: &Map<String, Value>, format: Format) -> Result<Option<u32>, RequestError> {
    let value = match fields.get("sample_rate") {
        None | Some(Value::Null) => return Ok(None),
        Some(value) => value,
    };
    if !format.takes_any_rate() {
        return Err(RequestError::FixedSampleRate {
            format: format.name(),
        });
    }
    let rate = value
        .as_u64()
        .and_then(|rate| u32::try_from(rate).ok())
        .filter(|rate| SAMPLE_RATES.contains(rate));
    rate.map(Some).ok_or_else(|| RequestError::BadSampleRate {
        found: shorten(&value.to_string()),
    })
}

/// Newer clients and gateways send more fields: they are ignored and named in a warning.
fn ignored(fields: &Map<String, Value>, warnings: &mut Vec<String>) -> usize {
    let unknown: Vec<_> = fields
        .keys()
        .filter(|name| !KNOWN_FIELDS.contains(&name.as_str()))
        .collect();
    if !unknown.is_empty() {
        let names: Vec<_> = unknown
            .iter()
            .take(MOST_NAMES)
            .map(|name| shorten(name))
            .collect();
        let more = if unknown.len() > MOST_NAMES {
            ", …"
        } else {
            ""
        };
        warnings.push(format!(
            "ignored unknown fields: {}{more}",
            names.join(", ")
        ));
    }
    unknown.len()
}

fn shorten(text: &str) -> String {
    text.chars().take(LONGEST_NAME).collect()
}

#[cfg(test)]
mod tests {
    use serde_json::json;

    use super::*;

    fn rules() -> Rules {
        Rules {
            voices: vec!["anna".to_owned(), "bert".to_owned()],
            default_voice: 0,
            formats: Format::all().collect(),
            max_input_characters: 4096,
        }
    }

    fn parse(body: &Value) -> Result<SpeechRequest, RequestError> {
        SpeechRequest::parse(body.to_string().as_bytes(), &rules())
    }

    #[test]
    fn openai_names_stand_for_the_default_voice() {
        for (body, voice) in [
            (
                json!({"model": "tts-1", "voice": "alloy", "input": "Hi"}),
                0,
            ),
            (
                json!({"model": "gpt-4o-mini-tts", "voice": {"id": "bert"}, "input": "Hi"}),
                1,
            ),
            (json!({"model": "bert", "input": "Hi"}), 1),
            (json!({"model": "bert", "voice": "anna", "input": "Hi"}), 0),
            (json!({"input": "Hi", "voice": null}), 0),
        ] {
            assert_eq!(parse(&body).unwrap().voice, voice, "{body}");
        }
    }

    #[test]
    fn what_is_passed_over_is_named() {
        let request =
            parse(&json!({"input": "Hi", "instructions": "Whisper", "seed": 4, "top_p": 1}))
                .unwrap();
        assert_eq!(request.ignored_fields, 2);
        let warnings = request.warnings.join("; ");
        for wanted in ["instructions", "seed, top_p"] {
            assert!(warnings.contains(wanted), "{warnings}");
        }
        assert!(
            parse(&json!({"input": "Hi", "response_format": "wav"}))
                .unwrap()
                .warnings
                .is_empty()
        );
    }

    #[test]
    fn what_was_wrong_with_a_text_names_the_input() {
        for (text, code) in [
            ("", "empty_input"),
            (" \n\t", "empty_input"),
            ("?!… — ,", "nothing_to_say"),
            ("🎉🎉", "nothing_to_say"),
            ("a\u{0}b", "invalid_character"),
            ("Привет", "unsupported_character"),
        ] {
            let error = RequestError::from(crate::text::read(text, 200).unwrap_err());
            assert_eq!(
                (error.param(), error.code()),
                (Some("input"), code),
                "{error}"
            );
            assert!(error.to_string().len() > 25, "{error}");
        }
    }

    #[test]
    fn mp3_is_the_default_unless_it_is_turned_off() {
        let request = parse(&json!({"input": "Hi"})).unwrap();
        assert_eq!((request.format, request.warnings.len()), (Format::Mp3, 0));
        let rules = Rules {
            formats: vec![Format::Wav, Format::Pcm],
            ..rules()
        };
        let request = SpeechRequest::parse(b"{\"input\":\"Hi\"}", &rules).unwrap();
        assert_eq!(request.format, Format::Wav);
        assert!(
            request.warnings[0].contains("wav"),
            "{:?}",
            request.warnings
        );
        let error = SpeechRequest::parse(b"{\"input\":\"Hi\",\"response_format\":\"mp3\"}", &rules)
            .unwrap_err();
        assert!(error.to_string().ends_with("wav, pcm"), "{error}");
    }

    #[test]
    fn a_sample_rate_may_be_chosen_where_nothing_is_lost() {
        let rate = |format: &str, rate: u32| {
            parse(&json!({"input": "Hi", "response_format": format, "sample_rate": rate}))
                .unwrap()
                .sample_rate
        };
        assert_eq!(rate("pcm", 48_000), Some(48_000));
        assert_eq!(rate("wav", 8_000), Some(8_000));
    }

    /// A body, and the field and the code of its error.
    type Wrong = (Value, Option<&'static str>, &'static str);

    fn wrong_requests() -> Vec<Wrong> {
        vec![
            (
                json!({"input": "x".repeat(4097)}),
                Some("input"),
                "input_too_long",
            ),
            (
                json!({"input": "x".repeat(100_000)}),
                Some("input"),
                "input_too_long",
            ),
            (json!({"voice": "alloy"}), Some("input"), "missing_field"),
            (json!({"input": 5}), Some("input"), "invalid_type"),
            (
                json!({"input": "Hi", "voice": "nobody"}),
                Some("voice"),
                "voice_not_found",
            ),
            (
                json!({"input": "Hi", "voice": {"name": "x"}}),
                Some("voice"),
                "invalid_type",
            ),
            (
                json!({"input": "Hi", "voice": 7}),
                Some("voice"),
                "invalid_type",
            ),
            (
                json!({"input": "Hi", "model": "whisper-1"}),
                Some("model"),
                "model_not_found",
            ),
            (
                json!({"input": "Hi", "response_format": "mp3", "sample_rate": 24000}),
                Some("sample_rate"),
                "invalid_sample_rate",
            ),
            (
                json!({"input": "Hi", "response_format": "pcm", "sample_rate": 12345}),
                Some("sample_rate"),
                "invalid_sample_rate",
            ),
            (
                json!({"input": "Hi", "response_format": "pcm", "sample_rate": "24000"}),
                Some("sample_rate"),
                "invalid_sample_rate",
            ),
            (
                json!({"input": "Hi", "response_format": "midi"}),
                Some("response_format"),
                "unsupported_format",
            ),
            (
                json!({"input": "Hi", "speed": 0}),
                Some("speed"),
                "invalid_speed",
            ),
            (
                json!({"input": "Hi", "speed": 0.249}),
                Some("speed"),
                "invalid_speed",
            ),
            (
                json!({"input": "Hi", "speed": 4.01}),
                Some("speed"),
                "invalid_speed",
            ),
            (
                json!({"input": "Hi", "speed": 1e9}),
                Some("speed"),
                "invalid_speed",
            ),
            (
                json!({"input": "Hi", "speed": "NaN"}),
                Some("speed"),
                "invalid_speed",
            ),
            (
                json!({"input": "Hi", "stream_format": "sse"}),
                Some("stream_format"),
                "unsupported_stream_format",
            ),
            (json!([1, 2]), None, "invalid_json"),
        ]
    }

    #[test]
    fn wrong_requests_name_the_field_and_the_way_out() {
        for (body, param, code) in wrong_requests() {
            let error = parse(&body).unwrap_err();
            assert_eq!((error.param(), error.code()), (param, code), "{error}");
            assert!(error.to_string().len() > 25, "{error}");
        }
        for body in [
            "{",
            "",
            "{\"input\":\"\\ud800\"}",
            "{\"input\":\"Hi\",\"speed\":NaN}",
            "{\"input\":\"Hi\",\"speed\":1e999}",
        ] {
            assert_eq!(
                SpeechRequest::parse(body.as_bytes(), &rules())
                    .unwrap_err()
                    .code(),
                "invalid_json",
                "{body}"
            );
        }
        assert_eq!(
            SpeechRequest::parse(b"{\"input\":\"\xff\"}", &rules())
                .unwrap_err()
                .code(),
            "invalid_json"
        );
    }

    #[test]
    fn limits_hold_at_their_edge() {
        assert!(parse(&json!({"input": "word ".repeat(4096 / 5)})).is_ok());
        assert!(parse(&json!({"input": "Hi", "speed": 0.25})).is_ok());
        assert!(parse(&json!({"input": "Hi", "speed": 4})).is_ok());
    }
}
