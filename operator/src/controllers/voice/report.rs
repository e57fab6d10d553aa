//! The report of `tts-server inspect`, which it writes to the termination message of its pod.
use serde::Deserialize;
use tts_crds::{
    quantity::Quantity,
    v1alpha1::{InspectedFile, Speakers},
};

use crate::jobs::Outcome;

/// The version of the report that this operator reads.
const SCHEMA_VERSION: u32 = 1;

/// Facts of a voice that loads and produces audio.
#[derive(Clone, Debug, PartialEq, Eq, Deserialize)]
#[serde(rename_all = "camelCase")]
pub struct Facts {
    pub digest: String,
    pub size_bytes: i64,
    #[serde(default)]
    pub peak_memory_bytes: Option<i64>,
    pub family: String,
    pub sample_rate_hz: i32,
    #[serde(default)]
    pub languages: Vec<String>,
    pub speakers: Speakers,
    #[serde(default)]
    pub files: Vec<InspectedFile>,
}

/// Why a voice cannot be served.
#[derive(Clone, Debug, PartialEq, Eq, Deserialize)]
#[serde(rename_all = "camelCase")]
pub struct Failure {
    /// `CamelCase`, a condition's reason.
    pub reason: String,
    pub message: String,
}

impl Failure {
    pub fn new(reason: &str, message: impl Into<String>) -> Self {
        Self {
            reason: reason.to_owned(),
            message: message.into(),
        }
    }

    /// Whether the files could not be obtained, as opposed to being unusable.
    pub fn is_of_source(&self) -> bool {
        matches!(
            self.reason.as_str(),
            "Unreachable" | "DigestMismatch" | "UnknownBuiltin" | "InvalidSource" | "TooLarge"
        )
    }

    /// Whether it stays so until the voice or its source is changed.
    pub fn is_permanent(&self) -> bool {
        matches!(
            self.reason.as_str(),
            "DigestMismatch"
                | "UnknownBuiltin"
                | "InvalidSource"
                | "TooLarge"
                | "UnsupportedVoice"
                | "CorruptModel"
                | "InvalidConfig"
        )
    }
}

#[derive(Deserialize)]
#[serde(rename_all = "camelCase")]
struct Header {
    schema_version: u32,
    ok: bool,
}

/// The facts in what the inspection Job with this memory limit (bytes) left.
pub fn facts(outcome: Outcome, memory: u64) -> Result<Facts, Failure> {
    match outcome {
        Outcome::Message(message) => parse(&message),
        Outcome::OutOfMemory => Err(Failure::new(
            "OutOfMemory",
            format!(
                "the inspection exceeded its memory limit of {}; the voice is too large",
                Quantity::from_bytes_in_mebi(memory)
            ),
        )),
        Outcome::Silent { exit_code } => Err(Failure::new(
            "NoReport",
            format!(
                "the inspection ended with exit code {exit_code} and wrote no report; see the logs of its pod"
            ),
        )),
        Outcome::TimedOut {
            waiting: Some(waiting),
        } => Err(Failure::new(
            "InspectionTimedOut",
            format!("the inspection timed out: {waiting}"),
        )),
        Outcome::TimedOut { waiting: None } => Err(Failure::new(
            "InspectionTimedOut",
            "the inspection timed out; see the events of its Job and pod with kubectl describe",
        )),
        Outcome::Lost => Err(Failure::new(
            "NoReport",
            "the pod of the inspection was deleted before its report was read",
        )),
    }
}

fn parse(message: &str) -> Result<Facts, Failure> {
    let unreadable = |error: serde_json::Error| {
        Failure::new(
            "UnreadableReport",
            format!(
                "cannot read the report of the inspection ({error}); use the server image of the operator's version"
            ),
        )
    };
    let header: Header = serde_json::from_str(message).map_err(unreadable)?;
    if header.schema_version != SCHEMA_VERSION {
        return Err(Failure::new(
            "UnreadableReport",
            format!(
                "the inspection wrote a report of version {}, but this operator reads version {SCHEMA_VERSION}; use the server image of the operator's version",
                header.schema_version
            ),
        ));
    }
    if header.ok {
        serde_json::from_str(message).map_err(unreadable)
    } else {
        Err(serde_json::from_str(message).unwrap_or_else(unreadable))
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn facts_and_failures_are_told_apart() {
        let facts = parse(
            r#"{"schemaVersion":1,"ok":true,"digest":"sha256:ab","sizeBytes":5,"family":"Piper","sampleRateHz":16000,
                "languages":["en-US"],"speakers":{"count":1,"names":["default"]},"files":[],"peakMemoryBytes":9,"later":true}"#,
        )
        .unwrap();
        assert_eq!((facts.sample_rate_hz, facts.speakers.count), (16_000, 1));
        let failure =
            parse(r#"{"schemaVersion":1,"ok":false,"reason":"DigestMismatch","message":"a.onnx"}"#)
                .unwrap_err();
        assert!(failure.is_permanent() && failure.is_of_source());
    }

    #[test]
    fn a_report_of_another_version_names_the_versions() {
        let failure = parse(r#"{"schemaVersion":2,"ok":true}"#).unwrap_err();
        assert_eq!(failure.reason, "UnreadableReport");
        assert!(failure.message.contains("version 2"), "{failure:?}");
        assert!(!failure.is_permanent());
    }

    #[test]
    fn garbage_is_a_failure() {
        assert_eq!(parse("Killed").unwrap_err().reason, "UnreadableReport");
    }
}
