//! `TtsDeployment`: which voices to serve, how large, how many, and how to reach them.
use std::collections::BTreeMap;

use k8s_openapi::apimachinery::pkg::apis::meta::v1::Condition;
use kube::{CustomResource, KubeSchema};
use schemars::JsonSchema;
use serde::{Deserialize, Serialize};

use super::unobserved;
use crate::quantity::Quantity;

/// The voices to serve and how.
#[derive(CustomResource, KubeSchema, Serialize, Deserialize, Clone, Debug, PartialEq, Eq)]
#[kube(
    group = "tts-operator.dev",
    version = "v1alpha1",
    kind = "TtsDeployment",
    plural = "ttsdeployments",
    shortname = "ttsd",
    category = "tts",
    namespaced,
    status = "TtsDeploymentStatus",
    derive = "PartialEq",
    doc = "Serves voices over an OpenAI-compatible HTTP endpoint inside the cluster.",
    selectable = ".spec.paused",
    scale(
        spec_replicas_path = ".spec.scaling.replicas",
        status_replicas_path = ".status.replicas",
        label_selector_path = ".status.selector"
    ),
    printcolumn(name = "Ready", type_ = "string", json_path = r#".status.conditions[?(@.type=="Ready")].status"#),
    printcolumn(name = "Reason", type_ = "string", json_path = r#".status.conditions[?(@.type=="Ready")].reason"#),
    printcolumn(name = "Replicas", type_ = "integer", json_path = ".status.readyReplicas", description = "Ready replicas"),
    printcolumn(name = "Endpoint", type_ = "string", json_path = ".status.endpoint"),
    printcolumn(name = "Message", type_ = "string", json_path = r#".status.conditions[?(@.type=="Ready")].message"#, priority = 1),
    printcolumn(name = "Age", type_ = "date", json_path = ".metadata.creationTimestamp"),
    // The Service carries the name: a DNS label that starts with a letter.
    validation = Rule::new("self.metadata.name.matches('^[a-z]([-a-z0-9]{0,44}[a-z0-9])?$')")
        .message("metadata.name must be 1 to 46 characters: a lower-case letter first, then letters, digits and '-', no '-' at the end; choose a shorter or simpler name")
)]
#[serde(rename_all = "camelCase")]
pub struct TtsDeploymentSpec {
    /// The voices to serve, by the names of `TtsVoice` objects in the same namespace. A voice
    /// that is missing or not ready leaves running pods as they are.
    #[schemars(length(min = 1, max = 32))]
    #[x_kube(
        merge_strategy = ListMerge::Map(vec!["name".into()]),
        validation = Rule::new("self.filter(voice, has(voice.default) && voice.default).size() <= 1")
            .message("at most one voice can be the default; set default on one entry only"),
    )]
    pub voices: Vec<VoiceReference>,

    /// Resources of each pod. When absent, the operator requests 250m CPU and the memory that the
    /// inspected voices need.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub sizing: Option<Sizing>,

    /// Number of pods; one when absent.
    #[serde(default)]
    pub scaling: Scaling,

    /// Settings that are added to the pods.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub pod: Option<PodSettings>,

    /// How the endpoint is exposed.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub expose: Option<Expose>,

    /// While true, the operator changes nothing for this deployment; the status is still updated.
    #[serde(default)]
    pub paused: bool,
}

/// A voice to serve.
#[derive(JsonSchema, Serialize, Deserialize, Clone, Debug, PartialEq, Eq)]
#[serde(rename_all = "camelCase")]
pub struct VoiceReference {
    /// Name of a `TtsVoice` in the same namespace; clients use it as `voice`.
    #[schemars(
        length(min = 1, max = 46),
        regex(pattern = "^[a-z0-9]([-a-z0-9]*[a-z0-9])?$")
    )]
    pub name: String,

    /// Whether this voice serves requests that name no voice, or an OpenAI voice such as `alloy`.
    /// When no entry sets it, the first voice is the default.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub default: Option<bool>,
}

/// Resources of each pod.
#[derive(KubeSchema, Serialize, Deserialize, Clone, Debug, PartialEq, Eq)]
#[serde(rename_all = "camelCase")]
#[x_kube(
    // One rule per mode: what one mode requires must not be required of another.
    validation = Rule::new("self.mode != 'Manual' || has(self.resources)")
        .message("sizing.resources must be set when sizing.mode is Manual"),
)]
pub struct Sizing {
    /// `Manual`: the resources below are used as written.
    pub mode: SizingMode,

    /// Requests and limits of the server container; required when `mode` is `Manual`. It runs one
    /// worker thread per whole CPU of the limit (of the request if there is no limit), at least one.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub resources: Option<Resources>,
}

/// How the resources are determined.
#[derive(JsonSchema, Serialize, Deserialize, Clone, Copy, Debug, PartialEq, Eq)]
pub enum SizingMode {
    Manual,
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

/// Number of pods.
#[derive(KubeSchema, Serialize, Deserialize, Clone, Debug, PartialEq, Eq)]
#[serde(rename_all = "camelCase")]
#[x_kube(
    validation = Rule::new("self.type != 'Static' || has(self.replicas)")
        .message("scaling.replicas must be set when scaling.type is Static"),
)]
pub struct Scaling {
    /// `Static`: always `replicas` pods. `kubectl scale` and autoscalers write `replicas`.
    #[serde(default)]
    #[schemars(rename = "type")]
    pub r#type: ScalingType,

    /// Number of pods; required when `type` is `Static`. 0 stops serving and keeps all other objects.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    #[schemars(range(min = 0, max = 1000))]
    pub replicas: Option<i32>,
}

/// The scale subresource needs a value from the start: an autoscaler reads it.
impl Default for Scaling {
    fn default() -> Self {
        Self {
            r#type: ScalingType::Static,
            replicas: Some(1),
        }
    }
}

