//! What a plan is: data, with every number that a reason is made of.

use std::fmt;

use serde::de::Error as _;
use serde::ser::Error as _;
use serde::{Deserialize, Deserializer, Serialize, Serializer};
use serde_json::Value;

use crate::autoscaling::{Autoscaling, Replicas};
use crate::candidates::Candidate;
use crate::profile::{Accelerator, Variant};
use crate::reasons::Written;
use crate::rejection::Rejection;
use crate::request::Current;
use crate::resources::{Resources, Threads};
use crate::shortage::{Condition, Shortage};
use crate::words::{Count, Number, Percent, Price};

/// The format of a stored plan. Within it fields are only added: an older version keeps those that
/// it does not know, a newer one has a value for those that are missing.
pub const PLAN_SCHEMA: &str = "tts.plan/v1";

/// The answer to a [`Request`](crate::Request).
#[derive(Clone, Debug, PartialEq, Serialize, Deserialize)]
#[serde(rename_all = "camelCase")]
pub struct Decision {
    #[serde(flatten)]
    pub outcome: Outcome,
    pub alternatives: Alternatives,
}

#[derive(Clone, Debug, PartialEq, Serialize, Deserialize)]
#[serde(rename_all = "camelCase")]
pub enum Outcome {
    Plan(Box<AcceptedPlan>),
    Infeasible(Box<Infeasible>),
}

impl Decision {
    pub fn plan(&self) -> Option<&AcceptedPlan> {
        match &self.outcome {
            Outcome::Plan(plan) => Some(plan),
            Outcome::Infeasible(_) => None,
        }
    }

    pub fn infeasible(&self) -> Option<&Infeasible> {
        match &self.outcome {
            Outcome::Plan(_) => None,
            Outcome::Infeasible(infeasible) => Some(infeasible),
        }
    }
}

/// What is stored and rolled out: a pod, how many of it, and why.
#[derive(Clone, Debug, PartialEq, Serialize, Deserialize)]
#[serde(rename_all = "camelCase")]
pub struct AcceptedPlan {
    /// [`PLAN_SCHEMA`].
    pub schema: String,
    /// [`Request::input_hash`](crate::Request::input_hash) of what it was computed from; empty for
    /// [`defaults`](crate::defaults()).
    #[serde(default)]
    pub input_hash: String,
    pub accelerator: Accelerator,
    /// None: any class that has room.
    #[serde(default)]
    pub node_class: Option<String>,
    /// What is served; empty for [`defaults`](crate::defaults()).
    #[serde(default)]
    pub voices: Vec<PlannedVoice>,
    pub pod: Pod,
    pub replicas: Replicas,
    pub autoscaling: Autoscaling,
    /// None where nothing was measured.
    #[serde(default)]
    pub predicted: Option<Prediction>,
    /// In the order in which a person would ask.
    #[serde(default)]
    pub reasons: Vec<Written>,
}

impl AcceptedPlan {
    /// A plan for which nothing was measured under load: this pod on any class, and as many of it as
    /// `replicas` says, scaled by CPU to `cpu_percent` of the request if at all.
    pub fn unmeasured(
        accelerator: Accelerator,
        pod: Pod,
        replicas: Replicas,
        cpu_percent: Option<u32>,
        reasons: Vec<Written>,
    ) -> Self {
        Self {
            schema: PLAN_SCHEMA.to_owned(),
            input_hash: String::new(),
            accelerator,
            node_class: None,
            voices: Vec::new(),
            pod,
            replicas,
            autoscaling: Autoscaling::by_cpu(cpu_percent),
            predicted: None,
            reasons,
        }
    }

    /// The reason with this code.
    pub fn reason(&self, code: &str) -> Option<&Written> {
        self.reasons.iter().find(|reason| reason.code == code)
    }

    /// What runs once the plan is rolled out, with R pods: the next request's
    /// [`current`](crate::Request::current). None where the plan names no class.
    pub fn as_current(&self) -> Option<Current> {
        let voices = self.voices.iter();
        Some(Current {
            class: self.node_class.clone()?,
            cpu: Some(self.pod.cpu),
            threads: Some(self.pod.threads.intra_op),
            concurrency: Some(self.pod.max_concurrency),
            queue: Some(self.pod.queue),
            memory: Some(self.pod.resources.memory),
            replicas: Some(self.replicas.at_peak),
            variants: voices
                .map(|voice| (voice.name.clone(), voice.variant.clone()))
                .collect(),
        })
    }
}

/// An [`AcceptedPlan`] as it was stored, by this version or another: what a newer one wrote is
/// written again, at any depth.
#[derive(Clone, Debug)]
pub struct StoredPlan {
    pub plan: AcceptedPlan,
    stored: Value,
}

/// Equal if this version sees no difference, whatever another one stored along with the plan.
impl PartialEq for StoredPlan {
    fn eq(&self, other: &Self) -> bool {
        self.plan == other.plan
    }
}

impl From<AcceptedPlan> for StoredPlan {
    fn from(plan: AcceptedPlan) -> Self {
        Self {
            plan,
            stored: Value::Null,
        }
    }
}

impl<'de> Deserialize<'de> for StoredPlan {
    fn deserialize<D: Deserializer<'de>>(deserializer: D) -> Result<Self, D::Error> {
        let stored = Value::deserialize(deserializer)?;
        let plan = AcceptedPlan::deserialize(&stored).map_err(D::Error::custom)?;
        if plan.schema != PLAN_SCHEMA {
            return Err(D::Error::custom(format_args!(
                "schema: {:?} is unknown; this version reads {PLAN_SCHEMA:?}",
                plan.schema
            )));
        }
        Ok(Self { plan, stored })
    }
}

