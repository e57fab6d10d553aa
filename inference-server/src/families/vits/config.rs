//! The validated configuration of a Piper voice (`NAME.onnx.json`): values out of range could use unbounded memory.

use std::{collections::BTreeMap, ops::RangeInclusive};

use serde::Deserialize;

use super::{
    alphabet::{Alphabet, Unusable},
    input::Scales,
};
use crate::families::About;

/// Accepted scales. A length scale of 1e9 would make ONNX Runtime allocate hundreds of gigabytes.
const LENGTH: RangeInclusive<f32> = 0.25..=4.0;
const NOISE: RangeInclusive<f32> = 0.0..=2.0;
const SAMPLE_RATE: RangeInclusive<u32> = 8_000..=48_000;
/// Largest id and number of speakers: far above any voice's (official ones have 256 symbols, 904 speakers).
const LARGEST_ID: i64 = 65_535;
const MOST_SPEAKERS: u32 = 10_000;

/// Why a configuration is rejected.
#[derive(Clone, Debug, PartialEq, thiserror::Error)]
pub enum ConfigError {
    #[error("the voice's configuration is not valid JSON of a Piper voice: {0}")]
    NotJson(String),
    #[error(
        "the voice's configuration has {key} = {value}, which is out of range: expected {expected}"
    )]
    OutOfRange {
        key: &'static str,
        value: String,
        expected: String,
    },
    #[error(
        "the voice's phoneme_type is {found:?}, which needs a phonemizer that this version does not have; it supports English \
         voices whose phoneme_id_map contains Piper's alphabet (IPA, such as ə, ˈ, h) or the built-in voice's (ARPAbet in \
         lower case, such as ax, ah1, hh)"
    )]
    UnsupportedPhonemes { found: String },
    #[error(
        "the voice's phoneme_id_map lacks {missing} of the symbols that English requires, such as {first:?}"
    )]
    IncompleteAlphabet { missing: usize, first: String },
    #[error("the voice speaks {found:?}; this version supports English only")]
    UnsupportedLanguage { found: String },
    #[error("the voice's phoneme_id_map gives {symbol:?} the id {id}, but num_symbols is {count}")]
    BadId { symbol: String, id: i64, count: i64 },
    #[error(
        "the voice's speaker_id_map names speaker {name:?} with number {id}, but num_speakers is {count}"
    )]
    BadSpeaker { name: String, id: i64, count: u32 },
}

impl ConfigError {
    /// Whether the voice is valid but not supported by this version.
    pub fn is_unsupported(&self) -> bool {
        matches!(
            self,
            Self::UnsupportedPhonemes { .. }
                | Self::UnsupportedLanguage { .. }
                | Self::IncompleteAlphabet { .. }
        )
    }
}

#[derive(Deserialize)]
struct RawConfig {
    audio: RawAudio,
    #[serde(default = "espeak")]
    phoneme_type: String,
    phoneme_id_map: BTreeMap<String, Vec<i64>>,
    #[serde(default = "one")]
    num_speakers: u32,
    num_symbols: Option<i64>,
    #[serde(default)]
    speaker_id_map: BTreeMap<String, i64>,
    #[serde(default)]
    default_speaker_id: i64,
    #[serde(default)]
    inference: RawInference,
    language: Option<RawLanguage>,
    espeak: Option<RawEspeak>,
}

#[derive(Deserialize)]
struct RawAudio {
    sample_rate: u32,
}

#[derive(Deserialize)]
#[serde(default)]
struct RawInference {
    noise_scale: f32,
    length_scale: f32,
    noise_w: f32,
}

impl Default for RawInference {
    fn default() -> Self {
        Self {
            noise_scale: 0.667,
            length_scale: 1.0,
            noise_w: 0.8,
        }
    }
}

#[derive(Deserialize)]
struct RawLanguage {
    code: Option<String>,
}

#[derive(Deserialize)]
struct RawEspeak {
    voice: Option<String>,
}

fn espeak() -> String {
    "espeak".to_owned()
}

const fn one() -> u32 {
    1
}

/// A validated configuration.
#[derive(Clone, Debug, PartialEq)]
pub struct VitsConfig {
    pub about: About,
    pub scales: Scales,
    pub alphabet: Alphabet,
    pub default_speaker: i64,
}

