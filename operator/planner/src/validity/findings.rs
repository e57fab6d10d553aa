//! What may speak against a measurement, and how much.

use serde::Serialize;

use super::{DEGRADED, DRIFT, OLD, SPEAKING_RATE, TRANSFERRED};
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
    /// Features that choose a kernel, which the measured CPU had and this one lacks.
    MissingFlags {
        flags: Vec<String>,
    },
    /// A level n=1 of so few requests that there is no measurement.
    TooFewRequests {
        requests: u32,
    },
    /// Levels above n=1 of so few requests that they are not used; the fewest.
    UnusedLevels {
        requests: u32,
    },
    /// The used level whose 95th percentile is known worst: its standard error, as a share of it.
    FewRequests {
        requests: u32,
        error: f64,
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
    /// Others served or worked on the node meanwhile.
    CoTenant {
        pods: u32,
        share: f64,
    },
    /// Levels whose passes never agreed.
    Unstable {
        levels: Vec<String>,
    },
    /// Faster or slower than anybody speaks: the audio is not the text's.
    SpeakingRate {
        phonemes_per_second: f64,
    },
    /// Requests failed or gave silence.
    Faulty {
        faults: Vec<String>,
    },
    /// Measured through an endpoint: nothing is known of the pods behind it.
    External,
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
            Self::Differs { .. }
            | Self::MissingFlags { .. }
            | Self::TooFewRequests { .. }
            | Self::SpeakingRate { .. }
            | Self::Faulty { .. }
            | Self::External => Validity::Invalid,
            Self::AnchorDrift { drift } if *drift > DRIFT.1 => Validity::Invalid,
            Self::Outdated { .. }
            | Self::Old { .. }
            | Self::Correction { .. }
            | Self::UnusedLevels { .. } => Validity::Stale,
            Self::Recorded { validity } => *validity,
            Self::FewRequests { .. }
            | Self::AnchorDrift { .. }
            | Self::UnsteadyClock { .. }
            | Self::ThrottledClock { .. }
            | Self::Noise { .. }
            | Self::Pressure { .. }
            | Self::Steal { .. }
            | Self::Throttled { .. }
            | Self::Governor { .. }
            | Self::SharedGpu { .. }
            | Self::CoTenant { .. }
            | Self::Unstable { .. } => Validity::Degraded,
        }
    }

    /// The least u that this alone asks for.
    pub(super) fn derate(&self) -> f64 {
        match self {
            Self::FewRequests { error, .. } => *error,
            Self::AnchorDrift { drift } => drift.clamp(DEGRADED, DRIFT.1),
            _ => match self.validity() {
                Validity::Degraded => DEGRADED,
                Validity::Transferred => TRANSFERRED,
                Validity::Valid | Validity::Stale | Validity::Invalid => 0.0,
            },
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
            Self::MissingFlags { flags } => write!(
                f,
                "the CPU lacks {}, which the measured one had: measure again",
                flags.join(", ")
            ),
            Self::TooFewRequests { requests } => write!(
                f,
                "only {requests} request(s) one at a time: measure again with more"
            ),
            Self::UnusedLevels { requests } => write!(
                f,
                "levels of as few as {requests} request(s) are not used: measure again with more"
            ),
            Self::FewRequests { requests, error } => write!(
                f,
                "a level of {requests} requests knows its p95 only to within {:.0} %",
                100.0 * error
            ),
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
            Self::CoTenant { pods, share } => {
                if *pods > 0 {
                    write!(f, "{pods} pod(s) served on the node meanwhile; ")?;
                }
                write!(f, "others used {:.0} % of its CPU time", 100.0 * share)
            }
            Self::Unstable { levels } => {
                write!(
                    f,
                    "passes differed by more than 10 % at {}",
                    levels.join(", ")
                )
            }
            Self::SpeakingRate {
                phonemes_per_second,
            } => write!(
                f,
                "{phonemes_per_second:.1} phonemes per second of audio, speech has {:.0} to {:.0}: measure with texts of the voice's language",
                SPEAKING_RATE.0, SPEAKING_RATE.1
            ),
            Self::Faulty { faults } => write!(f, "{}: measure again", faults.join("; ")),
            Self::External => {
                f.write_str("measured through an endpoint: nothing is known of the pods behind it")
            }
            Self::Correction { factor } => {
                write!(f, "production takes {factor:.2} times the measured time")
            }
            Self::Recorded { validity } => write!(f, "recorded as {validity}"),
        }
    }
}
