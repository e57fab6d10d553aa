//! Why a request counts as an error.

use serde::{Deserialize, Serialize};
use strum::{Display, EnumDiscriminants};

/// What came instead of whole, audible audio.
#[derive(Clone, Debug, PartialEq, Serialize, Deserialize, thiserror::Error, EnumDiscriminants)]
#[strum_discriminants(
    name(FailureKind),
    derive(Display, PartialOrd, Ord, Hash, Serialize, Deserialize),
    strum(serialize_all = "snake_case"),
    serde(rename_all = "snake_case"),
    doc = "The kinds of [`Failure`]."
)]
#[serde(tag = "kind", rename_all = "snake_case")]
pub enum Failure {
    /// The endpoint is full or starting.
    #[error("rejected with status {status}: {body}")]
    Rejected { status: u16, body: String },
    #[error("status {status}: {body}")]
    Status { status: u16, body: String },
    #[error("the connection failed: {cause}")]
    Connection { cause: String },
    #[error("no complete answer within {seconds} s")]
    Timeout { seconds: f64 },
    #[error("the answer is truncated: {cause}")]
    Truncated { cause: String },
    #[error("the answer is not audio that can be measured: {found}")]
    NotAudio { found: String },
    #[error("the answer is silent: {seconds:.2} s of audio, and its loudest sample is {peak:.4}")]
    Silent { seconds: f64, peak: f32 },
    /// Not the endpoint's fault, but the times of the others would be false if it was not counted.
    #[error("not sent: {limit}; run the measurement with a higher limit, or at a lower rate")]
    ClientLimit { limit: String },
}

impl Failure {
    pub fn kind(&self) -> FailureKind {
        self.into()
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_failure_is_stored_with_its_kind() {
        let failure = Failure::ClientLimit {
            limit: "too many open files".to_owned(),
        };
        assert_eq!(failure.kind().to_string(), "client_limit");
        let json = serde_json::to_string(&failure).unwrap();
        assert_eq!(
            json,
            r#"{"kind":"client_limit","limit":"too many open files"}"#
        );
        assert_eq!(serde_json::from_str::<Failure>(&json).unwrap(), failure);
    }
}
