//! The plan of a deployment's pods, for people and for pipelines.
use kube::KubeSchema;
use schemars::JsonSchema;
use serde::{Deserialize, Serialize};

/// What the pods are, what they are expected to do, and why.
#[derive(KubeSchema, Serialize, Deserialize, Clone, Debug, Default, PartialEq, Eq)]
#[serde(rename_all = "camelCase")]
pub struct PlanStatus {
    /// Identifies what the plan was computed from; the same inputs give the same plan.
    #[schemars(length(max = 64))]
    pub input_hash: String,

    /// Class of the nodes that the pods run on.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    #[schemars(length(max = 63))]
    pub node_class: Option<String>,

    /// `Cpu` or `Gpu`.
    #[schemars(length(max = 8))]
    pub accelerator: String,

    /// The pod.
    pub pod: PlannedPod,

    /// How many pods.
    pub replicas: PlannedReplicas,

    /// What these pods are expected to do, from the measurements.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub predicted: Option<Predicted>,

    /// The measurements that it rests on, as `namespace/name` of `TtsProfile` objects or as their ids.
    #[serde(default, skip_serializing_if = "Vec::is_empty")]
    #[schemars(length(max = 32), inner(length(max = 320)))]
    #[x_kube(merge_strategy = ListMerge::Set)]
    pub profiles: Vec<String>,

    /// A sentence for each decision, in the order in which a person would ask.
    #[serde(default, skip_serializing_if = "Vec::is_empty")]
    #[schemars(length(max = 32))]
    pub reasons: Vec<PlanReason>,

    /// Other pods and classes that keep the objectives, best first.
    #[serde(default, skip_serializing_if = "Vec::is_empty")]
    #[schemars(length(max = 32), inner(length(max = 1024)))]
    pub alternatives: Vec<String>,

    /// What does not keep them, and why: of each class and cause what comes nearest.
    #[serde(default, skip_serializing_if = "Vec::is_empty")]
    #[schemars(length(max = 32), inner(length(max = 1024)))]
    pub rejected: Vec<String>,
}

/// The pod of a plan.
#[derive(JsonSchema, Serialize, Deserialize, Clone, Debug, Default, PartialEq, Eq)]
#[serde(rename_all = "camelCase")]
pub struct PlannedPod {
    /// CPUs that a pod requests.
    #[schemars(length(max = 32))]
    pub cpu: String,
    /// CPUs that it is limited to.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    #[schemars(length(max = 32))]
    pub cpu_limit: Option<String>,
    /// Memory that it requests and is limited to.
    #[schemars(length(max = 32))]
    pub memory: String,
    /// Threads per request.
    pub threads: i32,
    /// Requests that are served at once.
    pub max_concurrency: i32,
    /// Requests that may wait; a further one is answered with 429.
    pub queue: i32,
}

/// The number of pods of a plan.
#[derive(JsonSchema, Serialize, Deserialize, Clone, Debug, Default, PartialEq, Eq)]
#[serde(rename_all = "camelCase")]
pub struct PlannedReplicas {
    /// The fewest.
    pub min: i32,
    /// The fewest that keep the objectives at the peak.
    pub planned: i32,
    /// The most.
    pub max: i32,
}

/// What planned pods are expected to do at the peak.
#[derive(JsonSchema, Serialize, Deserialize, Clone, Debug, Default, PartialEq, Eq)]
#[serde(rename_all = "camelCase")]
pub struct Predicted {
    /// 95 % of the requests have their first audio within this time, such as `412ms`.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    #[schemars(length(max = 16))]
    pub time_to_first_audio: Option<String>,
    /// The same in a pod that has nothing else to do.
    #[schemars(length(max = 16))]
    pub idle_time_to_first_audio: String,
    /// 95th percentile of the seconds of work per second of audio.
    #[schemars(length(max = 16))]
    pub real_time_factor: String,
    /// The most requests per second of one pod.
    #[schemars(length(max = 16))]
    pub requests_per_second_per_pod: String,
    /// Percent of the requests at the peak that are late or answered with 429.
    #[schemars(length(max = 16))]
    pub late_or_refused_percent: String,
    /// Price of the pods per hour at the peak, in the currency of the operator's prices; absent where none are set.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    #[schemars(length(max = 32))]
    pub cost_per_hour: Option<String>,
    /// Price of an hour of audio.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    #[schemars(length(max = 32))]
    pub cost_per_audio_hour: Option<String>,
}

/// Why one number of a plan is what it is.
#[derive(JsonSchema, Serialize, Deserialize, Clone, Debug, Default, PartialEq, Eq)]
#[serde(rename_all = "camelCase")]
pub struct PlanReason {
    /// `CamelCase` name of the decision.
    #[schemars(length(max = 64))]
    pub code: String,
    /// A sentence with its numbers.
    #[schemars(length(max = 2048))]
    pub text: String,
}