impl VitsConfig {
    /// Parses and validates the file's bytes. Unknown keys are ignored: published voices have many.
    pub fn parse(json: &[u8]) -> Result<Self, ConfigError> {
        let raw: RawConfig = serde_json::from_slice(json)
            .map_err(|error| ConfigError::NotJson(error.to_string()))?;
        let alphabet = alphabet(&raw)?;
        let languages = languages(&raw);
        check_languages(&languages)?;
        in_range("audio.sample_rate", &raw.audio.sample_rate, &SAMPLE_RATE)?;
        in_range("inference.noise_scale", &raw.inference.noise_scale, &NOISE)?;
        in_range(
            "inference.length_scale",
            &raw.inference.length_scale,
            &LENGTH,
        )?;
        in_range("inference.noise_w", &raw.inference.noise_w, &NOISE)?;
        in_range("num_speakers", &raw.num_speakers, &(1..=MOST_SPEAKERS))?;
        in_range(
            "default_speaker_id",
            &raw.default_speaker_id,
            &(0..=i64::from(raw.num_speakers) - 1),
        )?;
        check_ids(&raw)?;
        let speaker_names = speaker_names(&raw)?;
        Ok(Self {
            about: About {
                sample_rate: raw.audio.sample_rate,
                languages,
                speaker_count: raw.num_speakers,
                speaker_names,
            },
            scales: Scales {
                noise: raw.inference.noise_scale,
                length: raw.inference.length_scale,
                noise_w: raw.inference.noise_w,
            },
            alphabet,
            default_speaker: raw.default_speaker_id,
        })
    }
}

/// The alphabet decides, not `phoneme_type`: "text" voices exist with any alphabet.
fn alphabet(raw: &RawConfig) -> Result<Alphabet, ConfigError> {
    Alphabet::new(&raw.phoneme_id_map).map_err(|error| match error {
        Unusable::Unknown => ConfigError::UnsupportedPhonemes {
            found: raw.phoneme_type.clone(),
        },
        Unusable::Incomplete { missing } => ConfigError::IncompleteAlphabet {
            missing: missing.len(),
            first: missing.first().copied().unwrap_or_default().to_owned(),
        },
    })
}

/// Texts are read as English; a voice of another language would speak it with the wrong sounds.
fn check_languages(languages: &[String]) -> Result<(), ConfigError> {
    match languages
        .iter()
        .find(|language| language.split('-').next() != Some("en"))
    {
        Some(other) => Err(ConfigError::UnsupportedLanguage {
            found: other.clone(),
        }),
        None => Ok(()),
    }
}

fn check_ids(raw: &RawConfig) -> Result<(), ConfigError> {
    for (symbol, ids) in &raw.phoneme_id_map {
        in_range("phoneme_id_map: ids of a symbol", &ids.len(), &(1..=8))?;
        for id in ids {
            in_range("phoneme_id_map", id, &(0..=LARGEST_ID))?;
            if let Some(count) = raw.num_symbols.filter(|count| id >= count) {
                return Err(ConfigError::BadId {
                    symbol: symbol.clone(),
                    id: *id,
                    count,
                });
            }
        }
    }
    Ok(())
}

fn in_range<T: PartialOrd + std::fmt::Display>(
    key: &'static str,
    value: &T,
    range: &RangeInclusive<T>,
) -> Result<(), ConfigError> {
    // No range contains NaN.
    if range.contains(value) {
        return Ok(());
    }
    Err(ConfigError::OutOfRange {
        key,
        value: value.to_string(),
        expected: format!("{} to {}", range.start(), range.end()),
    })
}

fn speaker_names(raw: &RawConfig) -> Result<Vec<String>, ConfigError> {
    let mut speakers: Vec<_> = raw
        .speaker_id_map
        .iter()
        .map(|(name, id)| (*id, name.clone()))
        .collect();
    speakers.sort();
    for (id, name) in &speakers {
        if !(0..i64::from(raw.num_speakers)).contains(id) {
            return Err(ConfigError::BadSpeaker {
                name: name.clone(),
                id: *id,
                count: raw.num_speakers,
            });
        }
    }
    if speakers.is_empty() && raw.num_speakers == 1 {
        return Ok(vec!["default".to_owned()]);
    }
    Ok(speakers.into_iter().map(|(_, name)| name).collect())
}

