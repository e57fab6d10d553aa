//! From a `TtsDeployment`, the measurements of its voices and the nodes to a plan. Pure: the controller and `tts-operator plan`
//! share it.
pub mod goals;
pub mod measurements;
pub mod sentences;
pub mod status;
#[cfg(test)]
mod tests;

use std::collections::BTreeMap;

use jiff::Timestamp;
use k8s_openapi::api::core::v1::Node;
use kube::ResourceExt as _;
use tts_crds::v1alpha1::TtsProfile;
use tts_planner::{Current, Decision, Exclusion, Quota, Request, RequestError, VoiceShare};

pub use goals::Goals;
pub use measurements::Voice;
pub use status::{Shortage, Texts, int};

use crate::inventory::{Inventory, NamespaceLimits};

/// What a plan is made from.
pub struct Case<'a> {
    pub goals: &'a Goals,
    pub namespace: &'a str,
    pub voices: &'a [Voice],
    /// Those that serve the namespace, of any voice.
    pub profiles: &'a [&'a TtsProfile],
    pub inventory: &'a Inventory,
    pub limits: NamespaceLimits,
    /// What runs now.
    pub current: Option<Current>,
    /// The largest memory limit at which one of its pods was killed (MiB).
    pub oom_killed_at: Option<f64>,
    pub now: Timestamp,
}

impl Case<'_> {
    /// What the planner is asked.
    pub fn request(&self) -> Request {
        let goals = self.goals;
        let mut policy = goals.policy.clone();
        self.limits.apply(&mut policy);
        let mut classes = self.inventory.for_planner(&goals.tolerations);
        for class in &mut classes {
            if !goals.classes.is_empty() && !goals.classes.contains(&class.name) {
                class.excluded = Some(Exclusion::NotAllowed);
            }
        }
        Request {
            voices: self
                .voices
                .iter()
                .map(|voice| VoiceShare {
                    name: voice.name.clone(),
                    weight: voice.weight,
                })
                .collect(),
            measurements: measurements::of_voices(
                self.voices,
                self.namespace,
                self.profiles,
                self.oom_killed_at,
                self.now,
            ),
            unreadable: Vec::new(),
            objectives: goals.objectives,
            load: goals.load.clone(),
            classes,
            policy,
            quota: self.limits.quota,
            current: self.current.clone(),
        }
    }

    /// Identifies what the decision depends on, beside what other pods take at the moment: a plan is made anew when this
    /// changes, not with every pod that comes or goes somewhere.
    pub fn inputs(&self) -> String {
        let mut request = self.request();
        for class in &mut request.classes {
            class.promised = tts_planner::Promised::default();
        }
        request.quota = Quota::default();
        request.input_hash()
    }

    /// # Errors
    /// When the numbers of the deployment contradict each other.
    pub fn plan(&self) -> Result<Decision, RequestError> {
        tts_planner::plan(&self.request())
    }

    /// The classes that are asked for and that there are not.
    pub fn unknown_classes(&self) -> Vec<&str> {
        let classes = self.goals.classes.iter().map(String::as_str);
        classes
            .filter(|class| self.inventory.class(class).is_none())
            .collect()
    }

    /// What a reader has to know about the nodes.
    pub fn remarks(&self) -> Vec<String> {
        let mut remarks = self.inventory.remarks.clone();
        let unknown = self.unknown_classes();
        if !unknown.is_empty() {
            remarks.push(format!(
                "placement.nodeClasses names classes that there are not: {}",
                unknown.join(", ")
            ));
        }
        remarks
    }
}

/// The nodes that have these labels.
pub fn selected(nodes: &[Node], selector: &BTreeMap<String, String>) -> Vec<Node> {
    let has_all = |node: &&Node| {
        let labels = node.labels();
        let mut selector = selector.iter();
        selector.all(|(key, value)| labels.get(key) == Some(value))
    };
    nodes.iter().filter(has_all).cloned().collect()
}
