//! What may speak against a measurement, and how much.

use serde::Serialize;

use super::{DRIFT, OLD};
use crate::profile::Validity;

/// One thing that speaks against a measurement.
#[derive(Clone, Debug, PartialEq, Serialize, strum::IntoStaticStr)]
#[serde(tag = "code", rename_all_fields = "camelCase")]
pub enum Finding {
    /// Something that must be equal is not.
    Differs {
        field: &'static str,
        measured: String,
        now: String,
    },
    /// Something differs a little: measure again when there is room.
    Outdated {
        field: &'static str,
        measured: String,
        now: String,
    },
    Old {
        days: u32,
    },
    AnchorDrift {
        drift: f64,
    },
    UnsteadyClock {
        cv: f64,
    },
    ThrottledClock {
        reasons: u64,
    },
    Noise {
        cv: f64,
    },
    Pressure {
        percent: f64,
    },
    Steal {
        share: f64,
    },
    Throttled {
        share: f64,
    },
    Governor {
        governor: String,
    },
    SharedGpu {
        sharing: String,
    },
    Correction {
        factor: f64,
    },
    /// Said by whoever wrote the profile.
    Recorded {
        validity: Validity,
    },
}

impl Finding {
    /// The worst that this alone makes of a measurement.
    pub fn validity(&self) -> Validity {
        match self {
            Self::Differs { .. } => Validity::Invalid,
            Self::AnchorDrift { drift } if *drift > DRIFT.1 => Validity::Invalid,
            Self::Outdated { .. } | Self::Old { .. } | Self::Correction { .. } => Validity::Stale,
            Self::Recorded { validity } => *validity,
            Self::AnchorDrift { .. }
            | Self::UnsteadyClock { .. }
            | Self::ThrottledClock { .. }
            | Self::Noise { .. }
            | Self::Pressure { .. }
            | Self::Steal { .. }
            | Self::Throttled { .. }
            | Self::Governor { .. }
            | Self::SharedGpu { .. } => Validity::Degraded,
        }
    }
}

impl std::fmt::Display for Finding {
    fn fmt(&self, f: &mut std::fmt::Formatter<'_>) -> std::fmt::Result {
        match self {
            Self::Differs {
                field,
                measured,
                now,
            } => write!(f, "{field} was {measured}, is {now}: measure again"),
            Self::Outdated {
                field,
                measured,
                now,
            } => write!(f, "{field} was {measured}, is {now}"),
            Self::Old { days } => write!(f, "measured {days} days ago, more than {OLD}"),
            Self::AnchorDrift { drift } => {
                write!(
                    f,
                    "the machine's speed changed by {:.0} % during the run",
                    100.0 * drift
                )
            }
            Self::UnsteadyClock { cv } => {
                write!(
                    f,
                    "the clock varied by {:.1} % while busy; lock it and measure again",
                    100.0 * cv
                )
            }
            Self::ThrottledClock { reasons } => {
                write!(
                    f,
                    "the GPU throttled its clock (reasons {reasons:#x}); look at power and cooling"
                )
            }
            Self::Noise { cv } => write!(f, "equal requests varied by {:.0} %", 100.0 * cv),
            Self::Pressure { percent } => {
                write!(f, "CPU pressure was {percent:.1} %: others used the node")
            }
            Self::Steal { share } => write!(
                f,
                "{:.1} % of the time was stolen by the hypervisor",
                100.0 * share
            ),
            Self::Throttled { share } => write!(
                f,
                "{:.1} % of scheduler periods were throttled",
                100.0 * share
            ),
            Self::Governor { governor } => {
                write!(f, "frequency governor {governor} and no steady clock")
            }
            Self::SharedGpu { sharing } => write!(f, "others may have used the GPU ({sharing})"),
            Self::Correction { factor } => {
                write!(f, "production takes {factor:.2} times the measured time")
            }
            Self::Recorded { validity } => write!(f, "recorded as {validity}"),
        }
    }
}
