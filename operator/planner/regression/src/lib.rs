//! Slower than before, or noise.
//!
//! Timings of speech models are not Gaussian: most runs lie within a percent of the fastest and a
//! few are a quarter slower. So everything here goes by ranks, compares with a measured baseline
//! and never with a constant, and has three answers: [`Pass`](Verdict::Pass),
//! [`Regressed`](Verdict::Regressed) and [`Inconclusive`](Verdict::Inconclusive).
//!
//! The samples of a comparison are best taken as interleaved pairs, baseline and candidate in turn
//! (ABBA) on one node: a drifting clock then cancels within each pair, which no test on two blocks
//! can make up for.

mod compare;
mod drift;
mod errors;
mod leak;
mod numeric;
mod profiles;
mod ranks;
mod sequence;
mod tail;

use serde::{Deserialize, Serialize};

pub use compare::{
    Cause, Comparison, Design, Looks, Sequential, Thresholds, paired, sequential, unpaired,
};
pub use drift::{Shift, slow_drift};
pub use errors::{ErrorRate, error_rate};
pub use leak::{Leak, memory_leak};
pub use profiles::{ProfileComparison, profiles, profiles_over_time};
pub use tail::{ColdStart, TailRatio, cold_start, first_audio_p95};

/// The three answers, as exit codes of a command: 0, 1 and 2.
#[derive(Clone, Copy, Debug, PartialEq, Eq, Serialize, Deserialize, strum::Display)]
pub enum Verdict {
    Pass,
    Regressed,
    /// More samples are needed, or a quieter machine.
    Inconclusive,
}

impl Verdict {
    pub fn exit_code(self) -> u8 {
        match self {
            Self::Pass => 0,
            Self::Regressed => 1,
            Self::Inconclusive => 2,
        }
    }
}

/// One line of the log.
#[derive(Clone, Debug, PartialEq, Serialize)]
#[serde(rename_all = "camelCase")]
pub struct Record {
    /// Always [`Record::SCHEMA`].
    pub schema: &'static str,
    pub metric: String,
    /// Of the node that measured both.
    pub fingerprint: String,
    pub baseline: String,
    pub candidate: String,
    #[serde(flatten)]
    pub comparison: Comparison,
}

impl Record {
    pub const SCHEMA: &str = "tts.regression/v1";
}
