//! What a plan is: data, with every number that a reason is made of.

use serde::{Deserialize, Serialize};

use crate::autoscaling::{Autoscaling, Replicas};
use crate::profile::{Accelerator, Variant};
use crate::reasons::{Reason, Rejection};
use crate::resources::{Resources, Threads};

/// The answer to a [`Request`](crate::Request).
#[derive(Clone, Debug, PartialEq, Serialize, Deserialize)]
#[serde(rename_all = "camelCase")]
pub enum Decision {
    Plan(Box<Plan>),
    Infeasible(Box<Infeasible>),
}

impl Decision {
    pub fn plan(&self) -> Option<&Plan> {
        match self {
            Self::Plan(plan) => Some(plan),
            Self::Infeasible(_) => None,
        }
    }

    pub fn infeasible(&self) -> Option<&Infeasible> {
        match self {
            Self::Plan(_) => None,
            Self::Infeasible(infeasible) => Some(infeasible),
        }
    }
}

/// A pod, how many of it, and why.
#[derive(Clone, Debug, PartialEq, Serialize, Deserialize)]
#[serde(rename_all = "camelCase")]
pub struct Plan {
    pub accelerator: Accelerator,
    pub node_class: String,
    /// The profile's id.
    pub profile: String,
    pub variant: Variant,
    pub pod: Pod,
    pub replicas: Replicas,
    pub autoscaling: Autoscaling,
    pub predicted: Prediction,
    /// In the order in which a person would ask.
    pub reasons: Vec<Reason>,
    /// Everything that would keep the objectives, the chosen one included, best first.
    pub candidates: Vec<Alternative>,
    /// Everything that would not.
    pub rejected: Vec<Rejection>,
}

#[derive(Clone, Copy, Debug, PartialEq, Serialize, Deserialize)]
#[serde(rename_all = "camelCase")]
pub struct Pod {
    /// Cores for the workers, without the overhead.
    pub cpu: f64,
    pub threads: Threads,
    /// C, the admission limit.
    pub max_concurrency: u32,
    /// Q, beyond which the answer is 429.
    pub queue: u32,
    /// Seconds in a 429's Retry-After: Q / X(C), the time a full queue takes.
    pub retry_after: f64,
    pub resources: Resources,
    /// This size was not measured.
    pub interpolated: bool,
}

#[derive(Clone, Copy, Debug, PartialEq, Serialize, Deserialize)]
#[serde(rename_all = "camelCase")]
pub struct Prediction {
    /// λ*, the most requests per second of one pod.
    pub rate: f64,
    /// X(C), requests per second, derated.
    pub full_rate: f64,
    /// ρ* = λ* / X(C).
    pub utilisation: f64,
    /// At the peak spread over R pods (s); None when they cannot keep up.
    pub ttfa_p95: Option<f64>,
    pub ttfa_p95_idle: f64,
    pub rtf_p95: f64,
    /// Share of the requests at the peak that get their first audio late, or a 429.
    pub late_or_rejected: f64,
    /// R pods for an hour; a weight where prices are assumed.
    pub cost_per_hour: f64,
    /// Per hour of audio when pods work at λ*.
    pub cost_per_audio_hour: f64,
    /// u.
    pub derate: f64,
    /// Prices are weights: cores + 8 per GPU.
    pub prices_assumed: bool,
}

/// A candidate in short.
#[derive(Clone, Debug, PartialEq, Serialize, Deserialize)]
#[serde(rename_all = "camelCase")]
pub struct Alternative {
    pub class: String,
    pub profile: String,
    pub accelerator: Accelerator,
    pub cpu: f64,
    pub threads: u32,
    pub max_concurrency: u32,
    pub rate: f64,
    pub utilisation: f64,
    pub replicas: u32,
    pub cost_per_hour: f64,
    pub cost_per_audio_hour: f64,
    pub interpolated: bool,
}

impl std::fmt::Display for Alternative {
    fn fmt(&self, f: &mut std::fmt::Formatter<'_>) -> std::fmt::Result {
        write!(
            f,
            "{} {} cpu x {} thread(s), {} at once: {:.2} req/s a pod ({:.0} % busy), {} pod(s), {:.3} an hour, {:.4} an audio-hour{}",
            self.class,
            self.cpu,
            self.threads,
            self.max_concurrency,
            self.rate,
            100.0 * self.utilisation,
            self.replicas,
            self.cost_per_hour,
            self.cost_per_audio_hour,
            if self.interpolated {
                " (interpolated)"
            } else {
                ""
            },
        )
    }
}

/// Why there is no plan.
#[derive(Clone, Copy, Debug, PartialEq, Eq, Serialize, Deserialize, strum::Display)]
pub enum Condition {
    /// Nothing measured answers fast enough, even idle.
    SloInfeasible,
    /// Something would, but not with as many nodes as there are.
    CapacityInsufficient,
    /// Nothing speaks fast enough.
    RtfInfeasible,
    /// The nodes are too small.
    PodDoesNotFit,
    /// No usable measurement for any class: see [`defaults`](crate::defaults).
    NoProfile,
}

/// No plan keeps the objectives.
#[derive(Clone, Debug, PartialEq, Serialize, Deserialize)]
#[serde(rename_all = "camelCase")]
pub struct Infeasible {
    pub condition: Condition,
    /// What is missing, with numbers, and what would help.
    pub reason: Reason,
    pub rejected: Vec<Rejection>,
    /// What comes nearest, at the size that the inventory allows; the objectives are not kept.
    pub best_effort: Option<Box<Plan>>,
    /// What several classes could carry together, where one alone cannot.
    pub together: Option<Fill>,
}

/// A peak spread over several classes: one Deployment and one autoscaler each.
#[derive(Clone, Debug, PartialEq, Serialize, Deserialize)]
#[serde(rename_all = "camelCase")]
pub struct Fill {
    pub shares: Vec<Share>,
    /// Requests per second that remain without a pod; 0 when the peak is covered.
    pub uncovered: f64,
    pub cost_per_hour: f64,
}

#[derive(Clone, Debug, PartialEq, Serialize, Deserialize)]
#[serde(rename_all = "camelCase")]
pub struct Share {
    pub alternative: Alternative,
    pub replicas: u32,
    /// Requests per second that these carry.
    pub rate: f64,
}
