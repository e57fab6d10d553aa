//! A class of nodes, and what the planner gets of it.
use std::collections::{BTreeMap, BTreeSet};

use k8s_openapi::api::core::v1::{Node, Taint, Toleration};
use kube::ResourceExt as _;
use serde::{Serialize, Serializer};
use tts_planner::{CpuManager, Exclusion, NodeClass, Presence, Promised};

use super::{
    gpu::{Gpu, NVIDIA},
    names::{self, Membership},
    requests::Amount,
    state::{self, Obstacle},
    taints, unusable,
};
use crate::settings::node_classes::DeclaredClass;

/// Labels by which `KubeVirt` says whether a node has the static CPU manager policy, and its older one.
const CPU_MANAGER: [&str; 2] = ["kubevirt.io/cpumanager", "cpumanager"];
/// Nodes of one class whose sizes differ by more than this share are worth a remark.
const ALIKE: f64 = 0.9;
/// The most that the planner takes: cores and MiB of a node, and of what is taken of all nodes.
const MOST_CPU: f64 = 1e6;
const MOST_MEMORY: f64 = 1e12;

/// A node as a member of a class.
#[derive(Clone, Debug, PartialEq, Serialize)]
#[serde(rename_all = "camelCase")]
pub struct Member {
    pub name: String,
    /// Cores and MiB for pods, after those that run on every node.
    pub cpu: f64,
    pub memory: f64,
    #[serde(skip_serializing_if = "Option::is_none")]
    pub gpu: Option<Gpu>,
    /// Why it takes no pods now.
    #[serde(skip_serializing_if = "Option::is_none")]
    pub obstacle: Option<Obstacle>,
    /// What pods have to tolerate.
    #[serde(
        skip_serializing_if = "Vec::is_empty",
        serialize_with = "taints_as_text"
    )]
    pub taints: Vec<Taint>,
    #[serde(skip)]
    pub(super) labels: BTreeMap<String, String>,
    #[serde(skip)]
    taken: Promised,
    #[serde(skip)]
    cpu_model: Option<String>,
    #[serde(skip)]
    cpu_manager: Option<CpuManager>,
}

impl Member {
    pub(super) fn new(
        node: &Node,
        membership: Membership,
        offered: Amount,
        taken: Promised,
    ) -> Self {
        let unsupported = membership.unsupported.map(Obstacle::UnsupportedGpu);
        let missing = membership
            .gpu
            .as_ref()
            .filter(|gpu| gpu.slots == 0)
            .map(|gpu| Obstacle::NoGpu(gpu.resource.clone()));
        let manager = CPU_MANAGER.iter().find_map(|name| node.labels().get(*name));
        Self {
            name: node.name_any(),
            cpu: offered.cores(),
            memory: offered.mebibytes(),
            gpu: membership.gpu,
            labels: membership.labels,
            obstacle: unsupported.or_else(|| state::obstacle(node)).or(missing),
            taints: state::taints_to_tolerate(node),
            taken,
            cpu_model: names::cpu_model(node),
            cpu_manager: match manager.map(String::as_str) {
                Some("true") => Some(CpuManager::Static),
                Some("false") => Some(CpuManager::None),
                _ => None,
            },
        }
    }
}

/// Interchangeable nodes.
#[derive(Clone, Debug, PartialEq, Serialize)]
#[serde(rename_all = "camelCase")]
pub struct Class {
    pub name: String,
    pub presence: Presence,
    /// Cores and MiB that the smallest node has for pods, after those that run on every node. Nodes that take no pods count only
    /// where no node does.
    pub cpu: f64,
    pub memory: f64,
    #[serde(skip_serializing_if = "Option::is_none")]
    pub gpu: Option<Gpu>,
    /// The most nodes, where they are declared; else those that there are.
    #[serde(skip_serializing_if = "Option::is_none")]
    pub max_nodes: Option<u32>,
    #[serde(skip_serializing_if = "Option::is_none")]
    pub price_per_hour: Option<f64>,
    /// Seconds until a declared node is ready.
    #[serde(skip_serializing_if = "Option::is_none")]
    pub provisioning: Option<f64>,
    /// `None`: nothing says it.
    #[serde(skip_serializing_if = "Option::is_none")]
    pub cpu_manager: Option<CpuManager>,
    /// Taints that pods have to tolerate on some or all of the nodes.
    #[serde(
        skip_serializing_if = "Vec::is_empty",
        serialize_with = "taints_as_text"
    )]
    pub taints: Vec<Taint>,
    /// By name.
    pub nodes: Vec<Member>,
    #[serde(skip_serializing_if = "Vec::is_empty")]
    pub remarks: Vec<String>,
    /// Taints of nodes that do not exist yet.
    #[serde(skip)]
    declared_taints: Vec<Taint>,
    #[serde(skip)]
    declared_labels: BTreeMap<String, String>,
}

