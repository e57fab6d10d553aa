//! How many pods there are.
use kube::KubeSchema;
use schemars::JsonSchema;
use serde::{Deserialize, Serialize};

/// Number of pods.
#[derive(KubeSchema, Serialize, Deserialize, Clone, Debug, PartialEq, Eq)]
#[serde(rename_all = "camelCase")]
#[x_kube(
    validation = Rule::new("!has(self.type) || self.type != 'Static' || has(self.replicas)")
        .message("scaling.replicas must be set when scaling.type is Static"),
    validation = Rule::new("!has(self.minReplicas) && !has(self.maxReplicas) || !has(self.type) || self.type == 'Auto'")
        .message("scaling.minReplicas and maxReplicas are used when scaling.type is Auto only; remove them, or set the type"),
    validation = Rule::new("!has(self.minReplicas) || !has(self.maxReplicas) || self.minReplicas <= self.maxReplicas")
        .message("scaling.minReplicas must not be above maxReplicas"),
)]
pub struct Scaling {
    /// `Static`: always `replicas` pods. `kubectl scale` and autoscalers write `replicas`. `Auto`: a
    /// `HorizontalPodAutoscaler` with bounds and target from the plan. `External`: somebody else sets the number of pods, in
    /// the `Deployment` of the same name. Without it, `Auto` where pods are planned, else `Static`.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    #[schemars(rename = "type")]
    pub r#type: Option<ScalingType>,

    /// Number of pods; required when `type` is `Static`, not used otherwise. 0 stops serving and keeps all other objects.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    #[schemars(range(min = 0, max = 1000))]
    pub replicas: Option<i32>,

    /// The fewest pods with `Auto`; without it, what the plan says.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    #[schemars(range(min = 1, max = 1000))]
    pub min_replicas: Option<i32>,

    /// The most pods with `Auto`; without it, what the plan says.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    #[schemars(range(min = 1, max = 1000))]
    pub max_replicas: Option<i32>,
}

/// The scale subresource needs a value from the start: an autoscaler reads it.
impl Default for Scaling {
    fn default() -> Self {
        Self {
            r#type: None,
            replicas: Some(1),
            min_replicas: None,
            max_replicas: None,
        }
    }
}

/// How the number of pods is determined.
#[derive(JsonSchema, Serialize, Deserialize, Clone, Copy, Debug, PartialEq, Eq)]
pub enum ScalingType {
    Static,
    Auto,
    External,
}
