//! JSON to [`Profile`], with an error that names the field.

use std::fmt;

use serde::de::{self, Visitor};
use serde::{Deserialize, Deserializer};

use super::check::ProfileError;
use super::{Profile, SCHEMA};

impl Profile {
    /// Reads and checks a profile.
    pub fn from_json(text: &str) -> Result<Self, ProfileError> {
        // The version first: a later format must not be refused for one of its new fields. What
        // else is wrong is named better by the second reading, which knows the fields.
        match deserialise(text) {
            Ok(Version { schema }) if schema != SCHEMA => {
                return Err(ProfileError::UnknownSchema { found: schema });
            }
            Err(missing @ ProfileError::Missing { .. }) => return Err(missing),
            Ok(_) | Err(_) => {}
        }
        let profile: Self = deserialise(text)?;
        profile.check()?;
        Ok(profile)
    }
}

#[derive(Deserialize)]
struct Version {
    schema: String,
}

fn deserialise<'de, T: Deserialize<'de>>(text: &'de str) -> Result<T, ProfileError> {
    let mut json = serde_json::Deserializer::from_str(text);
    let value = serde_path_to_error::deserialize(&mut json).map_err(|error| named(text, &error))?;
    json.end().map_err(|error| ProfileError::Syntax {
        field: ".".to_owned(),
        message: error.to_string(),
    })?;
    Ok(value)
}

/// Sorts serde's one kind of error into ours. The field that is missing or unknown stands in
/// serde's message only, not in its path; the tests below pin the wording.
fn named(text: &str, error: &serde_path_to_error::Error<serde_json::Error>) -> ProfileError {
    let path = error.path().to_string();
    let cause = error.inner();
    let message = cause.to_string();
    let quoted = |prefix: &str| {
        let name = message.strip_prefix(prefix)?.split('`').next()?;
        Some(if path == "." {
            name.to_owned()
        } else {
            format!("{path}.{name}")
        })
    };
    if let Some(field) = quoted("missing field `") {
        return ProfileError::Missing { field };
    }
    // The path of an unknown field ends in the field itself.
    if message.starts_with("unknown field `") {
        return ProfileError::UnknownField { field: path };
    }
    if not_a_number(text, cause) {
        return ProfileError::NotFinite { field: path };
    }
    if cause.is_data() {
        return ProfileError::WrongType {
            field: path,
            message,
        };
    }
    ProfileError::Syntax {
        field: path,
        message,
    }
}

/// JSON has no NaN and no infinity, but other languages write them, and a number may be too large
/// to be one.
fn not_a_number(text: &str, error: &serde_json::Error) -> bool {
    if error.to_string().starts_with("number out of range") {
        return true;
    }
    let line = text
        .lines()
        .nth(error.line().saturating_sub(1))
        .unwrap_or_default();
    // The parser stops inside the word: at its first letter that no JSON word has.
    let before = line
        .get(..error.column().min(line.len()))
        .unwrap_or_default();
    let start = before.rfind([':', ',', '[', ' ']).map_or(0, |at| at + 1);
    let word = line
        .get(start..)
        .unwrap_or_default()
        .trim_start_matches('-');
    ["NaN", "Infinity", "nan", "inf"]
        .iter()
        .any(|name| word.starts_with(name))
}

/// A version is text, but YAML makes the number 6.1 of an unquoted `6.10`. Which it was cannot be
/// known, so a number is marked as one: what was measured counts as outdated, whatever runs now.
pub(super) fn version<'de, D: Deserializer<'de>>(deserializer: D) -> Result<String, D::Error> {
    deserializer.deserialize_any(Text)
}

struct Text;

impl Text {
    fn number(number: impl fmt::Display) -> String {
        let number = number.to_string();
        let minor = if number.contains('.') { "" } else { ".?" };
        format!("{number}{minor} (a number; quote versions)")
    }
}

impl Visitor<'_> for Text {
    type Value = String;

    fn expecting(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.write_str("a version as text")
    }

    fn visit_str<E: de::Error>(self, text: &str) -> Result<String, E> {
        Ok(text.to_owned())
    }

    fn visit_f64<E: de::Error>(self, number: f64) -> Result<String, E> {
        Ok(Self::number(number))
    }

    fn visit_i64<E: de::Error>(self, number: i64) -> Result<String, E> {
        Ok(Self::number(number))
    }

    fn visit_u64<E: de::Error>(self, number: u64) -> Result<String, E> {
        Ok(Self::number(number))
    }
}
