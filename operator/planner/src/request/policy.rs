//! What is decided before anything is computed.

use serde::{Deserialize, Serialize};

/// What the user or the installation has decided.
#[derive(Clone, Debug, PartialEq, Serialize, Deserialize)]
#[serde(rename_all = "camelCase", default, deny_unknown_fields)]
pub struct Policy {
    /// ρmax: no pod is planned above this share of X(C), whatever the tail says.
    pub max_utilisation: f64,
    /// The least derate of every measurement. Without it the closed forms are 4 % optimistic in the
    /// worst case.
    pub min_derate: f64,
    /// The autoscaler does nothing until the metric exceeds the target by this share.
    pub hpa_tolerance: f64,
    /// Age of the metric that the autoscaler sees: window and scrape (s).
    pub metric_lag: f64,
    /// Base load as a share of the peak when the user gives none.
    pub base_share: f64,
    pub min_replicas: u32,
    /// What `min_replicas` is raised to, so that losing a pod is not losing the service; only where
    /// the peak needs more than one pod.
    pub min_replicas_for_availability: u32,
    pub max_replicas: Option<u32>,
    /// Room above the replicas needed at the peak.
    pub surge: f64,
    /// Safety margin on memory.
    pub memory_margin: f64,
    /// Memory is rounded up to this (MiB).
    pub memory_step: f64,
    /// A class is left only for one that is cheaper by this share.
    pub switch_gain: f64,
    pub qos: Qos,
    /// A limit range or resource quota demands CPU limits.
    pub cpu_limit_required: bool,
    /// Cores for HTTP and encoding beside the workers', unless encoding was measured to take more.
    pub cpu_overhead: f64,
    /// Cores that a pod may request and be limited to, what it needs beside its workers included:
    /// the user's limit or a `LimitRange`'s, whichever is smaller.
    pub max_cpu_per_pod: Option<f64>,
    /// MiB that a pod may request.
    pub max_memory_per_pod: Option<f64>,
    /// Cores and MiB that a pod requests at least: a `LimitRange`'s minimum.
    pub min_cpu_per_pod: f64,
    pub min_memory_per_pod: f64,
    pub load_balancing: LoadBalancing,
    /// Also consider pod sizes that were not measured: between those that were, and up to twice as
    /// many requests at once.
    pub interpolate_sizes: bool,
    pub minimise: Minimise,
    /// The currency of all prices, for reasons.
    pub currency: Option<String>,
}

/// What the best plan has least of.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq, Serialize, Deserialize, strum::Display)]
pub enum Minimise {
    #[default]
    Cost,
    /// Where measured; shapes without a measurement of energy come last.
    Energy,
}

impl Default for Policy {
    fn default() -> Self {
        Self {
            max_utilisation: 0.80,
            min_derate: 0.05,
            hpa_tolerance: 0.10,
            metric_lag: 45.0,
            base_share: 0.20,
            min_replicas: 1,
            min_replicas_for_availability: 2,
            max_replicas: None,
            surge: 1.25,
            memory_margin: 0.15,
            memory_step: 64.0,
            switch_gain: 0.15,
            qos: Qos::Burstable,
            cpu_limit_required: false,
            cpu_overhead: 0.10,
            max_cpu_per_pod: None,
            max_memory_per_pod: None,
            min_cpu_per_pod: 0.0,
            min_memory_per_pod: 0.0,
            load_balancing: LoadBalancing::Random,
            interpolate_sizes: true,
            minimise: Minimise::Cost,
            currency: None,
        }
    }
}

/// Kubernetes' quality of service.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq, Serialize, Deserialize, strum::Display)]
pub enum Qos {
    /// CPU requested, not limited.
    #[default]
    Burstable,
    /// Whole cores, requested and limited.
    Guaranteed,
}

/// What spreads requests over pods.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq, Serialize, Deserialize, strum::Display)]
pub enum LoadBalancing {
    /// A plain Service: connections at random.
    #[default]
    Random,
    /// Each request in turn.
    RoundRobin,
    /// To the pod with the fewest in flight.
    LeastRequest,
}
