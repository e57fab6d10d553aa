//! Profiles from documents: a profile alone, a `TtsProfile`, or a list of them.

use serde_json::Value;
use tts_planner::{Profile, ProfileError};

/// Why a document gives no profile. `source` is the name of the file and where in it.
#[derive(Debug, thiserror::Error)]
pub enum InputError {
    #[error("{file}: the file is empty")]
    Empty { file: String },
    #[error("{file}: not a profile: {found}")]
    NotAProfile { file: String, found: String },
    #[error("{file}: {prefix}{error}")]
    Profile {
        file: String,
        /// `spec.` where the profile is in an object.
        prefix: &'static str,
        error: ProfileError,
    },
}

/// The profiles of the documents of one file, in their order.
///
/// # Errors
/// When there is none, or one cannot be read.
pub fn profiles(file: &str, documents: &[Value]) -> Result<Vec<Profile>, InputError> {
    let mut found = Vec::new();
    let several = documents.len() > 1;
    for (index, document) in documents.iter().enumerate() {
        let place = if several {
            format!("{file}, document {}", index + 1)
        } else {
            file.to_owned()
        };
        // Between two `---` there may be nothing.
        if !document.is_null() {
            add(&place, document, &mut found)?;
        }
    }
    if found.is_empty() {
        return Err(InputError::Empty {
            file: file.to_owned(),
        });
    }
    Ok(found)
}

fn add(file: &str, document: &Value, found: &mut Vec<Profile>) -> Result<(), InputError> {
    let wrong = |what: String| InputError::NotAProfile {
        file: file.to_owned(),
        found: what,
    };
    let Value::Object(object) = document else {
        return Err(wrong("the document is no object".to_owned()));
    };
    match object.get("kind").and_then(Value::as_str) {
        Some("List" | "TtsProfileList") => {
            let Some(Value::Array(items)) = object.get("items") else {
                return Err(wrong("the list has no items".to_owned()));
            };
            for (index, item) in items.iter().enumerate() {
                add(&format!("{file}, items[{index}]"), item, found)?;
            }
            Ok(())
        }
        Some("TtsProfile") => match object.get("spec") {
            Some(spec) => {
                found.push(one(file, "spec.", spec)?);
                Ok(())
            }
            None => Err(wrong("the TtsProfile has no spec".to_owned())),
        },
        Some(kind) => Err(wrong(format!("its kind is {kind}"))),
        None if !object.contains_key("schema") => {
            Err(wrong("it has neither kind nor schema".to_owned()))
        }
        None => {
            found.push(one(file, "", document)?);
            Ok(())
        }
    }
}

fn one(file: &str, prefix: &'static str, value: &Value) -> Result<Profile, InputError> {
    Profile::from_json(&value.to_string()).map_err(|error| InputError::Profile {
        file: file.to_owned(),
        prefix,
        error,
    })
}

/// An object's profile, if it keeps the rules of its format.
///
/// # Errors
/// When it does not.
pub fn checked(file: &str, profile: Profile) -> Result<Profile, InputError> {
    match profile.check() {
        Ok(()) => Ok(profile),
        Err(error) => Err(InputError::Profile {
            file: file.to_owned(),
            prefix: "spec.",
            error,
        }),
    }
}

#[cfg(test)]
mod tests {
    use serde_json::json;
    use tts_planner_dev::samples;

    use super::*;

    fn error(documents: &[Value]) -> String {
        profiles("a.yaml", documents).unwrap_err().to_string()
    }

    fn sample() -> Value {
        serde_json::to_value(samples::on_cpu("cpu", samples::PIPER, &[1])).unwrap()
    }

    #[test]
    fn a_profile_an_object_or_a_list() {
        let object = json!({"kind": "TtsProfile", "spec": sample()});
        let list = json!({"kind": "List", "items": [object, object]});
        let documents = [sample(), Value::Null, object.clone(), list];
        assert_eq!(profiles("a.yaml", &documents).unwrap().len(), 4);
    }

    #[test]
    fn wrong_documents_are_named() {
        assert_eq!(error(&[]), "a.yaml: the file is empty");
        assert_eq!(error(&[Value::Null]), "a.yaml: the file is empty");
        assert_eq!(
            error(&[json!({"kind": "Pod"})]),
            "a.yaml: not a profile: its kind is Pod"
        );
        assert_eq!(
            error(&[json!([1])]),
            "a.yaml: not a profile: the document is no object"
        );
        let mut other = sample();
        other["schema"] = "tts.profile/v9".into();
        assert!(error(&[other]).contains("tts.profile/v9"));
        let mut list = json!({"kind": "List", "items": [{"kind": "TtsProfile", "spec": sample()}]});
        list["items"][0]["spec"]["run"]["noiseCv"] = Value::Null;
        let message = error(&[list]);
        assert!(message.starts_with("a.yaml, items[0]: spec."), "{message}");
        assert!(message.contains("run.noiseCv"), "{message}");
    }

    #[test]
    fn a_level_of_one_request_is_needed() {
        let mut value = sample();
        value["configs"][0]["levels"][0]["n"] = 2.into();
        let message = error(&[value]);
        assert!(message.contains("configs[0].levels"), "{message}");
        assert!(message.contains("n=1 is needed"), "{message}");
    }
}
