//! How many pods, and when the horizontal pod autoscaler adds or takes one.

use serde::{Deserialize, Serialize};

use crate::candidates::Candidate;
use crate::numeric::{ceil, ceil_above_noise, floor};
use crate::profile::Accelerator;
use crate::request::{Load, Policy};

/// The scale-down window in cold starts, and its bounds (s).
const DOWN_COLD_STARTS: f64 = 5.0;
const DOWN_WINDOW: (f64, f64) = (300.0, 1800.0);

/// Pods.
#[derive(Clone, Copy, Debug, PartialEq, Eq, Serialize, Deserialize)]
#[serde(rename_all = "camelCase")]
pub struct Replicas {
    pub min: u32,
    /// R, the fewest pods that keep the objectives at the peak.
    pub at_peak: u32,
    /// Pods at which the autoscaler settles at a steady peak: with room for the load to grow.
    pub steady: u32,
    pub max: u32,
    /// What the inventory, the quota and the user allow.
    pub limit: u32,
}

impl Replicas {
    /// Without an autoscaler: enough for the peak, and no fewer than the user wants.
    pub fn fixed(&self) -> u32 {
        self.at_peak.max(self.min)
    }
}

/// What the horizontal pod autoscaler is told, and what it rests on.
#[derive(Clone, Debug, PartialEq, Serialize, Deserialize)]
#[serde(rename_all = "camelCase")]
pub struct Autoscaling {
    /// Requests in the pod, in service and waiting: the target per pod.
    pub in_flight: f64,
    /// The same in Kubernetes' thousandths, rounded down, at least 1: an `averageValue`.
    pub in_flight_milli: u32,
    /// Offered audio-seconds per second and pod at which that target is met.
    pub offered_audio: f64,
    /// Percent of the CPU request at that load, rounded down: an `averageUtilization`, the target
    /// where no custom metric is to be had. None on GPU pods, whose CPU says nothing, and where no
    /// CPU time was measured.
    pub cpu_percent: Option<u32>,
    /// `λ_t`, requests per second and pod at the target.
    pub rate: f64,
    /// τ: seconds from a need to a pod that serves it.
    pub reaction: f64,
    /// h = 1 + ramp·τ: what the load may grow by meanwhile.
    pub headroom: f64,
    pub behavior: Behavior,
}

impl Autoscaling {
    /// Where nothing was measured: by CPU alone, or not at all.
    pub(crate) fn by_cpu(percent: Option<u32>) -> Self {
        Self {
            in_flight: 1.0,
            in_flight_milli: 1000,
            offered_audio: 0.0,
            cpu_percent: percent,
            rate: 0.0,
            reaction: 0.0,
            headroom: 1.0,
            behavior: Behavior::new(0.0),
        }
    }
}

/// `spec.behavior` of a `HorizontalPodAutoscaler`.
#[derive(Clone, Debug, PartialEq, Eq, Serialize, Deserialize)]
#[serde(rename_all = "camelCase")]
pub struct Behavior {
    pub scale_up: ScalingRules,
    pub scale_down: ScalingRules,
}

/// `HPAScalingRules`.
#[derive(Clone, Debug, PartialEq, Eq, Serialize, Deserialize)]
#[serde(rename_all = "camelCase")]
pub struct ScalingRules {
    pub stabilization_window_seconds: u32,
    pub select_policy: SelectPolicy,
    pub policies: Vec<ScalingPolicy>,
}

#[derive(Clone, Copy, Debug, PartialEq, Eq, Serialize, Deserialize)]
pub enum SelectPolicy {
    Max,
    Min,
    Disabled,
}

/// `HPAScalingPolicy`.
#[derive(Clone, Copy, Debug, PartialEq, Eq, Serialize, Deserialize)]
#[serde(rename_all = "camelCase")]
pub struct ScalingPolicy {
    #[serde(rename = "type")]
    pub kind: ScalingKind,
    pub value: u32,
    pub period_seconds: u32,
}

#[derive(Clone, Copy, Debug, PartialEq, Eq, Serialize, Deserialize)]
pub enum ScalingKind {
    Pods,
    Percent,
}

impl Behavior {
    /// Up at once, by doubling or by four pods, whichever is more, every 15 s; down slowly, by a
    /// tenth or one pod per minute, whichever is more, after a window of several cold starts: a pod
    /// that was taken too early costs one.
    pub(crate) fn new(cold_start: f64) -> Self {
        let rules = |window, percent, pods, period_seconds| ScalingRules {
            stabilization_window_seconds: window,
            select_policy: SelectPolicy::Max,
            policies: vec![
                ScalingPolicy {
                    kind: ScalingKind::Percent,
                    value: percent,
                    period_seconds,
                },
                ScalingPolicy {
                    kind: ScalingKind::Pods,
                    value: pods,
                    period_seconds,
                },
            ],
        };
        let (shortest, longest) = DOWN_WINDOW;
        let window = ceil((DOWN_COLD_STARTS * cold_start).clamp(shortest, longest));
        Self {
            scale_up: rules(0, 100, 4, 15),
            scale_down: rules(window, 10, 1, 60),
        }
    }
}

/// Requests per second in quiet times.
pub(crate) fn base_rps(load: &Load, policy: &Policy) -> f64 {
    load.base_rps
        .unwrap_or_else(|| policy.base_share * load.peak_rps())
}

/// `min = max(min(2, R), ceil(base / λ*))`. `max = ceil(1.25·S)`, room above S, the steady number
/// at the peak; all within what nodes, quota and user allow. Where the user wants more pods than
/// that, the room moves up with them.
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
    let steady = candidate.steady.min(limit);
    let surge = max_wanted(candidate, policy);
    Replicas {
        min,
        at_peak,
        steady,
        max: steady.max(surge).min(limit).max(min),
        limit,
    }
}

/// The maximum, were there room.
pub(crate) fn max_wanted(candidate: &Candidate<'_>, policy: &Policy) -> u32 {
    ceil_above_noise(f64::from(candidate.steady) * policy.surge).max(candidate.steady)
}

/// The target is requests in flight: they also show what a wrong profile hides, work that waits. It
/// is `L(λ_t)` of pods as fast as measured, `L(λ_t·(1 - u))` of derated ones: at that number
/// the autoscaler settles at S. Slower pods have more in flight and get company. On a CPU the fallback is `100·λ_t·ā·cpuSecPerAudioS / request` percent.
pub(crate) fn target(candidate: &Candidate<'_>, load: &Load) -> Autoscaling {
    let pod = candidate.of;
    let rate = candidate.target_rate;
    let offered_audio = rate * load.mean_audio;
    let in_flight = candidate.server().mean_in_system(rate * (1.0 - pod.derate));
    Autoscaling {
        in_flight,
        in_flight_milli: floor(1000.0 * in_flight).max(1),
        offered_audio,
        cpu_percent: (candidate.accelerator() == Accelerator::Cpu)
            .then(|| floor(100.0 * offered_audio * pod.cpu_per_audio() / candidate.ask.cpu))
            // Not measured: a target of 0 % would scale out for ever.
            .filter(|percent| *percent > 0),
        rate,
        reaction: pod.reaction.seconds,
        headroom: pod.reaction.headroom,
        behavior: Behavior::new(pod.mix.cold_start()),
    }
}
