//! The report of `tts-server inspect`, which it writes to the termination message of its pod.
use k8s_openapi::api::core::v1::Pod;
use serde::Deserialize;
use tts_crds::v1alpha1::{InspectedFile, Speakers};

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

/// The report of the pod's container, once it has terminated.
pub fn of_pod(pod: &Pod) -> Option<Result<Facts, Failure>> {
    let ended = pod
        .status
        .as_ref()?
        .container_statuses
        .iter()
        .flatten()
        .find_map(|container| container.state.as_ref()?.terminated.as_ref())?;
    Some(match ended.message.as_deref() {
        Some(message) => parse(message),
        None if ended.reason.as_deref() == Some("OOMKilled") => Err(Failure::new(
            "OutOfMemory",
            "the inspection exceeded its memory limit; the voice is too large",
        )),
        None => Err(Failure::new(
            "NoReport",
            format!(
                "the inspection ended with exit code {} and wrote no report; see the logs of its pod",
                ended.exit_code
            ),
        )),
    })
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
