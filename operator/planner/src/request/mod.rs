//! What a plan is computed from, and the rules those inputs keep.

mod check;
mod hash;
mod nodes;
mod policy;

use std::collections::BTreeMap;

use serde::{Deserialize, Serialize};

pub use check::RequestError;
pub use nodes::{CpuManager, Exclusion, NodeClass, Presence, Promised};
pub use policy::{LoadBalancing, Minimise, Policy, Qos};

use crate::profile::{Profile, Variant};
use crate::validity::Standing;

/// Everything [`plan`](crate::plan) looks at. The order of the lists does not matter.
#[derive(Clone, Debug, PartialEq, Serialize, Deserialize)]
#[serde(rename_all = "camelCase", deny_unknown_fields)]
pub struct Request {
    /// The voices that are served together; empty: every voice that was measured, in equal shares.
    #[serde(default)]
    pub voices: Vec<VoiceShare>,
    /// Profiles of these voices. Variants of one voice compete with each other.
    pub measurements: Vec<Measurement>,
    /// Profiles that could not be read: they are reported as rejected.
    #[serde(default)]
    pub unreadable: Vec<Unreadable>,
    pub objectives: Objectives,
    pub load: Load,
    pub classes: Vec<NodeClass>,
    #[serde(default)]
    pub policy: Policy,
    /// What the namespace still has for this deployment, its running pods included.
    #[serde(default)]
    pub quota: Quota,
    /// What runs now, for hysteresis. Not part of the input hash.
    #[serde(default)]
    pub current: Option<Current>,
}

/// A voice and how often it is asked for.
#[derive(Clone, Debug, PartialEq, Serialize, Deserialize)]
#[serde(rename_all = "camelCase", deny_unknown_fields)]
pub struct VoiceShare {
    pub name: String,
    /// Requests for this voice, relative to the other voices' weights.
    #[serde(default = "VoiceShare::default_weight")]
    pub weight: f64,
}

impl VoiceShare {
    const fn default_weight() -> f64 {
        1.0
    }
}

/// A profile that could not be read.
#[derive(Clone, Debug, PartialEq, Eq, Serialize, Deserialize)]
#[serde(rename_all = "camelCase", deny_unknown_fields)]
pub struct Unreadable {
    /// The profile's id or the name of its object.
    pub id: String,
    pub message: String,
}

/// What a `ResourceQuota` leaves; None: no limit.
#[derive(Clone, Copy, Debug, Default, PartialEq, Serialize, Deserialize)]
#[serde(rename_all = "camelCase", default, deny_unknown_fields)]
pub struct Quota {
    /// Cores that pods may request.
    pub cpu: Option<f64>,
    /// MiB that pods may request.
    pub memory: Option<f64>,
    pub gpus: Option<u32>,
    pub pods: Option<u32>,
}

/// A profile and what has been learnt about it since.
#[derive(Clone, Debug, PartialEq, Serialize, Deserialize)]
#[serde(rename_all = "camelCase", deny_unknown_fields)]
pub struct Measurement {
    pub profile: Profile,
    /// None: as the profile itself says.
    #[serde(default)]
    pub standing: Option<Standing>,
    /// The memory limit at which a pod that served this voice was killed for its memory, the
    /// largest there was (MiB).
    #[serde(default)]
    pub oom_killed_at: Option<f64>,
}

impl Measurement {
    /// As the profile itself says.
    pub const fn as_recorded(profile: Profile) -> Self {
        Self {
            profile,
            standing: None,
            oom_killed_at: None,
        }
    }

    /// What is believed of it: never more than the profile's own record allows, whoever assessed it.
    pub(crate) fn standing(&self) -> Standing {
        let recorded = Standing::as_recorded(&self.profile);
        self.standing
            .map_or(recorded, |given| given.no_better_than(recorded))
    }
}

/// What the user promises.
#[derive(Clone, Copy, Debug, PartialEq, Serialize, Deserialize)]
#[serde(rename_all = "camelCase", deny_unknown_fields)]
pub struct Objectives {
    /// 95th percentile of the time to first audio, waiting included (s).
    pub ttfa_p95: f64,
    /// 95th percentile of the real-time factor, service only.
    #[serde(default = "Objectives::default_rtf")]
    pub rtf_p95: f64,
}

impl Objectives {
    const fn default_rtf() -> f64 {
        0.8
    }
}

