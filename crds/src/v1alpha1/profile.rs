//! `TtsProfile`: the measurement of one voice on one node class.
use k8s_openapi::apimachinery::pkg::apis::meta::v1::Condition;
use kube::{CustomResource, KubeSchema};
use schemars::JsonSchema;
use serde::{Deserialize, Serialize};
use tts_planner::Profile;

use super::unobserved;

/// A measurement, as `tts-server profile` writes it. It cannot be changed.
#[derive(CustomResource, JsonSchema, Serialize, Deserialize, Clone, Debug, PartialEq)]
#[kube(
    group = "tts-operator.dev",
    version = "v1alpha1",
    kind = "TtsProfile",
    plural = "ttsprofiles",
    shortname = "ttsp",
    category = "tts",
    namespaced,
    status = "TtsProfileStatus",
    derive = "PartialEq",
    doc = "The measurement of one voice on one node class: plans are made from it. It can be kept in git and applied to clusters that must not run benchmarks.",
    selectable = ".spec.voice.name",
    selectable = ".spec.node.class",
    printcolumn(name = "Voice", type_ = "string", json_path = ".spec.voice.name"),
    printcolumn(name = "Class", type_ = "string", json_path = ".spec.node.class"),
    printcolumn(name = "Validity", type_ = "string", json_path = ".status.validity"),
    printcolumn(name = "RTF", type_ = "string", json_path = ".status.realTimeFactor", description = "Service time over audio, 95th percentile of one request at a time, at the fastest shape"),
    printcolumn(name = "First audio", type_ = "string", json_path = ".status.timeToFirstAudio", description = "Time to first audio, 95th percentile of one request at a time, at the fastest shape"),
    printcolumn(name = "Message", type_ = "string", json_path = r#".status.conditions[?(@.type=="Ready")].message"#, priority = 1),
    printcolumn(name = "Measured", type_ = "date", json_path = ".spec.run.started"),
    printcolumn(name = "Age", type_ = "date", json_path = ".metadata.creationTimestamp"),
    validation = Rule::new("self.spec == oldSelf.spec")
        .message("a measurement cannot be changed; create another TtsProfile"),
    validation = Rule::new("self.spec.schema == 'tts.profile/v1'")
        .message("spec.schema must be tts.profile/v1, the format that this version reads; measure again with this version's tts-server")
)]
#[serde(transparent)]
pub struct TtsProfileSpec(pub Profile);

/// What the operator thinks of the measurement.
#[derive(KubeSchema, Serialize, Deserialize, Clone, Debug, PartialEq)]
#[serde(rename_all = "camelCase")]
pub struct TtsProfileStatus {
    /// `metadata.generation` that this status was computed from; -1 until the operator has
    /// processed the object.
    #[serde(default = "unobserved")]
    pub observed_generation: i64,

    /// Conditions: `Ready` (plans may be made from it); `Reconciling` and `Stalled` are present only
    /// while true.
    #[serde(default, skip_serializing_if = "Vec::is_empty")]
    #[x_kube(merge_strategy = ListMerge::Map(vec!["type".into()]))]
    pub conditions: Vec<Condition>,

    /// `Valid`, `Degraded`, `Stale`, `Transferred` or `Invalid`, now.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    #[schemars(length(max = 16))]
    pub validity: Option<String>,

    /// What speaks against it.
    #[serde(default, skip_serializing_if = "Vec::is_empty")]
    #[schemars(length(max = 32))]
    pub reasons: Vec<ProfileReason>,

    /// Service time over audio, such as `0.0065`: 95th percentile of one request at a time, at the
    /// fastest shape.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    #[schemars(length(max = 32))]
    pub real_time_factor: Option<String>,

    /// Time to first audio, such as `41ms`: 95th percentile of one request at a time, at the fastest
    /// shape.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    #[schemars(length(max = 32))]
    pub time_to_first_audio: Option<String>,
}

/// One thing that speaks against a measurement.
#[derive(JsonSchema, Serialize, Deserialize, Clone, Debug, PartialEq, Eq)]
#[serde(rename_all = "camelCase")]
pub struct ProfileReason {
    /// What it is, such as `AnchorDrift`.
    #[schemars(length(max = 64))]
    pub code: String,
    /// In words, with its numbers.
    #[schemars(length(max = 1024))]
    pub text: String,
}

impl Default for TtsProfileStatus {
    fn default() -> Self {
        Self {
            observed_generation: unobserved(),
            conditions: Vec::new(),
            validity: None,
            reasons: Vec::new(),
            real_time_factor: None,
            time_to_first_audio: None,
        }
    }
}
