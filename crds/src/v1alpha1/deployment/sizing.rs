//! How large pods are.
use kube::KubeSchema;
use schemars::JsonSchema;
use serde::{Deserialize, Serialize};

use crate::quantity::Quantity;

/// How large pods are, and how that is decided.
#[derive(KubeSchema, Serialize, Deserialize, Clone, Debug, Default, PartialEq, Eq)]
#[serde(rename_all = "camelCase")]
#[x_kube(
    // One rule per mode: what one mode requires must not be required of another.
    validation = Rule::new("self.mode != 'Manual' || has(self.resources)")
        .message("sizing.resources must be set when sizing.mode is Manual"),
    validation = Rule::new("self.mode != 'FromProfile' || !has(self.resources)")
        .message("sizing.resources is used when sizing.mode is Manual only; remove it, or set the mode"),
    validation = Rule::new("!has(self.maxCpuPerPod) || quantity(string(self.maxCpuPerPod)).compareTo(quantity('100m')) >= 0")
        .message("sizing.maxCpuPerPod must be at least 100m"),
)]
pub struct Sizing {
    /// `FromProfile`: the operator computes the pods from measurements of the voices, so that `objectives` are kept under
    /// `load`. `Manual`: the resources below are used as written.
    #[serde(default)]
    pub mode: SizingMode,

    /// Requests and limits of the server container; required when `mode` is `Manual`. It runs one
    /// worker thread per whole CPU of the limit (of the request if there is no limit), at least one.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub resources: Option<Resources>,

    /// `Auto`: a new plan is rolled out at once. `Approve`: it is shown in `status.plan.proposed` and waits for the annotation
    /// `tts-operator.dev/approve` with the hash that stands there. Only with `FromProfile`.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub apply: Option<Apply>,

    /// What is done about a voice without a measurement. `Auto` (without it): the operator creates a `TtsBenchmark` for each
    /// node class that pods may run on. `Ask`: likewise, and each waits for its approval. `Never`: profiles come from
    /// elsewhere. Only with `FromProfile`.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub benchmark: Option<BenchmarkPolicy>,

    /// What is done when no plan keeps the objectives. `BestEffort` (without it): what comes nearest is rolled out. `Refuse`:
    /// the pods stay as they are. Only with `FromProfile`.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub on_infeasible: Option<OnInfeasible>,

    /// Quality of service of the pods. `Burstable` (without it): CPU is requested and not limited. `Guaranteed`: whole CPUs,
    /// requested and limited. Only with `FromProfile`.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub qos: Option<QualityOfService>,

    /// What the best plan has least of: `Cost` (without it), or `Energy` where profiles have it. Only with `FromProfile`.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub minimise: Option<Minimise>,

    /// The most CPUs that a pod may request, for example `4`. Only with `FromProfile`.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub max_cpu_per_pod: Option<Quantity>,
}

/// How the resources are determined.
#[derive(JsonSchema, Serialize, Deserialize, Clone, Copy, Debug, Default, PartialEq, Eq)]
pub enum SizingMode {
    #[default]
    FromProfile,
    Manual,
}

/// Whether a plan waits for a person.
#[derive(JsonSchema, Serialize, Deserialize, Clone, Copy, Debug, Default, PartialEq, Eq)]
pub enum Apply {
    #[default]
    Auto,
    Approve,
}

/// Whether the operator measures.
#[derive(JsonSchema, Serialize, Deserialize, Clone, Copy, Debug, Default, PartialEq, Eq)]
pub enum BenchmarkPolicy {
    #[default]
    Auto,
    Ask,
    Never,
}

/// What is done when no plan keeps the objectives.
#[derive(JsonSchema, Serialize, Deserialize, Clone, Copy, Debug, Default, PartialEq, Eq)]
pub enum OnInfeasible {
    #[default]
    BestEffort,
    Refuse,
}

/// Quality of service, as Kubernetes names it.
#[derive(JsonSchema, Serialize, Deserialize, Clone, Copy, Debug, Default, PartialEq, Eq)]
pub enum QualityOfService {
    #[default]
    Burstable,
    Guaranteed,
}

/// What the best plan has least of.
#[derive(JsonSchema, Serialize, Deserialize, Clone, Copy, Debug, Default, PartialEq, Eq)]
pub enum Minimise {
    #[default]
    Cost,
    Energy,
}

/// Requests and limits of the server container.
#[derive(KubeSchema, Serialize, Deserialize, Clone, Debug, PartialEq, Eq)]
#[serde(rename_all = "camelCase")]
#[x_kube(
    validation = Rule::new("!has(self.limits) || !has(self.limits.cpu) || quantity(string(self.requests.cpu)).compareTo(quantity(string(self.limits.cpu))) <= 0")
        .message("requests.cpu must not be above limits.cpu; raise the limit or lower the request"),
    validation = Rule::new("!has(self.limits) || !has(self.limits.memory) || quantity(string(self.requests.memory)).compareTo(quantity(string(self.limits.memory))) <= 0")
        .message("requests.memory must not be above limits.memory; raise the limit or lower the request"),
)]
pub struct Resources {
    /// Resources that the scheduler reserves.
    pub requests: ResourceRequests,

    /// Maximum resources; without a limit, the free capacity of the node.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub limits: Option<ResourceLimits>,
}

/// Resources that the scheduler reserves for the server container.
#[derive(JsonSchema, Serialize, Deserialize, Clone, Debug, PartialEq, Eq)]
#[serde(rename_all = "camelCase")]
pub struct ResourceRequests {
    /// CPUs, for example `500m` or `2`.
    pub cpu: Quantity,

    /// Memory in bytes, for example `512Mi`.
    pub memory: Quantity,
}

/// Maximum resources of the server container.
#[derive(JsonSchema, Serialize, Deserialize, Clone, Debug, PartialEq, Eq)]
#[serde(rename_all = "camelCase")]
pub struct ResourceLimits {
    /// CPUs, for example `2`.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub cpu: Option<Quantity>,

    /// Memory in bytes, for example `1Gi`; a container that exceeds it is killed.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub memory: Option<Quantity>,
}
