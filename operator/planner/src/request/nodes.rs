//! The nodes there are or could be.

use serde::{Deserialize, Serialize};

/// Interchangeable nodes: what one of them offers to pods, and how many there may be.
#[derive(Clone, Debug, PartialEq, Serialize, Deserialize)]
#[serde(rename_all = "camelCase", deny_unknown_fields)]
pub struct NodeClass {
    pub name: String,
    /// Cores and MiB left for pods on each node, after what runs on every node.
    pub allocatable_cpu: f64,
    pub allocatable_memory: f64,
    /// GPUs of each node, or parts of GPUs where pods share them.
    #[serde(default)]
    pub gpu_slots: u32,
    /// Pods that share one GPU (time-slicing or MPS).
    #[serde(default = "NodeClass::default_pods_per_gpu")]
    pub pods_per_gpu: u32,
    /// The most nodes of this class that pods may use.
    pub max_nodes: u32,
    /// Price of a node per hour, in any one currency; None when it is not known.
    #[serde(default)]
    pub price_per_hour: Option<f64>,
    /// What a GPU weighs in cores when there is no price.
    #[serde(default = "NodeClass::default_gpu_weight")]
    pub gpu_weight: f64,
    #[serde(default)]
    pub presence: Presence,
    /// Seconds until a node that an autoscaler creates is ready.
    #[serde(default)]
    pub provisioning: f64,
    #[serde(default)]
    pub cpu_manager: CpuManager,
    /// What other deployments have been promised of all nodes together.
    #[serde(default)]
    pub promised: Promised,
    /// Why this deployment cannot use the class.
    #[serde(default)]
    pub excluded: Option<Exclusion>,
}

/// Capacity that is taken: cores, MiB and GPU slots.
#[derive(Clone, Copy, Debug, Default, PartialEq, Serialize, Deserialize)]
#[serde(rename_all = "camelCase", default, deny_unknown_fields)]
pub struct Promised {
    pub cpu: f64,
    pub memory: f64,
    pub gpus: u32,
}

/// Why a node class is out before anything is computed.
#[derive(Clone, Copy, Debug, PartialEq, Eq, Serialize, Deserialize, strum::Display)]
pub enum Exclusion {
    #[strum(serialize = "the deployment asks for another accelerator")]
    Accelerator,
    #[strum(serialize = "the deployment does not list this class")]
    NotAllowed,
    #[strum(serialize = "its nodes have a taint that the deployment does not tolerate")]
    Tainted,
    #[strum(serialize = "its nodes are cordoned")]
    Cordoned,
    #[strum(serialize = "the server does not support its GPU")]
    UnsupportedGpu,
    #[strum(serialize = "the operator may not read its nodes")]
    NoRights,
}

impl NodeClass {
    /// A class of nodes that exist, without GPUs and without a price.
    pub fn new(name: &str, allocatable_cpu: f64, allocatable_memory: f64, max_nodes: u32) -> Self {
        Self {
            name: name.to_owned(),
            allocatable_cpu,
            allocatable_memory,
            gpu_slots: 0,
            pods_per_gpu: Self::default_pods_per_gpu(),
            max_nodes,
            price_per_hour: None,
            gpu_weight: Self::default_gpu_weight(),
            presence: Presence::default(),
            provisioning: 0.0,
            cpu_manager: CpuManager::default(),
            promised: Promised::default(),
            excluded: None,
        }
    }

    const fn default_pods_per_gpu() -> u32 {
        1
    }

    const fn default_gpu_weight() -> f64 {
        8.0
    }
}

/// Whether a class has nodes now.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq, Serialize, Deserialize)]
#[serde(rename_all = "camelCase")]
pub enum Presence {
    #[default]
    Present,
    /// An autoscaler would create them.
    Declared,
}

/// The kubelet's CPU manager policy.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq, Serialize, Deserialize)]
#[serde(rename_all = "camelCase")]
pub enum CpuManager {
    #[default]
    None,
    /// A Guaranteed pod with whole cores gets them for itself.
    Static,
}
