//! `TtsVoice`: the source of a voice, and the result of its inspection.
use k8s_openapi::apimachinery::pkg::apis::meta::v1::Condition;
use kube::{CustomResource, KubeSchema};
use schemars::JsonSchema;
use serde::{Deserialize, Serialize};

use super::unobserved;

/// The source of a voice's model files.
#[derive(CustomResource, KubeSchema, Serialize, Deserialize, Clone, Debug, PartialEq, Eq)]
#[kube(
    group = "tts-operator.dev",
    version = "v1alpha1",
    kind = "TtsVoice",
    plural = "ttsvoices",
    shortname = "ttsv",
    category = "tts",
    namespaced,
    status = "TtsVoiceStatus",
    derive = "PartialEq",
    doc = "A voice: the source of its model files, and the result of inspecting them in the cluster.",
    selectable = ".spec.source.builtin.name",
    printcolumn(name = "Ready", type_ = "string", json_path = r#".status.conditions[?(@.type=="Ready")].status"#),
    printcolumn(name = "Reason", type_ = "string", json_path = r#".status.conditions[?(@.type=="Ready")].reason"#),
    printcolumn(name = "Family", type_ = "string", json_path = ".status.family"),
    printcolumn(name = "Language", type_ = "string", json_path = ".status.languages[0]"),
    printcolumn(name = "Rate", type_ = "integer", json_path = ".status.sampleRateHz", description = "Sample rate in Hz"),
    printcolumn(name = "Message", type_ = "string", json_path = r#".status.conditions[?(@.type=="Ready")].message"#, priority = 1),
    printcolumn(name = "Age", type_ = "date", json_path = ".metadata.creationTimestamp"),
    // The inspection Job is named `<name>-inspect-<8 hex digits>` and a Job's name has 63 characters.
    validation = Rule::new("self.metadata.name.matches('^[a-z0-9]([-a-z0-9]{0,44}[a-z0-9])?$')")
        .message("metadata.name must be 1 to 46 characters: lower-case letters, digits and '-', no '-' at the ends; choose a shorter or simpler name")
)]
#[serde(rename_all = "camelCase")]
pub struct TtsVoiceSpec {
    /// Source of the model files: exactly one of `builtin` and `files`.
    #[x_kube(validation = Rule::new("has(self.builtin) != has(self.files)")
        .message("exactly one of builtin and files must be set"))]
    pub source: VoiceSource,
}

/// Source of a voice's files.
#[derive(KubeSchema, Serialize, Deserialize, Clone, Debug, Default, PartialEq, Eq)]
#[serde(rename_all = "camelCase")]
pub struct VoiceSource {
    /// A voice that is compiled into the inference server; nothing is downloaded.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub builtin: Option<BuiltinSource>,

    /// Files to download, each pinned by its digest: for a Piper voice the model (`*.onnx`) and
    /// its configuration (`*.onnx.json`).
    #[serde(default, skip_serializing_if = "Option::is_none")]
    #[schemars(length(min = 1, max = 16))]
    #[x_kube(merge_strategy = ListMerge::Map(vec!["path".into()]))]
    pub files: Option<Vec<SourceFile>>,
}

/// A voice compiled into the inference server.
#[derive(JsonSchema, Serialize, Deserialize, Clone, Debug, PartialEq, Eq)]
#[serde(rename_all = "camelCase")]
pub struct BuiltinSource {
    /// Name of the built-in voice; `tts-server voices` lists them. `rms` is American English.
    #[schemars(length(min = 1, max = 63))]
    pub name: String,
}

/// One file to download.
#[derive(KubeSchema, Serialize, Deserialize, Clone, Debug, PartialEq, Eq)]
#[serde(rename_all = "camelCase")]
pub struct SourceFile {
    /// Path of the file in the voice's folder, for example `en_US-amy-medium.onnx`.
    #[schemars(length(min = 1, max = 255))]
    #[x_kube(validation = Rule::new("self.matches('^[A-Za-z0-9._-]+(/[A-Za-z0-9._-]+)*$') && !self.split('/').exists(part, part == '.' || part == '..')")
        .message("path must be relative, made of letters, digits, '.', '_', '-' and '/', with no '.' or '..' part"))]
    pub path: String,

    /// URL to download the file from: https, or http if the operator's settings allow it.
    /// The same rule applies to redirects.
    #[schemars(length(min = 1, max = 1024))]
    #[x_kube(validation = Rule::new("self.matches('^https?://[^/?#@\\\\s]+([/?#]\\\\S*)?$')")
        .message("url must be an https:// URL (or http:// where the operator allows it), without user and password in it"))]
    pub url: String,

    /// SHA-256 of the file, as `sha256sum` prints it: 64 hexadecimal digits. A file with another
    /// digest is never loaded.
    #[schemars(length(max = 64))]
    #[x_kube(validation = Rule::new("self.matches('^[0-9a-f]{64}$')")
        .message("sha256 must be the file's SHA-256 as sha256sum prints it: 64 hexadecimal digits in lower case"))]
    pub sha256: String,
}

/// Maximum number of entries of [`TtsVoiceStatus::inspected_images`].
pub const MAX_INSPECTED_IMAGES: usize = 5;