/// How the number of pods is determined.
#[derive(JsonSchema, Serialize, Deserialize, Clone, Copy, Debug, Default, PartialEq, Eq)]
pub enum ScalingType {
    #[default]
    Static,
}

/// Settings that are added to the pods.
#[derive(KubeSchema, Serialize, Deserialize, Clone, Debug, Default, PartialEq, Eq)]
#[serde(rename_all = "camelCase")]
pub struct PodSettings {
    /// Additional labels of the pods.
    #[serde(default, skip_serializing_if = "BTreeMap::is_empty")]
    #[schemars(extend("maxProperties" = 32, "additionalProperties" = {"type": "string", "maxLength": 63, "pattern": "^(([A-Za-z0-9][-A-Za-z0-9_.]*)?[A-Za-z0-9])?$"}))]
    #[x_kube(
        validation = Rule::new("self.all(key, key.size() <= 317 && key.matches('^([a-z0-9]([-a-z0-9.]*[a-z0-9])?/)?[A-Za-z0-9]([-A-Za-z0-9_.]{0,61}[A-Za-z0-9])?$'))")
            .message("pod.labels has a key that is not a valid label key; use name or prefix/name with letters, digits, '-', '_' and '.'"),
        validation = Rule::new("!self.exists(key, key.startsWith('tts-operator.dev/') || key in ['app.kubernetes.io/name', 'app.kubernetes.io/instance', 'app.kubernetes.io/component', 'app.kubernetes.io/managed-by'])")
            .message("pod.labels must not set labels of the operator (app.kubernetes.io/name, instance, component, managed-by and tts-operator.dev/*): they select the pods"),
    )]
    pub labels: BTreeMap<String, String>,

    /// Additional annotations of the pods.
    #[serde(default, skip_serializing_if = "BTreeMap::is_empty")]
    #[schemars(extend("maxProperties" = 64, "additionalProperties" = {"type": "string", "maxLength": 4096}))]
    #[x_kube(
        validation = Rule::new("self.all(key, key.size() <= 317 && key.matches('^([a-z0-9]([-a-z0-9.]*[a-z0-9])?/)?[A-Za-z0-9]([-A-Za-z0-9_.]{0,61}[A-Za-z0-9])?$'))")
            .message("pod.annotations has a key that is not a valid annotation key; use name or prefix/name with letters, digits, '-', '_' and '.'"),
        validation = Rule::new("!self.exists(key, key.startsWith('tts-operator.dev/'))")
            .message("pod.annotations must not set annotations of the operator (tts-operator.dev/*)"),
    )]
    pub annotations: BTreeMap<String, String>,

    /// Name of the `PriorityClass` of the pods.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    #[schemars(length(min = 1, max = 253))]
    pub priority_class_name: Option<String>,

    /// Names of Secrets in this namespace with credentials for the server image's registry, in
    /// addition to those that the operator was installed with.
    #[serde(default, skip_serializing_if = "Vec::is_empty")]
    #[schemars(length(max = 16), inner(length(min = 1, max = 253)))]
    #[x_kube(merge_strategy = ListMerge::Set)]
    pub image_pull_secrets: Vec<String>,
}

/// How the endpoint is exposed.
#[derive(JsonSchema, Serialize, Deserialize, Clone, Debug, Default, PartialEq, Eq)]
#[serde(rename_all = "camelCase")]
pub struct Expose {
    /// The Service in front of the pods; it has the deployment's name and port 80.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub service: Option<ServiceSettings>,
}

/// The Service in front of the pods.
#[derive(KubeSchema, Serialize, Deserialize, Clone, Debug, Default, PartialEq, Eq)]
#[serde(rename_all = "camelCase")]
pub struct ServiceSettings {
    /// Type of the Service.
    #[serde(default)]
    #[schemars(rename = "type")]
    pub r#type: ServiceType,

    /// Annotations of the Service, for example for a cloud load balancer.
    #[serde(default, skip_serializing_if = "BTreeMap::is_empty")]
    #[schemars(extend("maxProperties" = 64, "additionalProperties" = {"type": "string", "maxLength": 4096}))]
    #[x_kube(
        validation = Rule::new("self.all(key, key.size() <= 317 && key.matches('^([a-z0-9]([-a-z0-9.]*[a-z0-9])?/)?[A-Za-z0-9]([-A-Za-z0-9_.]{0,61}[A-Za-z0-9])?$'))")
            .message("service.annotations has a key that is not a valid annotation key; use name or prefix/name with letters, digits, '-', '_' and '.'"),
        validation = Rule::new("!self.exists(key, key.startsWith('tts-operator.dev/'))")
            .message("service.annotations must not set annotations of the operator (tts-operator.dev/*)"),
    )]
    pub annotations: BTreeMap<String, String>,
}

/// Type of the Service, as in the core API.
#[derive(JsonSchema, Serialize, Deserialize, Clone, Copy, Debug, Default, PartialEq, Eq)]
pub enum ServiceType {
    #[default]
    ClusterIP,
    NodePort,
    LoadBalancer,
}

/// Observed state of the deployment.
#[derive(KubeSchema, Serialize, Deserialize, Clone, Debug, PartialEq)]
#[serde(rename_all = "camelCase")]
pub struct TtsDeploymentStatus {
    /// `metadata.generation` that this status was computed from; -1 until the operator has
    /// processed the object.
    #[serde(default = "unobserved")]
    pub observed_generation: i64,

    /// Conditions: `Ready`, `VoicesReady`, `Sized`, `UpToDate` (the pods have the template of the
    /// current spec, voices and server image), `Available`; `Reconciling` and `Stalled` are present
    /// only while true.
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