fn languages(raw: &RawConfig) -> Vec<String> {
    let code = raw
        .language
        .as_ref()
        .and_then(|language| language.code.clone())
        .or_else(|| raw.espeak.as_ref().and_then(|espeak| espeak.voice.clone()));
    code.map(|code| bcp47(&code)).into_iter().collect()
}

/// `en_US` and `en-us` as `en-US`.
fn bcp47(code: &str) -> String {
    let mut parts = code.split(['_', '-']);
    let language = parts.next().unwrap_or_default().to_ascii_lowercase();
    parts.fold(language, |tag, part| {
        let part = if part.len() == 2 {
            part.to_ascii_uppercase()
        } else {
            part.to_ascii_lowercase()
        };
        format!("{tag}-{part}")
    })
}

#[cfg(test)]
mod tests {
    use serde_json::{Value, json};

    use super::*;
    use crate::voices::builtin;

    fn builtin_with(change: impl FnOnce(&mut Value)) -> Result<VitsConfig, ConfigError> {
        let mut config: Value =
            serde_json::from_slice(builtin::find("rms").unwrap().config).unwrap();
        change(&mut config);
        VitsConfig::parse(config.to_string().as_bytes())
    }

    #[test]
    fn the_builtin_voice_is_read() {
        let config = builtin_with(|_| {}).unwrap().about;
        assert_eq!(
            (config.sample_rate, config.languages.as_slice()),
            (16_000, &["en-US".to_owned()][..])
        );
        assert_eq!(
            (config.speaker_count, config.speaker_names.as_slice()),
            (1, &["default".to_owned()][..])
        );
    }

    #[test]
    fn missing_keys_are_named() {
        for key in ["audio", "phoneme_id_map"] {
            let error = builtin_with(|config| {
                config.as_object_mut().unwrap().remove(key);
            })
            .unwrap_err();
            assert!(error.to_string().contains(key), "{error}");
        }
    }

    #[test]
    fn hostile_scales_are_refused_by_name() {
        for (key, value) in [
            ("length_scale", json!(1e9)),
            ("length_scale", json!(0)),
            ("noise_scale", json!(-1)),
            ("noise_w", json!(1e30)),
        ] {
            let error = builtin_with(|config| config["inference"][key] = value).unwrap_err();
            assert!(
                matches!(error, ConfigError::OutOfRange { .. }) && error.to_string().contains(key),
                "{error}"
            );
        }
        assert!(builtin_with(|config| config["audio"]["sample_rate"] = json!(1_000_000)).is_err());
        assert!(builtin_with(|config| config["num_speakers"] = json!(0)).is_err());
        assert!(builtin_with(|config| config["phoneme_id_map"]["p"] = json!([-1])).is_err());
        assert!(builtin_with(|config| config["inference"]["length_scale"] = json!("NaN")).is_err());
    }

    #[test]
    fn other_alphabets_and_languages_are_unsupported_not_broken() {
        for map in [
            json!({"_": [0], "^": [1], "$": [2], " ": [3], "ə": [59], "ˈ": [120]}),
            json!({"_": [0], "^": [1], "$": [2], "ā": [3]}),
        ] {
            let error = builtin_with(|config| {
                config["phoneme_type"] = json!("espeak");
                config["phoneme_id_map"] = map;
            })
            .unwrap_err();
            assert!(error.is_unsupported(), "{error}");
        }
        let error =
            builtin_with(|config| config["language"] = json!({"code": "de_DE"})).unwrap_err();
        assert!(
            error.is_unsupported() && error.to_string().contains("de-DE"),
            "{error}"
        );
        let error = builtin_with(|config| {
            config["phoneme_id_map"]
                .as_object_mut()
                .unwrap()
                .remove("ax");
        })
        .unwrap_err();
        assert_eq!(
            error,
            ConfigError::IncompleteAlphabet {
                missing: 1,
                first: "ax".to_owned()
            }
        );
    }
}