impl Serialize for StoredPlan {
    fn serialize<S: Serializer>(&self, serializer: S) -> Result<S::Ok, S::Error> {
        let mut written = serde_json::to_value(&self.plan).map_err(S::Error::custom)?;
        add_unknown(&mut written, &self.stored);
        written.serialize(serializer)
    }
}

/// Adds the fields that `stored` has and `written` has not. Lists are replaced.
fn add_unknown(written: &mut Value, stored: &Value) {
    if let (Some(written), Some(stored)) = (written.as_object_mut(), stored.as_object()) {
        for (name, value) in stored {
            match written.get_mut(name) {
                Some(known) => add_unknown(known, value),
                None => {
                    written.insert(name.clone(), value.clone());
                }
            }
        }
    }
}

/// A voice of the plan and the measurement that it rests on.
#[derive(Clone, Debug, PartialEq, Serialize, Deserialize)]
#[serde(rename_all = "camelCase")]
pub struct PlannedVoice {
    pub name: String,
    /// Of the requests.
    pub share: f64,
    /// The profile's id.
    pub profile: String,
    pub variant: Variant,
}

#[derive(Clone, Debug, PartialEq, Serialize, Deserialize)]
#[serde(rename_all = "camelCase")]
pub struct Pod {
    /// Cores for the workers, without the overhead.
    pub cpu: f64,
    pub threads: Threads,
    /// C, the admission limit.
    pub max_concurrency: u32,
    /// Q, beyond which the answer is 429.
    pub queue: u32,
    /// Seconds in a 429's Retry-After: Q / X(C), the time a full queue takes, rounded up.
    pub retry_after: u32,
    pub resources: Resources,
    /// This size was not measured.
    #[serde(default)]
    pub interpolated: bool,
}

/// What pods are expected to do.
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
    /// Share of the requests at the peak that get their first audio late, or a 429, with R pods.
    pub late_or_rejected: f64,
    /// Of the pods at which the autoscaler settles at a steady peak; a weight where prices are
    /// assumed. Without an autoscaler, of the pods that there are.
    pub cost_per_hour: f64,
    /// Per hour of audio when pods work at the autoscaler's target.
    pub cost_per_audio_hour: f64,
    /// Power of the same pods (W); None where energy was not measured.
    #[serde(default)]
    pub watts: Option<f64>,
    /// u.
    pub derate: f64,
    /// Of the speed alone, beside busy pods on the same node.
    #[serde(default = "alone")]
    pub beside_neighbours: f64,
    /// Prices are weights: cores + 8 per GPU.
    pub prices_assumed: bool,
}

const fn alone() -> f64 {
    1.0
}

/// What else there was, in short.
#[derive(Clone, Debug, Default, PartialEq, Serialize, Deserialize)]
#[serde(rename_all = "camelCase")]
pub struct Alternatives {
    /// What would keep the objectives, the chosen one included, best first: the best of each class
    /// and the best of all.
    pub candidates: Vec<Alternative>,
    /// What would not: of each class and cause the one that comes nearest.
    pub rejected: Vec<Rejection>,
    /// How many of each are left out.
    pub omitted_candidates: u32,
    pub omitted_rejected: u32,
}

/// A candidate in short.
#[derive(Clone, Debug, PartialEq, Serialize, Deserialize)]
#[serde(rename_all = "camelCase")]
pub struct Alternative {
    pub class: String,
    pub profiles: Vec<String>,
    pub accelerator: Accelerator,
    pub cpu: f64,
    pub threads: u32,
    pub max_concurrency: u32,
    pub rate: f64,
    pub utilisation: f64,
    /// R.
    pub replicas: u32,
    pub cost_per_hour: f64,
    pub cost_per_audio_hour: f64,
    pub watts: Option<f64>,
    pub interpolated: bool,
}

impl Alternative {
    pub(crate) fn of(candidate: &Candidate<'_>, mean_audio: f64) -> Self {
        let pod = candidate.of;
        Self {
            class: pod.class.name.clone(),
            profiles: pod.mix.profiles(),
            accelerator: candidate.accelerator(),
            cpu: pod.shape.cpu,
            threads: pod.shape.threads,
            max_concurrency: candidate.concurrency,
            rate: candidate.rate,
            utilisation: candidate.rate / candidate.full_rate(),
            replicas: candidate.replicas,
            cost_per_hour: candidate.cost,
            cost_per_audio_hour: candidate.cost_per_audio_hour(mean_audio),
            watts: candidate.watts,
            interpolated: pod.shape.interpolated(),
        }
    }
}

impl fmt::Display for Alternative {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        write!(
            f,
            "{}, {} and {}, {} at once: {} requests/s per pod ({} busy), {} at the peak, {} an hour, {} per audio-hour{}",
            self.class,
            Count(self.cpu, "core"),
            Count(self.threads, "thread"),
            Count(self.max_concurrency, "request"),
            Number(self.rate),
            Percent(self.utilisation),
            Count(self.replicas, "pod"),
            Price(self.cost_per_hour),
            Price(self.cost_per_audio_hour),
            if self.interpolated {
                ", not measured"
            } else {
                ""
            },
        )
    }
}

/// No plan keeps the objectives.
#[derive(Clone, Debug, PartialEq, Serialize, Deserialize)]
#[serde(rename_all = "camelCase")]
pub struct Infeasible {
    pub condition: Condition,
    /// What is missing, with numbers, and what would help.
    pub reason: Shortage,
    /// The same as a sentence.
    pub message: String,
    /// What comes nearest, at the size that the inventory allows; the objectives are not kept.
    pub best_effort: Option<Box<AcceptedPlan>>,
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
    /// Of the pods that carry the peak.
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
