//! The observed state of a deployment.
use k8s_openapi::apimachinery::pkg::apis::meta::v1::Condition;
use kube::KubeSchema;
use schemars::JsonSchema;
use serde::{Deserialize, Serialize};

use super::plan::PlanStatus;
use crate::v1alpha1::unobserved;

/// Observed state of the deployment.
#[derive(KubeSchema, Serialize, Deserialize, Clone, Debug, PartialEq)]
#[serde(rename_all = "camelCase")]
pub struct TtsDeploymentStatus {
    /// `metadata.generation` that this status was computed from; -1 until the operator has
    /// processed the object.
    #[serde(default = "unobserved")]
    pub observed_generation: i64,

    /// Conditions: `Ready`, `VoicesReady`, `Profiled` (the voices are measured), `Sized`, `AutoscalingReady`, `UpToDate` (the
    /// pods have the template of the current spec, voices and server image), `Available`; `Reconciling` and `Stalled` are
    /// present only while true, `Profiled` and `AutoscalingReady` only where pods are planned or scaled.
    #[serde(default, skip_serializing_if = "Vec::is_empty")]
    #[x_kube(merge_strategy = ListMerge::Map(vec!["type".into()]))]
    pub conditions: Vec<Condition>,

    /// Number of pods that exist.
    #[serde(default)]
    pub replicas: i32,

    /// Number of pods that are ready to serve requests.
    #[serde(default)]
    pub ready_replicas: i32,

    /// Label selector of the pods, read by the scale subresource.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    #[schemars(length(max = 512))]
    pub selector: Option<String>,

    /// URL of the endpoint inside the cluster.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    #[schemars(length(max = 512))]
    pub endpoint: Option<String>,

    /// Image of the inference server in the pods: the newest with which every voice passed its
    /// inspection.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    #[schemars(length(max = 1024))]
    pub server_image: Option<String>,

    /// Number of the last `ControllerRevision` whose rollout was completed; `Ready` is false while
    /// a later one is rolled out.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub rolled_out_revision: Option<i64>,

    /// The voices, in the order of the spec.
    #[serde(default, skip_serializing_if = "Vec::is_empty")]
    #[schemars(length(max = 32))]
    #[x_kube(merge_strategy = ListMerge::Map(vec!["name".into()]))]
    pub voices: Vec<VoiceState>,

    /// The plan that the pods run with; absent where nothing is planned.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub plan: Option<PlanStatus>,

    /// A plan that waits for its approval: annotate the deployment with `tts-operator.dev/approve` and its `inputHash`.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub proposed_plan: Option<PlanStatus>,
}

impl Default for TtsDeploymentStatus {
    fn default() -> Self {
        Self {
            observed_generation: unobserved(),
            conditions: Vec::new(),
            replicas: 0,
            ready_replicas: 0,
            selector: None,
            endpoint: None,
            server_image: None,
            rolled_out_revision: None,
            voices: Vec::new(),
            plan: None,
            proposed_plan: None,
        }
    }
}

/// State of one voice of the deployment.
#[derive(JsonSchema, Serialize, Deserialize, Clone, Debug, PartialEq, Eq)]
#[serde(rename_all = "camelCase")]
pub struct VoiceState {
    /// Name of the `TtsVoice`.
    #[schemars(length(max = 63))]
    pub name: String,

    /// Whether the voice exists and is ready.
    pub ready: bool,

    /// Combined digest of the voice's files.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    #[schemars(length(max = 80))]
    pub digest: Option<String>,
}
