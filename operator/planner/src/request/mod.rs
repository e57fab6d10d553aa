//! What a plan is computed from, and the rules those inputs keep.

mod check;

use serde::{Deserialize, Serialize};

pub use check::RequestError;

use crate::profile::Profile;
use crate::validity::Standing;

/// Everything [`plan`](crate::plan) looks at. The order of the lists does not matter.
#[derive(Clone, Debug, PartialEq, Serialize, Deserialize)]
#[serde(rename_all = "camelCase", deny_unknown_fields)]
pub struct Request {
    /// Of one voice: its variants compete with each other.
    pub measurements: Vec<Measurement>,
    pub objectives: Objectives,
    pub load: Load,
    pub classes: Vec<NodeClass>,
    #[serde(default)]
    pub policy: Policy,
    /// What runs now, for hysteresis.
    #[serde(default)]
    pub current: Option<Current>,
}

/// What every shape is judged by.
#[derive(Clone, Copy, Debug)]
pub(crate) struct Terms {
    pub objectives: Objectives,
    pub load: Load,
    pub policy: Policy,
}

/// A profile and what has been learnt about it since.
#[derive(Clone, Debug, PartialEq, Serialize, Deserialize)]
#[serde(rename_all = "camelCase", deny_unknown_fields)]
pub struct Measurement {
    pub profile: Profile,
    /// None: as the profile itself says.
    #[serde(default)]
    pub standing: Option<Standing>,
}

impl Measurement {
    /// As the profile itself says.
    pub const fn as_recorded(profile: Profile) -> Self {
        Self {
            profile,
            standing: None,
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
#[derive(Clone, Copy, Debug, PartialEq, Serialize, Deserialize)]
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

/// Interchangeable nodes: what one of them offers to pods, and how many there may be.
#[derive(Clone, Debug, PartialEq, Serialize, Deserialize)]
#[serde(rename_all = "camelCase", deny_unknown_fields)]
pub struct NodeClass {
    pub name: String,
    /// Cores and MiB left for pods on each node, after what runs on every node.
    pub allocatable_cpu: f64,
    pub allocatable_memory: f64,
    #[serde(default)]
    pub gpu_slots: u32,
    /// The most nodes of this class that pods may use.
    pub max_nodes: u32,
    /// Price of a node per hour, in any one currency; None when it is not known.
    #[serde(default)]
    pub price_per_hour: Option<f64>,
    /// What a GPU weighs in cores when there is no price.
    #[serde(default = "NodeClass::default_gpu_weight")]
    pub gpu_weight: f64,
    #[serde(default)]
    pub presence: Presence,
    #[serde(default)]
    pub cpu_manager: CpuManager,
}

impl NodeClass {
    const fn default_gpu_weight() -> f64 {
        8.0
    }
}

/// Whether a class has nodes now.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq, Serialize, Deserialize)]
#[serde(rename_all = "camelCase")]
pub enum Presence {
    #[default]
    Present,
    /// An autoscaler would create them.
    Declared,
}

/// The kubelet's CPU manager policy.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq, Serialize, Deserialize)]
#[serde(rename_all = "camelCase")]
pub enum CpuManager {
    #[default]
    None,
    /// A Guaranteed pod with whole cores gets them for itself.
    Static,
}

/// What the user or the installation has decided.
#[derive(Clone, Copy, Debug, PartialEq, Serialize, Deserialize)]
#[serde(rename_all = "camelCase", default, deny_unknown_fields)]
pub struct Policy {
    /// ρmax: no pod is planned above this share of X(C), whatever the tail says.
    pub max_utilisation: f64,
    /// The least derate of every measurement. Without it the closed forms are 4 % optimistic in the
    /// worst case.
    pub min_derate: f64,
    /// The autoscaler does nothing until the metric exceeds the target by this share.
    pub hpa_tolerance: f64,
    /// Age of the metric that the autoscaler sees: window and scrape (s).
    pub metric_lag: f64,
    /// Base load as a share of the peak when the user gives none.
    pub base_share: f64,
    pub min_replicas: u32,
    /// What `min_replicas` is raised to, so that losing a pod is not losing the service; only where
    /// the peak needs more than one pod.
    pub min_replicas_for_availability: u32,
    pub max_replicas: Option<u32>,
    /// Room above the replicas needed at the peak.
    pub surge: f64,
    /// Safety margin on memory.
    pub memory_margin: f64,
    /// Memory is rounded up to this (MiB).
    pub memory_step: f64,
    /// A class is left only for one that is cheaper by this share.
    pub switch_gain: f64,
    pub qos: Qos,
    /// A limit range or resource quota demands CPU limits.
    pub cpu_limit_required: bool,
    /// Cores for HTTP and encoding, beside the workers'.
    pub cpu_overhead: f64,
    /// Cores that a pod may request and be limited to, what it needs beside its workers included.
    pub max_cpu_per_pod: Option<f64>,
    /// MiB that a pod may request.
    pub max_memory_per_pod: Option<f64>,
    pub load_balancing: LoadBalancing,
    /// Also consider pod sizes that were not measured, between those that were.
    pub interpolate_sizes: bool,
}

impl Default for Policy {
    fn default() -> Self {
        Self {
            max_utilisation: 0.80,
            min_derate: 0.05,
            hpa_tolerance: 0.10,
            metric_lag: 45.0,
            base_share: 0.20,
            min_replicas: 1,
            min_replicas_for_availability: 2,
            max_replicas: None,
            surge: 1.25,
            memory_margin: 0.15,
            memory_step: 64.0,
            switch_gain: 0.15,
            qos: Qos::Burstable,
            cpu_limit_required: false,
            cpu_overhead: 0.10,
            max_cpu_per_pod: None,
            max_memory_per_pod: None,
            load_balancing: LoadBalancing::Random,
            interpolate_sizes: true,
        }
    }
}

/// Kubernetes' quality of service.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq, Serialize, Deserialize, strum::Display)]
pub enum Qos {
    /// CPU requested, not limited.
    #[default]
    Burstable,
    /// Whole cores, requested and limited.
    Guaranteed,
}

/// What spreads requests over pods.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq, Serialize, Deserialize, strum::Display)]
pub enum LoadBalancing {
    /// A plain Service: connections at random.
    #[default]
    Random,
    /// Each request in turn.
    RoundRobin,
    /// To the pod with the fewest in flight.
    LeastRequest,
}

/// What runs now.
#[derive(Clone, Debug, PartialEq, Eq, Serialize, Deserialize)]
#[serde(rename_all = "camelCase", deny_unknown_fields)]
pub struct Current {
    pub class: String,
}

impl Request {
    pub(crate) fn terms(&self) -> Terms {
        Terms {
            objectives: self.objectives,
            load: self.load,
            policy: self.policy,
        }
    }
}
