//! What a benchmark's Job left: a profile in its log, or an error in its termination message.
use serde::Deserialize;
use sha2::{Digest as _, Sha256};
use tts_planner::Profile;

use crate::{children::hex, jobs::Outcome};

/// Why there is no profile.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Failure {
    /// `CamelCase`, a condition's reason.
    pub reason: String,
    pub message: String,
    /// Whether another attempt would end the same.
    pub permanent: bool,
}

impl Failure {
    pub fn temporary(reason: &str, message: impl Into<String>) -> Self {
        Self {
            reason: reason.to_owned(),
            message: message.into(),
            permanent: false,
        }
    }
}

/// The termination message of the profiler.
#[derive(Debug, Deserialize)]
#[serde(untagged)]
enum Message {
    Measured {
        profile: Digest,
    },
    Failed {
        error: String,
        #[serde(default = "failed")]
        reason: String,
        #[serde(default)]
        permanent: bool,
    },
}

#[derive(Debug, Deserialize)]
struct Digest {
    bytes: usize,
    sha256: String,
}

fn failed() -> String {
    "NotMeasured".to_owned()
}

/// Whether the profile has to be read from the log.
pub fn is_in_log(outcome: &Outcome) -> bool {
    let Outcome::Message(message) = outcome else {
        return false;
    };
    matches!(serde_json::from_str(message), Ok(Message::Measured { .. }))
}

/// The profile, from what the Job left and from its log.
pub fn profile(outcome: &Outcome, log: Option<&str>) -> Result<Profile, Failure> {
    let message = match outcome {
        Outcome::Message(message) => message,
        Outcome::OutOfMemory => {
            return Err(Failure::temporary(
                "OutOfMemory",
                "the benchmark exceeded its memory limit; the voice needs more than twice what its inspection needed",
            ));
        }
        Outcome::Silent { exit_code } => {
            return Err(Failure::temporary(
                "NoReport",
                format!(
                    "the benchmark ended with exit code {exit_code} and said nothing; see the logs of its pod"
                ),
            ));
        }
        Outcome::TimedOut { waiting } => {
            let waiting = waiting
                .as_ref()
                .map_or_else(String::new, |text| format!(": {text}"));
            return Err(Failure::temporary(
                "TimedOut",
                format!("the benchmark timed out{waiting}"),
            ));
        }
        Outcome::Lost => {
            return Err(Failure::temporary(
                "PodLost",
                "the pod of the benchmark was evicted or its node vanished",
            ));
        }
    };
    match serde_json::from_str(message) {
        Ok(Message::Failed {
            error,
            reason,
            permanent,
        }) => Err(Failure {
            reason,
            message: error,
            permanent,
        }),
        Ok(Message::Measured { profile }) => whole(log.unwrap_or_default(), &profile),
        Err(_) => Err(Failure::temporary(
            "UnreadableReport",
            format!(
                "cannot read what the benchmark left ({message:.200}); use the server image of the operator's version"
            ),
        )),
    }
}

/// The profile of a log, if that has all of it.
fn whole(log: &str, digest: &Digest) -> Result<Profile, Failure> {
    let begin = format!("tts-profile-begin {} {}", digest.bytes, digest.sha256);
    let text: String = log
        .lines()
        .skip_while(|line| *line != begin)
        .take_while(|line| *line != "tts-profile-end")
        .filter_map(|line| line.strip_prefix("tts-profile-data "))
        .collect();
    if text.len() != digest.bytes || hex(&Sha256::digest(&text)) != digest.sha256 {
        return Err(Failure::temporary(
            "LogCut",
            format!(
                "the log of the benchmark has {} of {} bytes of the profile, or other ones: it was cut or rotated",
                text.len(),
                digest.bytes
            ),
        ));
    }
    Profile::from_json(&text).map_err(|error| Failure {
        reason: "InvalidProfile".to_owned(),
        message: format!("the benchmark wrote a profile that this operator cannot read: {error}; use the server image of the operator's version"),
        permanent: true,
    })
}

#[cfg(test)]
mod tests {
    use super::*;

    const PROFILE: &str = tts_planner_dev::samples::PROFILE;

    fn compact() -> String {
        let value: serde_json::Value = serde_json::from_str(PROFILE).unwrap();
        value.to_string()
    }

    fn measured(text: &str) -> Outcome {
        let sha256 = hex(&Sha256::digest(text));
        Outcome::Message(format!(
            r#"{{"profile":{{"bytes":{},"sha256":"{sha256}"}},"validity":"Valid"}}"#,
            text.len()
        ))
    }

    fn log(text: &str) -> String {
        let sha256 = hex(&Sha256::digest(text));
        let (first, second) = text.split_at(1000);
        format!(
            "anchor: 30 ms\ntts-profile-begin {} {sha256}\ntts-profile-data {first}\ntts-profile-data {second}\ntts-profile-end\n",
            text.len()
        )
    }

    #[test]
    fn a_profile_is_put_together_from_its_lines() {
        let text = compact();
        let found = profile(&measured(&text), Some(&log(&text))).unwrap();
        assert_eq!(found, Profile::from_json(PROFILE).unwrap());
        assert!(is_in_log(&measured(&text)) && !is_in_log(&Outcome::Lost));
    }

    #[test]
    fn a_log_that_was_cut_or_changed_is_a_failed_attempt() {
        let text = compact();
        let log = log(&text);
        let line = log.lines().nth(2).unwrap();
        for log in [
            String::new(),
            log.replace(line, ""),
            log.replacen("0.", "1.", 1),
            log.lines().skip(2).collect::<Vec<_>>().join("\n"),
        ] {
            let failure = profile(&measured(&text), Some(&log)).unwrap_err();
            assert_eq!(
                (failure.reason.as_str(), failure.permanent),
                ("LogCut", false)
            );
        }
    }

    #[test]
    fn errors_of_the_profiler_are_passed_on() {
        let failed =
            |message: &str| profile(&Outcome::Message(message.to_owned()), None).unwrap_err();
        let failure =
            failed(r#"{"error":"the corpus is empty","reason":"InvalidCorpus","permanent":true}"#);
        assert_eq!(
            (failure.reason.as_str(), failure.permanent),
            ("InvalidCorpus", true)
        );
        assert_eq!(failed("Killed").reason, "UnreadableReport");
        assert_eq!(profile(&Outcome::Lost, None).unwrap_err().reason, "PodLost");
        assert!(!profile(&Outcome::OutOfMemory, None).unwrap_err().permanent);
    }

    #[test]
    fn a_profile_of_another_format_is_no_use() {
        let text = compact().replace("tts.profile/v1", "tts.profile/v9");
        let failure = profile(&measured(&text), Some(&log(&text))).unwrap_err();
        assert_eq!(
            (failure.reason.as_str(), failure.permanent),
            ("InvalidProfile", true)
        );
    }
}