impl Class {
    pub(super) fn new(
        name: &str,
        mut nodes: Vec<Member>,
        declared: Option<(&DeclaredClass, Amount)>,
        price: Option<f64>,
        mut remarks: BTreeSet<String>,
    ) -> Self {
        nodes.sort_by(|a, b| a.name.cmp(&b.name));
        let takes_pods = nodes.iter().any(|node| node.obstacle.is_none());
        let counted: Vec<&Member> = nodes
            .iter()
            .filter(|node| !takes_pods || node.obstacle.is_none())
            .collect();
        remarks.extend(differences(&counted));
        let settings = declared.map(|(class, _)| class);
        let smallest = |of: fn(&Member) -> f64| {
            let values = counted.iter().map(|node| of(node));
            values.reduce(f64::min).unwrap_or_default()
        };
        // What is declared counts until a node shows what it really offers: one that is starting may say nothing yet.
        let (cpu, memory, gpu) = if let Some((class, offered)) = declared.filter(|_| !takes_pods) {
            (offered.cores(), offered.mebibytes(), class.gpu())
        } else {
            let gpus = counted.iter().map(|node| node.gpu.as_ref());
            let least = gpus.min_by_key(|gpu| gpu.map(|gpu| (gpu.slots, &gpu.resource)));
            let gpu = least.flatten().cloned();
            (smallest(|node| node.cpu), smallest(|node| node.memory), gpu)
        };
        let declared_taints = settings.map(DeclaredClass::taints).unwrap_or_default();
        let mut taints: Vec<Taint> = counted
            .iter()
            .flat_map(|node| node.taints.clone())
            .chain(declared_taints.clone())
            .collect();
        taints.sort_by_key(taints::text);
        taints.dedup();
        let managers: BTreeSet<Option<&str>> = counted
            .iter()
            .map(|node| {
                node.cpu_manager.map(|manager| {
                    if manager == CpuManager::Static {
                        "static"
                    } else {
                        "none"
                    }
                })
            })
            .collect();
        let labelled = match managers.iter().next() {
            Some(Some("static")) if managers.len() == 1 => Some(CpuManager::Static),
            Some(Some("none")) if managers.len() == 1 => Some(CpuManager::None),
            _ => None,
        };
        Self {
            name: name.to_owned(),
            presence: if takes_pods || settings.is_none() {
                Presence::Present
            } else {
                Presence::Declared
            },
            cpu,
            memory,
            gpu,
            max_nodes: settings.map(|class| class.max_nodes),
            price_per_hour: settings.and_then(|class| class.price_per_hour).or(price),
            provisioning: settings.map(|class| f64::from(class.provisioning_seconds)),
            cpu_manager: settings.and_then(|class| class.cpu_manager).or(labelled),
            taints,
            nodes,
            remarks: remarks.into_iter().collect(),
            declared_taints,
            declared_labels: settings
                .map(|class| class.selector.clone())
                .unwrap_or_default(),
        }
    }

    /// Labels that its nodes have and others have not, as far as labels tell them apart: a node of the class has all of one
    /// entry. Empty where no label does.
    pub fn node_labels(&self) -> BTreeSet<BTreeMap<String, String>> {
        let nodes = self.nodes.iter().map(|node| &node.labels);
        let declared = std::iter::once(&self.declared_labels);
        nodes
            .chain(declared)
            .filter(|labels| !labels.is_empty())
            .cloned()
            .collect()
    }

    /// What the operator lets pods tolerate on this class without being told: the taint that keeps pods without a GPU off.
    pub fn tolerations(&self) -> Vec<Toleration> {
        let Some(gpu) = &self.gpu else {
            return Vec::new();
        };
        let keys = BTreeSet::from([NVIDIA, gpu.resource.as_str()]);
        keys.into_iter()
            .map(|key| Toleration {
                key: Some(key.to_owned()),
                operator: Some("Exists".to_owned()),
                effect: Some("NoSchedule".to_owned()),
                ..Toleration::default()
            })
            .collect()
    }

