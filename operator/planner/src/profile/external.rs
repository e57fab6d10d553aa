//! What clients of an endpoint saw: the same texts through HTTP, with nothing known of what is behind.

use serde::{Deserialize, Serialize};

use super::check::{At, ProfileError};

/// Quantiles at [`super::PROBABILITIES`] (s).
pub type Quantiles = Vec<f64>;

/// An endpoint, measured from outside.
#[derive(Clone, Debug, PartialEq, Serialize, Deserialize)]
#[cfg_attr(feature = "schemars", derive(schemars::JsonSchema))]
#[serde(rename_all = "camelCase", deny_unknown_fields)]
pub struct External {
    /// The address that was asked, without credentials.
    pub url: String,
    /// As in the requests' `response_format`.
    pub format: String,
    /// Closed loop, by number of clients, ascending.
    pub levels: Vec<ClientLevel>,
    /// Requests at their own times, by rate, ascending.
    #[serde(default, skip_serializing_if = "Vec::is_empty")]
    pub open_loop: Vec<OpenLoop>,
}

/// `clients` that each send the next request when the last one is answered.
#[derive(Clone, Debug, PartialEq, Serialize, Deserialize)]
#[cfg_attr(feature = "schemars", derive(schemars::JsonSchema))]
#[serde(rename_all = "camelCase", deny_unknown_fields)]
pub struct ClientLevel {
    /// Requests at the same time.
    pub clients: u32,
    /// Requests that were sent and count.
    pub requests: u32,
    /// How long it was measured (s).
    pub seconds: f64,
    /// Answers other than whole audio.
    pub errors: u32,
    /// Audio-seconds per second, of whole answers.
    pub audio_per_sec: f64,
    /// From sending a request to its first audio.
    pub ttfa_q: Quantiles,
    /// From sending a request to the end of its answer.
    pub total_q: Quantiles,
}

/// Requests that arrive whether or not earlier ones are answered; times count from the moment that a
/// request was due.
#[derive(Clone, Debug, PartialEq, Serialize, Deserialize)]
#[cfg_attr(feature = "schemars", derive(schemars::JsonSchema))]
#[serde(rename_all = "camelCase", deny_unknown_fields)]
pub struct OpenLoop {
    /// Requests per second that were offered.
    pub rate: f64,
    /// Requests that were sent and count.
    pub requests: u32,
    /// How long it was measured (s).
    pub seconds: f64,
    /// Answers other than whole audio.
    pub errors: u32,
    /// Of those, answers that say to come later (429, 503).
    pub rejected: u32,
    /// From the moment at which a request was due to its first audio.
    pub ttfa_q: Quantiles,
    /// From the moment at which a request was due to the end of its answer.
    pub total_q: Quantiles,
}

impl External {
    pub(super) fn check(&self, at: &At) -> Result<(), ProfileError> {
        at.named("url", &self.url)?;
        at.named("format", &self.format)?;
        at.counted("levels", self.levels.len(), super::MAX_CONFIGS)?;
        for (index, level) in self.levels.iter().enumerate() {
            let at = At(at.path(&format!("levels[{index}].")));
            at.positive("clients", f64::from(level.clients))?;
            at.not_negative("seconds", level.seconds)?;
            at.not_negative("audioPerSec", level.audio_per_sec)?;
            at.quantiles("ttfaQ", &level.ttfa_q)?;
            at.quantiles("totalQ", &level.total_q)?;
        }
        for (index, run) in self.open_loop.iter().enumerate() {
            let at = At(at.path(&format!("openLoop[{index}].")));
            at.positive("rate", run.rate)?;
            at.not_negative("seconds", run.seconds)?;
            at.quantiles("ttfaQ", &run.ttfa_q)?;
            at.quantiles("totalQ", &run.total_q)?;
        }
        Ok(())
    }
}
