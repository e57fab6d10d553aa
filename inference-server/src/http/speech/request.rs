//! What is accepted of a speech request. Pure: the voices are passed in.

use std::sync::Arc;

use super::{
    body::{SpeechBody, VoiceName, shorten},
    rejection::{RequestError, SAMPLE_RATES, SPEED},
};
use crate::{
    audio::Format,
    voices::{Catalogue, Voice},
};

/// OpenAI's model names, which are accepted for any voice.
pub const MODEL_ALIASES: [&str; 3] = ["tts-1", "tts-1-hd", "gpt-4o-mini-tts"];
/// OpenAI's voice names, which select the default voice.
pub const VOICE_ALIASES: [&str; 13] = [
    "alloy", "ash", "ballad", "cedar", "coral", "echo", "fable", "marin", "nova", "onyx", "sage",
    "shimmer", "verse",
];
/// Unknown fields that a warning names.
const MOST_NAMES: usize = 8;

/// What requests may ask for, and their limits.
#[derive(Clone, Debug)]
pub struct Rules {
    pub voices: Catalogue,
    /// Formats that requests may choose.
    pub formats: Vec<Format>,
    pub max_input_characters: usize,
}

/// A checked request.
#[derive(Clone, Debug)]
pub struct SpeechRequest {
    pub voice: Arc<Voice>,
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

impl SpeechRequest {
    /// Parses the body of a request.
    ///
    /// # Errors
    /// When it is no JSON object, a field is missing or has a value that is not accepted.
    pub fn parse(json: &[u8], rules: &Rules) -> Result<Self, RequestError> {
        let (body, unknown) = SpeechBody::parse(json)?;
        let mut warnings = Vec::new();
        let voice = voice(&body, rules)?;
        let speed = speed(body.speed)?;
        let format = format(body.response_format.as_deref(), rules, &mut warnings)?;
        let sample_rate = sample_rate(body.sample_rate, format)?;
        if let Some(found) = body.stream_format.filter(|found| found != "audio") {
            return Err(RequestError::UnsupportedStreamFormat {
                found: shorten(&found),
            });
        }
        if body.instructions.is_some_and(|text| !text.is_empty()) {
            warnings.push("instructions are ignored: this voice does not support them".to_owned());
        }
        warnings.extend(ignored_warning(&unknown));
        Ok(Self {
            voice,
            input: input(body.input, rules)?,
            format,
            sample_rate,
            speed,
            warnings,
            ignored_fields: unknown.len(),
        })
    }
}

fn input(input: Option<String>, rules: &Rules) -> Result<String, RequestError> {
    let input = input.ok_or(RequestError::Missing { field: "input" })?;
    let characters = input.chars().count();
    if characters > rules.max_input_characters {
        return Err(RequestError::TooManyCharacters {
            found: characters,
            limit: rules.max_input_characters,
        });
    }
    Ok(input)
}

/// The voice, by `voice`, else by `model` (voices are models too), else the default.
fn voice(body: &SpeechBody, rules: &Rules) -> Result<Arc<Voice>, RequestError> {
    let voices = &rules.voices;
    let by_model = match body.model.as_deref() {
        None => None,
        Some(model) if MODEL_ALIASES.contains(&model) => None,
        Some(model) => Some(
            voices
                .named(model)
                .ok_or_else(|| RequestError::UnknownModel {
                    found: shorten(model),
                    known: format!("{}, {}", MODEL_ALIASES.join(", "), voices.names()),
                })?,
        ),
    };
    let by_voice = match body.voice.as_ref().map(VoiceName::name) {
        None => None,
        Some(name) => match voices.named(name) {
            Some(voice) => Some(voice),
            None if VOICE_ALIASES.contains(&name) => None,
            None => {
                return Err(RequestError::UnknownVoice {
                    found: shorten(name),
                    known: voices.names(),
                });
            }
        },
    };
    let voice = by_voice.or(by_model);
    Ok(Arc::clone(voice.unwrap_or(voices.default_voice())))
}

fn speed(speed: Option<f64>) -> Result<f32, RequestError> {
    let speed = speed.unwrap_or(1.0);
    if !SPEED.contains(&speed) {
        return Err(RequestError::SpeedOutOfRange {
            found: shorten(&speed.to_string()),
        });
    }
    #[expect(clippy::cast_possible_truncation, reason = "between 0.25 and 4")]
    let speed = speed as f32;
    Ok(speed)
}

/// OpenAI's default is mp3.
fn format(
    name: Option<&str>,
    rules: &Rules,
    warnings: &mut Vec<String>,
) -> Result<Format, RequestError> {
    let names = || rules.formats.iter().map(|format| format.name());
    if let Some(name) = name {
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

fn sample_rate(rate: Option<u32>, format: Format) -> Result<Option<u32>, RequestError> {
    match rate {
        None => Ok(None),
        Some(_) if !format.takes_any_rate() => Err(RequestError::FixedSampleRate {
            format: format.name(),
        }),
        Some(rate) if !SAMPLE_RATES.contains(&rate) => {
            Err(RequestError::BadSampleRate { found: rate })
        }
        rate => Ok(rate),
    }
}

/// Newer clients and gateways send more fields: they are ignored and named.
fn ignored_warning(unknown: &[String]) -> Option<String> {
    if unknown.is_empty() {
        return None;
    }
    let names = unknown[..unknown.len().min(MOST_NAMES)].join(", ");
    let more = if unknown.len() > MOST_NAMES {
        ", …"
    } else {
        ""
    };
    Some(format!("ignored unknown fields: {names}{more}"))
}

#[cfg(test)]
mod tests {
    use serde_json::{Value, json};

    use super::*;
    use crate::voices::VoiceLocation;

    fn rules() -> Rules {
        let location = VoiceLocation::Builtin("rms".to_owned());
        let voices = ["anna", "bert"].map(|name| Voice::read(name, &location).unwrap());
        Rules {
            voices: Catalogue::new(voices.into(), None).unwrap(),
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
                "anna",
            ),
            (
                json!({"model": "gpt-4o-mini-tts", "voice": {"id": "bert"}, "input": "Hi"}),
                "bert",
            ),
            (json!({"model": "bert", "input": "Hi"}), "bert"),
            (
                json!({"model": "bert", "voice": "anna", "input": "Hi"}),
                "anna",
            ),
            (json!({"input": "Hi", "voice": null}), "anna"),
        ] {
            assert_eq!(parse(&body).unwrap().voice.name, voice, "{body}");
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
                "invalid_type",
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
                "invalid_type",
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
            "{\"input\":\"Hi\"} x",
            "{\"input\":\"Hi\",\"input\":\"Ho\"}",
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

    #[test]
    fn a_wrong_type_is_told_without_the_names_of_rusts_types() {
        for (body, wanted) in [
            (
                json!({"input": "Hi", "speed": "x".repeat(9000)}),
                "speed: invalid type",
            ),
            (
                json!({"input": "Hi", "sample_rate": -1}),
                "expected a whole number",
            ),
            (json!({"input": "Hi", "speed": [1]}), "expected a number"),
            (
                json!({"input": "Hi", "voice": 7}),
                "voice: it must be a string or an object with an id",
            ),
        ] {
            let message = parse(&body).unwrap_err().to_string();
            assert!(message.contains(wanted), "{message}");
            assert!(message.len() < 300, "{message}");
        }
    }
}
