//! How many pods, and when the horizontal pod autoscaler adds or takes one.

use serde::{Deserialize, Serialize};

use crate::candidates::Candidate;
use crate::numeric::{ceil_above_noise, floor};
use crate::profile::Accelerator;
use crate::request::{Load, Policy};

/// The autoscaler looks every 15 s.
const HPA_SYNC: f64 = 15.0;
/// Scale up at once by doubling or by four pods, whichever is more, every 15 s.
const SCALE_UP: ScaleUp = ScaleUp {
    stabilization_seconds: 0,
    percent: 100,
    pods: 4,
    period_seconds: 15,
};
/// The scale-down window in cold starts, and its bounds (s).
const DOWN_COLD_STARTS: f64 = 5.0;
const DOWN_WINDOW: (f64, f64) = (300.0, 1800.0);

/// Pods.
#[derive(Clone, Copy, Debug, PartialEq, Eq, Serialize, Deserialize)]
#[serde(rename_all = "camelCase")]
pub struct Replicas {
    pub min: u32,
    /// R = ceil(peak / λ*).
    pub at_peak: u32,
    pub max: u32,
    /// What the inventory and the user allow.
    pub limit: u32,
}

impl Replicas {
    /// Without an autoscaler: enough for the peak, and no fewer than the user wants.
    pub fn fixed(&self) -> u32 {
        self.at_peak.max(self.min)
    }
}

/// What the horizontal pod autoscaler is told.
#[derive(Clone, Copy, Debug, PartialEq, Serialize, Deserialize)]
#[serde(rename_all = "camelCase")]
pub struct Autoscaling {
    /// Requests in the pod, in service and waiting: the target per pod.
    pub in_flight: f64,
    /// The same in Kubernetes' thousandths, rounded down, at least 1.
    pub in_flight_milli: u32,
    /// Offered audio-seconds per second and pod at which that target is met.
    pub offered_audio: f64,
    /// Percent of the CPU request at that load: the target where no custom metric is to be had.
    /// None on GPU pods, whose CPU says nothing, and where no CPU time was measured.
    pub cpu_percent: Option<f64>,
    /// `λ_t`, requests per second and pod at the target.
    pub rate: f64,
    /// τ: seconds from a need to a pod that serves it.
    pub reaction: f64,
    /// h = 1 + ramp·τ: what the load may grow by meanwhile.
    pub headroom: f64,
    pub scale_up: ScaleUp,
    pub scale_down: ScaleDown,
}

#[derive(Clone, Copy, Debug, PartialEq, Eq, Serialize, Deserialize)]
#[serde(rename_all = "camelCase")]
pub struct ScaleUp {
    pub stabilization_seconds: u32,
    pub percent: u32,
    pub pods: u32,
    pub period_seconds: u32,
}

#[derive(Clone, Copy, Debug, PartialEq, Serialize, Deserialize)]
#[serde(rename_all = "camelCase")]
pub struct ScaleDown {
    pub stabilization_seconds: f64,
    pub percent: u32,
    pub pods: u32,
    pub period_seconds: u32,
}

/// Whether the user gave the base load.
pub(crate) fn base_rps(load: &Load, policy: &Policy) -> f64 {
    load.base_rps
        .unwrap_or_else(|| policy.base_share * load.peak_rps())
}

/// `rmin = max(min(2, R), ceil(base / λ*))`; `rmax = min(limit, ceil(1.25·R))`, but never below
/// rmin: where the user wants more pods than the peak needs, the room above moves with them.
pub(crate) fn replicas(candidate: &Candidate<'_>, load: &Load, policy: &Policy) -> Replicas {
    let (at_peak, limit) = (candidate.replicas, candidate.limit);
    let for_availability = if at_peak > 1 {
        policy.min_replicas_for_availability.min(at_peak)
    } else {
        1
    };
    let for_base = ceil_above_noise(base_rps(load, policy) / candidate.rate);
    let min = policy
        .min_replicas
        .max(for_availability)
        .max(for_base)
        .min(limit);
    let surge = ceil_above_noise(f64::from(at_peak) * policy.surge);
    Replicas {
        min,
        at_peak,
        max: at_peak.max(surge).min(limit).max(min),
        limit,
    }
}

/// `τ = coldStart + 15 s (sync) + metric lag`; `h = 1 + ramp·τ`; `λ_t = λ* / (1 + tolerance) / h`;
/// the target is `L(λ_t)`.
///
/// The tolerance, because nothing happens until the metric exceeds the target by it. In flight,
/// because it also sees what a wrong profile hides: work that waits. On a CPU the fallback is
/// `100·λ_t·ā·cpuSecPerAudioS / request` percent.
pub(crate) fn target(candidate: &Candidate<'_>, load: &Load, policy: &Policy) -> Autoscaling {
    let cold_start = candidate.profile.cold_start;
    let reaction = cold_start + HPA_SYNC + policy.metric_lag;
    let headroom = 1.0 + load.ramp_per_minute * reaction / 60.0;
    let rate = candidate.rate / (1.0 + policy.hpa_tolerance) / headroom;
    let offered_audio = rate * load.mean_audio;
    let in_flight = candidate.server().mean_in_system(rate);
    let cpu_per_audio = candidate.shape.config.cpu_per_audio;
    let (shortest, longest) = DOWN_WINDOW;
    Autoscaling {
        in_flight,
        in_flight_milli: floor(1000.0 * in_flight).max(1),
        offered_audio,
        cpu_percent: (candidate.accelerator() == Accelerator::Cpu)
            .then(|| 100.0 * offered_audio * cpu_per_audio / candidate.cpu_request)
            // Not measured: a target of 0 % would scale out for ever.
            .filter(|percent| *percent > 0.0),
        rate,
        reaction,
        headroom,
        scale_up: SCALE_UP,
        scale_down: ScaleDown {
            stabilization_seconds: (DOWN_COLD_STARTS * cold_start).clamp(shortest, longest),
            percent: 10,
            pods: 1,
            period_seconds: 60,
        },
    }
}
