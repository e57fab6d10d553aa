//! The report of an inspection: one JSON object of at most 4000 bytes, which fits into a pod's termination message.

use serde_json::{Value, json};

use crate::{families::Kind, fetch::FetchedFile};

/// The kubelet truncates a termination message at 4096 bytes, and truncated JSON cannot be parsed.
const LONGEST: usize = 4000;
const SCHEMA_VERSION: u32 = 1;

/// Why a voice failed its inspection; the reason of the condition in its status.
#[derive(Clone, Copy, Debug, PartialEq, Eq, strum::IntoStaticStr)]
pub enum Reason {
    Unreachable,
    DigestMismatch,
    UnknownBuiltin,
    UnsupportedVoice,
    CorruptModel,
    InvalidConfig,
    TooLarge,
    InvalidSource,
    Failed,
}

/// A voice that produces audio.
#[derive(Clone, Debug, PartialEq)]
pub struct Success {
    pub digest: String,
    pub size_bytes: u64,
    pub family: Kind,
    pub sample_rate_hz: u32,
    pub languages: Vec<String>,
    pub speaker_count: u32,
    pub speaker_names: Vec<String>,
    pub files: Vec<FetchedFile>,
    pub peak_memory_bytes: Option<u64>,
}

/// A voice that failed.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Failure {
    pub reason: Reason,
    pub message: String,
}

/// The report.
#[derive(Clone, Debug, PartialEq)]
pub enum Report {
    Success(Success),
    Failure(Failure),
}

impl Report {
    /// The JSON line. Names, then files, then languages, or the end of the message are left out until it fits; the counts
    /// stay correct.
    pub fn to_json(&self) -> String {
        match self {
            Self::Success(success) => {
                let (mut names, mut files, mut languages) = (
                    success.speaker_names.len(),
                    success.files.len(),
                    success.languages.len(),
                );
                loop {
                    let text = success.json(names, files, languages).to_string();
                    if text.len() <= LONGEST || names + files + languages == 0 {
                        return text;
                    }
                    if names > 0 {
                        names -= names.div_ceil(8);
                    } else if files > 0 {
                        files -= 1;
                    } else {
                        languages -= 1;
                    }
                }
            }
            Self::Failure(failure) => {
                let mut message: String = failure
                    .message
                    .chars()
                    .filter(|character| !character.is_control())
                    .collect();
                loop {
                    let reason: &'static str = failure.reason.into();
                    let text =
                        json!({"schemaVersion": SCHEMA_VERSION, "ok": false, "reason": reason, "message": message})
                            .to_string();
                    if text.len() <= LONGEST {
                        return text;
                    }
                    message = message
                        .chars()
                        .take(message.chars().count() * 7 / 8)
                        .collect();
                }
            }
        }
    }
}

impl Success {
    fn json(&self, names: usize, files: usize, languages: usize) -> Value {
        let family: &'static str = self.family.into();
        let files: Vec<_> = self.files[..files]
            .iter()
            .map(|file| json!({"path": file.path, "sha256": file.sha256, "sizeBytes": file.size}))
            .collect();
        json!({
            "schemaVersion": SCHEMA_VERSION,
            "ok": true,
            "digest": self.digest,
            "sizeBytes": self.size_bytes,
            "family": family,
            "sampleRateHz": self.sample_rate_hz,
            "languages": self.languages[..languages],
            "speakers": {"count": self.speaker_count, "names": self.speaker_names[..names]},
            "files": files,
            "peakMemoryBytes": self.peak_memory_bytes,
        })
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_report_always_fits_and_is_always_json() {
        let success = Success {
            digest: format!("sha256:{}", "a".repeat(64)),
            size_bytes: 1,
            family: Kind::Piper,
            sample_rate_hz: 22_050,
            languages: vec!["en-US".to_owned()],
            speaker_count: 904,
            speaker_names: (0..904)
                .map(|number| format!("speaker \"{number}\""))
                .collect(),
            files: (0..16)
                .map(|_| FetchedFile {
                    path: "\u{1f389}".repeat(63),
                    sha256: "a".repeat(64),
                    size: 1,
                })
                .collect(),
            peak_memory_bytes: Some(1),
        };
        let text = Report::Success(success.clone()).to_json();
        let value: Value = serde_json::from_str(&text).unwrap();
        assert!(text.len() <= LONGEST, "{}", text.len());
        assert_eq!(value["speakers"]["count"], 904);

        let unbounded = Success {
            languages: vec!["x".repeat(5000), "y".repeat(5000)],
            ..success.clone()
        };
        let text = Report::Success(unbounded).to_json();
        assert!(text.len() <= LONGEST, "{}", text.len());
        serde_json::from_str::<Value>(&text).unwrap();

        let small = Success {
            speaker_names: vec!["a".to_owned()],
            files: success.files[..2].to_vec(),
            ..success
        };
        let value: Value = serde_json::from_str(&Report::Success(small).to_json()).unwrap();
        assert_eq!(
            (
                value["speakers"]["names"].clone(),
                value["files"].as_array().unwrap().len()
            ),
            (json!(["a"]), 2)
        );

        let message = "\"quoted\\\" ".repeat(1000);
        let text = Report::Failure(Failure {
            reason: Reason::TooLarge,
            message,
        })
        .to_json();
        let value: Value = serde_json::from_str(&text).unwrap();
        assert!(text.len() <= LONGEST);
        assert_eq!(value["reason"], "TooLarge");
    }
}