    /// What the planner gets, for a deployment with these tolerations. `promised` has what pods of others request; the
    /// caller adds what other deployments were promised.
    pub fn for_planner(&self, tolerations: &[Toleration]) -> NodeClass {
        let tolerations = [tolerations, &self.tolerations()].concat();
        let (usable, unusable): (Vec<&Member>, Vec<&Member>) = self
            .nodes
            .iter()
            .partition(|node| unusable(node, &tolerations).is_none());
        // An autoscaler adds nodes up to the maximum, of which those that stay unusable are a part.
        let lost = unusable.iter().filter(|node| {
            !matches!(
                node.obstacle,
                Some(Obstacle::Starting(_) | Obstacle::Leaving(_))
            )
        });
        let lost = number(lost.count());
        let could_be_added = self
            .declared_taints
            .iter()
            .all(|taint| taints::tolerated(taint, &tolerations));
        let max_nodes = match self.max_nodes {
            Some(most) if could_be_added => most.saturating_sub(lost),
            Some(most) => most.min(number(usable.len())),
            None => number(usable.len()),
        };
        let taken = usable.iter().map(|node| node.taken);
        let promised = taken.fold(Promised::default(), |sum, taken| Promised {
            cpu: (sum.cpu + taken.cpu).min(MOST_CPU),
            memory: (sum.memory + taken.memory).min(MOST_MEMORY),
            gpus: sum.gpus.saturating_add(taken.gpus),
        });
        NodeClass {
            gpu_slots: self.gpu.as_ref().map_or(0, |gpu| gpu.slots),
            pods_per_gpu: self.gpu.as_ref().map_or(1, |gpu| gpu.pods_per_gpu),
            price_per_hour: self.price_per_hour,
            presence: self.presence,
            provisioning: self.provisioning.unwrap_or_default(),
            cpu_manager: self.cpu_manager.unwrap_or_default(),
            promised,
            excluded: if max_nodes > 0 {
                None
            } else {
                exclusion(&unusable, could_be_added)
            },
            ..NodeClass::new(
                &self.name,
                self.cpu.min(MOST_CPU),
                self.memory.min(MOST_MEMORY),
                max_nodes,
            )
        }
    }
}

/// Why no node can be used. Nodes that are only not ready do not exclude a class: it has none now.
fn exclusion(unusable: &[&Member], could_be_added: bool) -> Option<Exclusion> {
    let some = |is: fn(&Obstacle) -> bool| {
        unusable
            .iter()
            .any(|node| node.obstacle.as_ref().is_some_and(is))
    };
    let tainted = unusable.iter().any(|node| node.obstacle.is_none());
    if tainted || !could_be_added {
        Some(Exclusion::Tainted)
    } else if some(|obstacle| matches!(obstacle, Obstacle::UnsupportedGpu(_))) {
        Some(Exclusion::UnsupportedGpu)
    } else if some(|obstacle| matches!(obstacle, Obstacle::Cordoned)) {
        Some(Exclusion::Cordoned)
    } else {
        None
    }
}

/// What makes nodes of one class less alike than they should be.
fn differences(nodes: &[&Member]) -> Vec<String> {
    let mut remarks = Vec::new();
    let advice = "the smallest counts; name classes with the label tts-operator.dev/node-class to tell them apart";
    let mut range = |what: &str, of: fn(&Member) -> f64| {
        let values = || nodes.iter().map(|node| of(node));
        let (Some(least), Some(most)) = (values().reduce(f64::min), values().reduce(f64::max))
        else {
            return;
        };
        if least < ALIKE * most {
            remarks.push(format!(
                "its nodes differ: {least} to {most} {what}; {advice}"
            ));
        }
    };
    range("cores", |node| node.cpu);
    range("MiB", |node| node.memory);
    range("GPUs", |node| {
        node.gpu.as_ref().map_or(0.0, |gpu| f64::from(gpu.slots))
    });
    let models: BTreeSet<&str> = nodes
        .iter()
        .filter_map(|node| node.cpu_model.as_deref())
        .collect();
    if models.len() > 1 {
        let models: Vec<&str> = models.into_iter().collect();
        remarks.push(format!(
            "its nodes have different CPUs ({}): a measurement on one is not one of the others; name classes with the label tts-operator.dev/node-class to tell them apart",
            models.join(", ")
        ));
    }
    remarks
}

fn number(count: usize) -> u32 {
    u32::try_from(count).unwrap_or(u32::MAX)
}

fn taints_as_text<S: Serializer>(taints: &[Taint], serializer: S) -> Result<S::Ok, S::Error> {
    serializer.collect_seq(taints.iter().map(taints::text))
}
