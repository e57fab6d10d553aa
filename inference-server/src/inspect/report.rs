//! The report of an inspection: one JSON object, and a form of it that fits into a pod's termination message.

use serde_json::{Value, json};
use sha2::{Digest as _, Sha256};

use crate::{
    families::Kind,
    fetch::{FetchedFile, download::hex},
};

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
    /// The whole report as one line of JSON.
    pub fn to_json(&self) -> String {
        match self {
            Self::Success(success) => success
                .json(
                    success.speaker_names.len(),
                    success.files.len(),
                    success.languages.len(),
                )
                .to_string(),
            Self::Failure(failure) => failure.json(&failure.printable()).to_string(),
        }
    }

    /// The report in at most 4000 bytes. Names, then files, then languages, or the end of the message are left out
    /// until it fits; the counts stay correct. `full` then has the SHA-256 of [`Report::to_json`], by which that line is
    /// found in the log.
    pub fn to_short_json(&self) -> String {
        let whole = self.to_json();
        if whole.len() <= LONGEST {
            return whole;
        }
        let full = json!({"sha256": hex(&Sha256::digest(&whole))});
        match self {
            Self::Success(success) => {
                let (mut names, mut files, mut languages) = (
                    success.speaker_names.len(),
                    success.files.len(),
                    success.languages.len(),
                );
                loop {
                    if names > 0 {
                        names -= names.div_ceil(8);
                    } else if files > 0 {
                        files -= 1;
                    } else {
                        languages = languages.saturating_sub(1);
                    }
                    let mut short = success.json(names, files, languages);
                    short["full"] = full.clone();
                    let text = short.to_string();
                    if text.len() <= LONGEST || names + files + languages == 0 {
                        return text;
                    }
                }
            }
            Self::Failure(failure) => {
                let mut message = failure.printable();
                loop {
                    message = message
                        .chars()
                        .take(message.chars().count() * 7 / 8)
                        .collect();
                    let mut short = failure.json(&message);
                    short["full"] = full.clone();
                    let text = short.to_string();
                    if text.len() <= LONGEST {
                        return text;
                    }
                }
            }
        }
    }
}

impl Failure {
    /// The message on one line.
    fn printable(&self) -> String {
        let characters = self.message.chars();
        characters
            .filter(|character| !character.is_control())
            .collect()
    }

    fn json(&self, message: &str) -> Value {
        let reason: &'static str = self.reason.into();
        json!({"schemaVersion": SCHEMA_VERSION, "ok": false, "reason": reason, "message": message})
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
        let report = Report::Success(success.clone());
        let text = report.to_short_json();
        let value: Value = serde_json::from_str(&text).unwrap();
        assert!(text.len() <= LONGEST, "{}", text.len());
        assert_eq!(value["speakers"]["count"], 904);
        // The whole is on one line, and found by its digest.
        let whole = report.to_json();
        assert!(!whole.contains('\n'));
        assert_eq!(value["full"]["sha256"], hex(&Sha256::digest(&whole)));
        let whole: Value = serde_json::from_str(&whole).unwrap();
        assert_eq!(whole["speakers"]["names"].as_array().unwrap().len(), 904);
        assert_eq!(whole["full"], Value::Null);

        let unbounded = Success {
            languages: vec!["x".repeat(5000), "y".repeat(5000)],
            ..success.clone()
        };
        let text = Report::Success(unbounded).to_short_json();
        assert!(text.len() <= LONGEST, "{}", text.len());
        serde_json::from_str::<Value>(&text).unwrap();

        let small = Success {
            speaker_names: vec!["a".to_owned()],
            files: success.files[..2].to_vec(),
            ..success
        };
        let value: Value = serde_json::from_str(&Report::Success(small).to_short_json()).unwrap();
        assert_eq!(
            (
                value["speakers"]["names"].clone(),
                value["files"].as_array().unwrap().len()
            ),
            (json!(["a"]), 2)
        );
        assert_eq!(value["full"], Value::Null, "nothing was left out");

        let message = "\"quoted\\\" ".repeat(1000);
        let text = Report::Failure(Failure {
            reason: Reason::TooLarge,
            message,
        })
        .to_short_json();
        let value: Value = serde_json::from_str(&text).unwrap();
        assert!(text.len() <= LONGEST);
        assert_eq!(value["reason"], "TooLarge");
    }
}
