//! A profile as a `TtsProfile` object: for files, and for the log of a Job.

use std::{fs, io::Write, path::Path};

use serde_json::{Value, json};
use sha2::{Digest as _, Sha256};
use tts_planner::Profile;

use crate::fetch::download::hex;

/// Longest part of a profile in a line of the log: container runtimes split lines of 16 KiB.
const LONGEST_LINE: usize = 4000;
/// Longest name of an object, less what is added to it.
const LONGEST_NAME: usize = 200;

/// Why a profile was not written.
#[derive(Debug, thiserror::Error)]
pub enum OutputError {
    #[error("cannot tell the format of {path}; let its name end in .json, .yaml or .yml")]
    Format { path: String },
    #[error("cannot write {path}: {error}")]
    Write { path: String, error: std::io::Error },
    #[error("the profile cannot be written as YAML: {0}")]
    Yaml(String),
    #[error("cannot read {path}: {message}")]
    Read { path: String, message: String },
    #[error("the profile cannot be written as JSON: {0}")]
    Json(#[from] serde_json::Error),
}

/// The object that holds a profile.
///
/// # Errors
/// When a number is not finite.
pub fn object(profile: &Profile) -> Result<Value, OutputError> {
    Ok(json!({
        "apiVersion": "tts-operator.dev/v1alpha1",
        "kind": "TtsProfile",
        "metadata": {"name": object_name(&profile.id)},
        "spec": serde_json::to_value(profile)?,
    }))
}

/// A name that the API server takes: lower case letters, digits and dashes.
pub fn object_name(id: &str) -> String {
    let characters = id
        .chars()
        .map(|character| match character.to_ascii_lowercase() {
            character if character.is_ascii_alphanumeric() => character,
            _ => '-',
        });
    let mut name: String = characters.collect();
    if name.len() > LONGEST_NAME {
        // The end tells profiles of one voice and class apart.
        name = name.split_off(name.len() - LONGEST_NAME);
    }
    name.trim_matches('-').to_owned()
}

/// Whether a file of this name can be written.
///
/// # Errors
/// When its ending is of another format.
pub fn check_name(path: &Path) -> Result<(), OutputError> {
    is_json(path).map(drop)
}

fn is_json(path: &Path) -> Result<bool, OutputError> {
    match path.extension().and_then(|ending| ending.to_str()) {
        Some("json") => Ok(true),
        Some("yaml" | "yml") => Ok(false),
        _ => Err(OutputError::Format {
            path: path.display().to_string(),
        }),
    }
}

/// Writes the object to a file; its ending is the format. `None` is YAML on standard output.
///
/// # Errors
/// When it cannot be written.
pub fn write(profile: &Profile, path: Option<&Path>) -> Result<(), OutputError> {
    let object = object(profile)?;
    let failed = |name: String| move |error| OutputError::Write { path: name, error };
    match path {
        None => {
            let text = yaml(&object)?;
            let out = std::io::stdout().lock().write_all(text.as_bytes());
            out.map_err(failed("standard output".to_owned()))
        }
        Some(path) => {
            let text = if is_json(path)? {
                serde_json::to_string_pretty(&object)? + "\n"
            } else {
                yaml(&object)?
            };
            fs::write(path, text).map_err(failed(path.display().to_string()))
        }
    }
}

/// Reads a profile: a `TtsProfile` as YAML or JSON, or the profile alone as JSON.
///
/// # Errors
/// When it cannot be read, or is no profile.
pub fn read(path: &Path) -> Result<Profile, OutputError> {
    let failed = |message: String| OutputError::Read {
        path: path.display().to_string(),
        message,
    };
    let text = fs::read_to_string(path).map_err(|error| failed(error.to_string()))?;
    // JSON is YAML, too; but its own reader knows numbers such as 1e400.
    let value: Value = if is_json(path)? {
        serde_json::from_str(&text).map_err(|error| failed(error.to_string()))?
    } else {
        serde_saphyr::from_str(&text).map_err(|error| failed(error.to_string()))?
    };
    let spec = value.get("spec").unwrap_or(&value);
    Profile::from_json(&spec.to_string()).map_err(|error| failed(error.to_string()))
}

fn yaml(object: &Value) -> Result<String, OutputError> {
    serde_saphyr::to_string(object).map_err(|error| OutputError::Yaml(error.to_string()))
}

/// A profile as lines of a log, and the line that says what is there: whoever reads the log sees whether it is whole.
///
/// # Errors
/// When a number is not finite.
pub fn log_lines(profile: &Profile) -> Result<(Vec<String>, Value), OutputError> {
    let text = serde_json::to_string(profile)?;
    let sha256 = hex(&Sha256::digest(&text));
    let mut lines = vec![format!("tts-profile-begin {} {sha256}", text.len())];
    let mut rest = text.as_str();
    while !rest.is_empty() {
        let mut end = LONGEST_LINE.min(rest.len());
        while !rest.is_char_boundary(end) {
            end -= 1;
        }
        let (now, later) = rest.split_at(end);
        lines.push(format!("tts-profile-data {now}"));
        rest = later;
    }
    lines.push("tts-profile-end".to_owned());
    let message = json!({
        "profile": {"bytes": text.len(), "sha256": sha256},
        "validity": profile.run.validity,
    });
    Ok((lines, message))
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn names_that_the_api_server_takes() {
        assert_eq!(
            object_name("amy.cpu-strong.3f9c21aa"),
            "amy-cpu-strong-3f9c21aa"
        );
        assert_eq!(object_name("En_GB.Alan"), "en-gb-alan");
        assert_eq!(object_name(&"x".repeat(300)).len(), 200);
    }

    #[test]
    fn the_ending_is_the_format() {
        for (path, json) in [("a.json", true), ("a.yaml", false), ("a.yml", false)] {
            assert_eq!(is_json(Path::new(path)).unwrap(), json);
        }
        assert!(check_name(Path::new("a.txt")).is_err());
        assert!(check_name(Path::new("json")).is_err());
    }
}