/// How much speech is asked for.
#[derive(Clone, Debug, PartialEq, Serialize, Deserialize)]
#[serde(rename_all = "camelCase", deny_unknown_fields)]
pub struct Load {
    pub peak: Peak,
    /// Mean length of a request (audio-seconds).
    #[serde(default = "Load::default_mean_audio")]
    pub mean_audio: f64,
    /// Coefficient of variation of that length.
    #[serde(default = "Load::default_audio_cv")]
    pub audio_cv: f64,
    /// The longest piece spoken at once (audio-seconds): longer text is split, so memory is bounded
    /// by it.
    #[serde(default = "Load::default_max_chunk_audio")]
    pub max_chunk_audio: f64,
    /// Requests per second in quiet times; None: a share of the peak, and the plan says so.
    #[serde(default)]
    pub base_rps: Option<f64>,
    /// How fast load grows (share of itself per minute).
    #[serde(default = "Load::default_ramp")]
    pub ramp_per_minute: f64,
    /// ca², the squared coefficient of variation between arrivals: 1 is Poisson, bursts are above.
    #[serde(default = "Load::default_burstiness")]
    pub burstiness: f64,
    /// The audio format that is asked for, as profiles name it; None: encoding takes the policy's
    /// overhead.
    #[serde(default)]
    pub format: Option<String>,
}

impl Load {
    const fn default_mean_audio() -> f64 {
        6.0
    }

    const fn default_audio_cv() -> f64 {
        0.6
    }

    const fn default_max_chunk_audio() -> f64 {
        15.0
    }

    const fn default_ramp() -> f64 {
        0.2
    }

    const fn default_burstiness() -> f64 {
        1.0
    }

    /// The peak, everything else as usual.
    pub const fn new(peak: Peak) -> Self {
        Self {
            peak,
            mean_audio: Self::default_mean_audio(),
            audio_cv: Self::default_audio_cv(),
            max_chunk_audio: Self::default_max_chunk_audio(),
            base_rps: None,
            ramp_per_minute: Self::default_ramp(),
            burstiness: Self::default_burstiness(),
            format: None,
        }
    }

    /// Requests per second at the peak. A listener hears one audio-second per second while active,
    /// so n listeners ask for n · duty / mean length requests per second.
    pub fn peak_rps(&self) -> f64 {
        match self.peak {
            Peak::RequestsPerSecond(rate) => rate,
            Peak::Listeners { count, duty } => count * duty / self.mean_audio,
        }
    }
}

/// The most that is asked for at once.
#[derive(Clone, Copy, Debug, PartialEq, Serialize, Deserialize)]
#[serde(rename_all = "camelCase", deny_unknown_fields)]
pub enum Peak {
    RequestsPerSecond(f64),
    /// Concurrent listeners, each listening for the share `duty` of the time.
    Listeners {
        count: f64,
        duty: f64,
    },
}

/// The pods that run now. What is None is not compared.
#[derive(Clone, Debug, Default, PartialEq, Serialize, Deserialize)]
#[serde(rename_all = "camelCase", deny_unknown_fields)]
pub struct Current {
    pub class: String,
    /// Cores of the workers, or the cores that the pod requests.
    #[serde(default)]
    pub cpu: Option<f64>,
    /// Threads per request.
    #[serde(default)]
    pub threads: Option<u32>,
    /// The admission limit.
    #[serde(default, alias = "maxConcurrency")]
    pub concurrency: Option<u32>,
    #[serde(default)]
    pub queue: Option<u32>,
    /// MiB, as limited.
    #[serde(default)]
    pub memory: Option<f64>,
    #[serde(default)]
    pub replicas: Option<u32>,
    /// Variants that are served, by voice.
    #[serde(default)]
    pub variants: BTreeMap<String, Variant>,
}

impl Request {
    pub(crate) fn terms(&self) -> Terms<'_> {
        Terms {
            objectives: self.objectives,
            load: &self.load,
            peak: self.load.peak_rps(),
            policy: &self.policy,
            balancing: self.policy.load_balancing,
            quota: self.quota,
        }
    }
}

/// What every shape is judged by.
#[derive(Clone, Copy, Debug)]
pub(crate) struct Terms<'a> {
    pub objectives: Objectives,
    pub load: &'a Load,
    /// Requests per second.
    pub peak: f64,
    pub policy: &'a Policy,
    pub balancing: LoadBalancing,
    pub quota: Quota,
}