/// Maximum number of entries of [`TtsVoiceStatus::profiles`].
pub const MAX_VOICE_PROFILES: usize = 32;

/// Observed state of the voice: the result of its inspection.
#[derive(KubeSchema, Serialize, Deserialize, Clone, Debug, PartialEq)]
#[serde(rename_all = "camelCase")]
pub struct TtsVoiceStatus {
    /// `metadata.generation` that this status was computed from; -1 until the operator has
    /// processed the object.
    #[serde(default = "unobserved")]
    pub observed_generation: i64,

    /// Conditions: `Ready`, `SourceVerified` (all files match their digests), `Inspected` (the
    /// model loads and produces audio); `Reconciling` and `Stalled` are present only while true.
    #[serde(default, skip_serializing_if = "Vec::is_empty")]
    #[x_kube(merge_strategy = ListMerge::Map(vec!["type".into()]))]
    pub conditions: Vec<Condition>,

    /// Identifies the inspected source and the fields below, which apply to it: the voice is inspected again
    /// if they were edited.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    #[schemars(length(max = 64))]
    pub inspected_source: Option<String>,

    /// Images of the inference server with which this source passed its inspection, the last one
    /// first. A deployment runs an image only after each of its voices passed with it.
    #[serde(default, skip_serializing_if = "Vec::is_empty")]
    #[schemars(length(max = MAX_INSPECTED_IMAGES), inner(length(max = 1024)))]
    pub inspected_images: Vec<String>,

    /// Combined digest of all files: SHA-256 of the lines `<sha256>  <path>` sorted by path.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    #[schemars(length(max = 80))]
    pub digest: Option<String>,

    /// Total size of all files in bytes.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub size_bytes: Option<i64>,

    /// Peak memory of the inspection process in bytes, including speech synthesis with this voice;
    /// determines the memory request of the pods that serve it.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub peak_memory_bytes: Option<i64>,

    /// Model architecture, for example `Piper`.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    #[schemars(length(max = 63))]
    pub family: Option<String>,

    /// Sample rate of the produced audio, in Hz.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub sample_rate_hz: Option<i32>,

    /// Languages of the voice, as BCP 47 tags.
    #[serde(default, skip_serializing_if = "Vec::is_empty")]
    #[schemars(length(max = 64), inner(length(max = 64)))]
    pub languages: Vec<String>,

    /// The speakers of the voice.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub speakers: Option<Speakers>,

    /// The voice's files; truncated when there are many.
    #[serde(default, skip_serializing_if = "Vec::is_empty")]
    #[schemars(length(max = 64))]
    pub files: Vec<InspectedFile>,

    /// Measurements of these files, one per node class: the newest of this namespace, else the newest of the operator's
    /// namespace.
    #[serde(default, skip_serializing_if = "Vec::is_empty")]
    #[schemars(length(max = MAX_VOICE_PROFILES))]
    pub profiles: Vec<VoiceProfile>,
}

impl Default for TtsVoiceStatus {
    fn default() -> Self {
        Self {
            observed_generation: unobserved(),
            conditions: Vec::new(),
            inspected_source: None,
            inspected_images: Vec::new(),
            digest: None,
            size_bytes: None,
            peak_memory_bytes: None,
            family: None,
            sample_rate_hz: None,
            languages: Vec::new(),
            speakers: None,
            files: Vec::new(),
            profiles: Vec::new(),
        }
    }
}

/// The speakers of a voice.
#[derive(JsonSchema, Serialize, Deserialize, Clone, Debug, Default, PartialEq, Eq)]
#[serde(rename_all = "camelCase")]
pub struct Speakers {
    /// Number of speakers.
    pub count: i32,

    /// Names of the speakers; truncated when there are many.
    #[serde(default, skip_serializing_if = "Vec::is_empty")]
    #[schemars(length(max = 1024), inner(length(max = 255)))]
    pub names: Vec<String>,
}

/// A measurement of the voice.
#[derive(JsonSchema, Serialize, Deserialize, Clone, Debug, PartialEq, Eq)]
#[serde(rename_all = "camelCase")]
pub struct VoiceProfile {
    /// Namespace of the `TtsProfile`.
    #[schemars(length(max = 63))]
    pub namespace: String,

    /// Name of the `TtsProfile`.
    #[schemars(length(max = 253))]
    pub name: String,

    /// The class of nodes that it was measured on.
    #[schemars(length(max = 63))]
    pub node_class: String,

    /// `Valid`, `Degraded`, `Stale`, `Transferred` or `Invalid`; empty until it was judged.
    #[serde(default, skip_serializing_if = "String::is_empty")]
    #[schemars(length(max = 16))]
    pub validity: String,
}

/// A file that the inspection verified.
#[derive(JsonSchema, Serialize, Deserialize, Clone, Debug, PartialEq, Eq)]
#[serde(rename_all = "camelCase")]
pub struct InspectedFile {
    /// Path of the file in the voice's folder.
    #[schemars(length(max = 255))]
    pub path: String,

    /// SHA-256 of the file, 64 hexadecimal digits.
    #[schemars(length(max = 64))]
    pub sha256: String,

    /// Size in bytes.
    pub size_bytes: i64,
}
