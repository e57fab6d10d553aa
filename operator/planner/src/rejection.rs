//! What is out, and why: a code and its numbers, from which the text is made.

use std::fmt;

use serde::{Deserialize, Serialize};

use crate::profile::Profile;
use crate::request::{Exclusion, NodeClass};
use crate::words::{Count, Time};

/// A class, a profile or a pod shape that is out.
#[derive(Clone, Debug, PartialEq, Serialize, Deserialize)]
#[serde(rename_all = "camelCase")]
pub struct Rejection {
    /// The node class; empty for a profile that could not be read.
    pub class: String,
    /// The profiles of the voices, by id; empty when none was looked at.
    pub profiles: Vec<String>,
    /// Cores and threads; None when no shape was looked at.
    pub shape: Option<(f64, u32)>,
    pub because: Because,
}

impl Rejection {
    pub(crate) fn of_class(class: &NodeClass, because: Because) -> Self {
        Self {
            class: class.name.clone(),
            profiles: Vec::new(),
            shape: None,
            because,
        }
    }

    pub(crate) fn of_profile(class: &NodeClass, profile: &Profile, because: Because) -> Self {
        Self {
            class: class.name.clone(),
            profiles: vec![profile.id.clone()],
            shape: None,
            because,
        }
    }
}

/// Times in seconds, memory in MiB, cores.
#[derive(Clone, Debug, PartialEq, Serialize, Deserialize, strum::IntoStaticStr)]
#[serde(tag = "code", rename_all_fields = "camelCase")]
pub enum Because {
    /// Even an idle pod's first audio is too late.
    FirstAudio {
        idle_p95: f64,
        objective: f64,
        /// The voice that alone is too late; None: the mix.
        voice: Option<String>,
    },
    RealTimeFactor {
        concurrency: u32,
        rtf_p95: f64,
        objective: f64,
    },
    Fit {
        cpu: f64,
        memory: f64,
    },
    PartOfACore {
        cpu: f64,
    },
    AboveLimit {
        cpu: f64,
        limit: f64,
    },
    AboveMemoryLimit {
        memory: f64,
        limit: f64,
    },
    /// The class's nodes offer no GPU.
    NoGpu,
    /// Pods that share the GPU need more memory than it has.
    GpuMemory {
        needed: f64,
        pods: u32,
        vram: f64,
    },
    Capacity {
        needed: u32,
        limit: u32,
        nodes: u32,
        pods_per_node: u32,
    },
    Excluded {
        exclusion: Exclusion,
    },
    Invalid,
    /// The profile breaks a rule of its format.
    Unreadable {
        message: String,
    },
    /// A newer measurement of the same voice and variant counts.
    Superseded {
        by: String,
    },
    Unmeasured,
    /// Other voices of the mix were measured here, this one was not.
    VoiceUnmeasured {
        voice: String,
    },
    /// The voices were measured here, but never on pods of one size.
    NoCommonShape,
    /// Not measured with as many requests at once as there are pods on one GPU.
    SharingUnmeasured {
        pods: u32,
    },
}

impl Because {
    /// The code alone, as in the data.
    pub fn code(&self) -> &'static str {
        self.into()
    }
}

impl fmt::Display for Because {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        match self {
            Self::FirstAudio { idle_p95, objective, voice } => {
                if let Some(voice) = voice {
                    write!(f, "voice {voice}: ")?;
                }
                write!(f, "an idle pod takes {}, the objective is {}", Time(*idle_p95), Time(*objective))
            }
            Self::RealTimeFactor { concurrency, rtf_p95, objective } => write!(
                f,
                "the real-time factor with {} at once is {rtf_p95:.2}, the objective is {objective:.2}",
                Count(*concurrency, "request")
            ),
            Self::Fit { cpu, memory } => write!(f, "a pod of {} and {memory:.0} MiB does not fit a node", Count(*cpu, "core")),
            Self::PartOfACore { cpu } => write!(f, "{cpu} cores, but Guaranteed pods have whole ones"),
            Self::AboveLimit { cpu, limit } => write!(f, "needs {}, the limit per pod is {limit}", Count(*cpu, "core")),
            Self::AboveMemoryLimit { memory, limit } => write!(f, "needs {memory:.0} MiB, the limit per pod is {limit:.0} MiB"),
            Self::NoGpu => f.write_str("the nodes offer no GPU"),
            Self::GpuMemory { needed, pods, vram } => {
                write!(f, "needs {needed:.0} MiB of GPU memory, the GPU has {vram:.0} MiB")?;
                if *pods > 1 { write!(f, " for {pods} pods") } else { Ok(()) }
            }
            Self::Capacity { needed, limit, nodes, pods_per_node } => write!(
                f,
                "needs {}, {limit} possible ({} with {pods_per_node} each)",
                Count(*needed, "pod"),
                Count(*nodes, "node"),
            ),
            Self::Excluded { exclusion } => write!(f, "{exclusion}"),
            Self::Invalid => f.write_str("the profile is Invalid; measure again"),
            Self::Unreadable { message } => write!(f, "the profile cannot be used: {message}"),
            Self::Superseded { by } => write!(f, "a newer profile, {by}, is used"),
            Self::Unmeasured => f.write_str("not measured; run a benchmark"),
            Self::VoiceUnmeasured { voice } => write!(f, "voice {voice} was not measured here; run a benchmark"),
            Self::NoCommonShape => f.write_str("the voices were never measured on pods of one size; run benchmarks with the same sizes"),
            Self::SharingUnmeasured { pods } => write!(
                f,
                "not measured with {} at once, as many as pods share a GPU; measure that",
                Count(*pods, "request")
            ),
        }
    }
}

impl fmt::Display for Rejection {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        if self.class.is_empty() {
            f.write_str(&self.profiles.join(", "))?;
        } else {
            f.write_str(&self.class)?;
        }
        match self.shape {
            Some((cpu, threads)) => write!(
                f,
                ", {} and {}: ",
                Count(cpu, "core"),
                Count(threads, "thread")
            )?,
            None => f.write_str(": ")?,
        }
        write!(f, "{}", self.because)
    }
}
