//! The last accepted pod template, in a `ControllerRevision`: what the operator enforces until it accepts
//! another one, also after somebody deleted the Deployment, and also while a voice is missing.
use std::collections::BTreeMap;

use k8s_openapi::api::core::v1::{PodTemplateSpec, ResourceRequirements};
use serde::{Deserialize, Serialize};
use tts_planner::{AcceptedPlan, StoredPlan};

use super::{oom::OutOfMemory, resize, sizing::Mode, template::SERVER_CONTAINER};
use crate::planning::Shortage;

/// A pod template with what was decided along with it.
#[derive(Clone, Debug, PartialEq, Serialize, Deserialize)]
#[serde(rename_all = "camelCase")]
pub struct Accepted {
    pub template: PodTemplateSpec,
    /// Resources that the running pods are resized to, where they are not those of the template.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub resized: Option<ResourceRequirements>,
    /// Image of the inference server in it.
    pub image: String,
    /// Whether the pods download voices and need egress for it.
    pub downloads: bool,
    pub sized: Sized,
    /// The plan that the size comes from; none for sizes of the spec.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub plan: Option<StoredPlan>,
    /// What the planner had to choose from; none for pods that were not planned from measurements.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub considered: Option<Considered>,
    /// What pods that were killed for their memory have taught.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub out_of_memory: Option<OutOfMemory>,
    /// Hash of the spec that it was made from.
    pub spec: String,
    /// Version of the operator that made it: the image must understand its arguments.
    pub operator: String,
    /// Whether its rollout counts against the budget.
    #[serde(default)]
    pub takes_turn: bool,
}

/// How the pods were sized, for the condition.
#[derive(Clone, Debug, PartialEq, Eq, Serialize, Deserialize)]
pub struct Sized {
    pub mode: Mode,
    pub explanation: String,
}

/// What a plan was made from and chosen from.
#[derive(Clone, Debug, Default, PartialEq, Eq, Serialize, Deserialize)]
#[serde(rename_all = "camelCase")]
pub struct Considered {
    /// Identifies what the plan depends on.
    pub inputs: String,
    /// Labels of the nodes of its class; a node has all of one entry.
    #[serde(default)]
    pub node_labels: Vec<BTreeMap<String, String>>,
    #[serde(default)]
    pub alternatives: Vec<String>,
    #[serde(default)]
    pub rejected: Vec<String>,
    /// Why the plan does not keep the objectives.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub shortage: Option<Shortage>,
}

impl Accepted {
    /// Of a Deployment without a revision: somebody deleted it, or an older operator made the Deployment.
    pub fn from_live(template: &PodTemplateSpec) -> Option<Self> {
        let pod = template.spec.as_ref()?;
        let server = pod.containers.iter().find(|c| c.name == SERVER_CONTAINER)?;
        Some(Self {
            template: template.clone(),
            resized: None,
            image: server.image.clone()?,
            downloads: pod.init_containers.iter().flatten().count() > 0,
            sized: Sized {
                mode: Mode::Default,
                explanation: "as the live pods are; the record of how they were sized is lost"
                    .to_owned(),
            },
            plan: None,
            considered: None,
            out_of_memory: None,
            spec: String::new(),
            operator: String::new(),
            takes_turn: false,
        })
    }

    /// Resources of the server container of each pod.
    pub fn resources(&self) -> Option<&ResourceRequirements> {
        self.resized
            .as_ref()
            .or_else(|| resize::resources(&self.template))
    }

    /// The plan, if it was made from measurements.
    pub fn measured(&self) -> Option<&AcceptedPlan> {
        let stored = self.plan.as_ref()?;
        self.considered.is_some().then_some(&stored.plan)
    }

    /// Whether rolling out `other` in place of this replaces no pod.
    pub fn same_pods(&self, other: &Self) -> bool {
        self.template == other.template
    }
}
