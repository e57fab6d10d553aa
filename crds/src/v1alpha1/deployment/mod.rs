//! `TtsDeployment`: which voices to serve, how large, how many, and how to reach them.
mod expose;
mod objectives;
mod placement;
mod plan;
mod pod;
mod scaling;
mod sizing;
mod status;

use kube::{CustomResource, KubeSchema};
use serde::{Deserialize, Serialize};

pub use expose::*;
pub use objectives::*;
pub use placement::*;
pub use plan::*;
pub use pod::*;
pub use scaling::*;
pub use sizing::*;
pub use status::*;

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
    printcolumn(name = "Class", type_ = "string", json_path = ".status.plan.nodeClass", description = "Node class of the plan"),
    printcolumn(name = "CPU", type_ = "string", json_path = ".status.plan.pod.cpu", description = "CPU request of a planned pod"),
    printcolumn(name = "P95", type_ = "string", json_path = ".status.plan.predicted.timeToFirstAudio", description = "Predicted 95th percentile of the time to first audio at the peak"),
    printcolumn(name = "Planned", type_ = "integer", json_path = ".status.plan.replicas.planned", description = "Pods that the peak needs"),
    printcolumn(name = "Replicas", type_ = "integer", json_path = ".status.readyReplicas", description = "Ready replicas"),
    printcolumn(name = "Endpoint", type_ = "string", json_path = ".status.endpoint"),
    printcolumn(name = "Message", type_ = "string", json_path = r#".status.conditions[?(@.type=="Ready")].message"#, priority = 1),
    printcolumn(name = "Age", type_ = "date", json_path = ".metadata.creationTimestamp"),
    // The Service carries the name: a DNS label that starts with a letter.
    validation = Rule::new("self.metadata.name.matches('^[a-z]([-a-z0-9]{0,44}[a-z0-9])?$')")
        .message("metadata.name must be 1 to 46 characters: a lower-case letter first, then letters, digits and '-', no '-' at the end; choose a shorter or simpler name"),
    validation = Rule::new("has(self.spec.objectives) == has(self.spec.load)")
        .message("objectives and load belong together: set both, or none of them"),
    validation = Rule::new("!has(self.spec.sizing) || self.spec.sizing.mode != 'FromProfile' || has(self.spec.objectives)")
        .message("sizing.mode FromProfile needs objectives and load, from which the pods are computed; set them, or set sizing.mode to Manual with resources"),
    validation = Rule::new("!has(self.spec.scaling.type) || self.spec.scaling.type != 'Auto' || has(self.spec.objectives) && (!has(self.spec.sizing) || self.spec.sizing.mode == 'FromProfile')")
        .message("scaling.type Auto needs a plan: set objectives and load, and sizing.mode to FromProfile or not at all"),
    validation = Rule::new("has(self.spec.scaling.type) || !has(self.spec.objectives) || has(self.spec.sizing) && self.spec.sizing.mode == 'Manual' || !has(self.spec.scaling.replicas) || self.spec.scaling.replicas == 1")
        .message("the number of pods is planned from objectives and load; set scaling.type to Static to set scaling.replicas yourself, or to Auto with minReplicas")
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

    /// What listeners are promised. With `load`, the operator plans the pods from measurements of the voices, and says why in
    /// `status.plan`; until they are measured, and without both, pods have default sizes.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub objectives: Option<Objectives>,

    /// How much speech is asked for.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub load: Option<Load>,

    /// Where pods may run; on all nodes when absent.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub placement: Option<Placement>,

    /// How large pods are. When absent, they are planned where `objectives` and `load` are set; else the operator requests 250m
    /// CPU and the memory that the inspected voices need.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub sizing: Option<Sizing>,

    /// Number of pods. When absent, it follows the load where pods are planned; else one.
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
#[derive(KubeSchema, Serialize, Deserialize, Clone, Debug, PartialEq, Eq)]
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

    /// How often this voice is asked for, relative to the weights of the others; 1 when absent. Pods are planned for the mix.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    #[x_kube(
        validation = Rule::new("quantity(string(self)).compareTo(quantity('1m')) >= 0 && quantity(string(self)).compareTo(quantity('1M')) <= 0")
            .message("weight must be between 0.001 and 1000000"),
    )]
    pub weight: Option<Quantity>,
}
