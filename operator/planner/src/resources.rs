//! Requests, limits, quality of service and threads of a pod.

use serde::{Deserialize, Serialize};

use crate::profile::{Accelerator, Config};
use crate::request::{CpuManager, NodeClass, Policy, Qos};

/// What the container asks for.
#[derive(Clone, Copy, Debug, PartialEq, Serialize, Deserialize)]
#[serde(rename_all = "camelCase")]
pub struct Resources {
    /// Cores.
    pub cpu_request: f64,
    /// None: with no more threads than cores a pod cannot burst anyway, and a limit stalls it in
    /// 100 ms periods.
    pub cpu_limit: Option<f64>,
    /// MiB, request and limit.
    pub memory: f64,
    pub gpus: u32,
    /// MiB of the GPU memory arena; None on CPU or when it was not measured.
    pub gpu_memory_limit: Option<f64>,
    pub qos: Qos,
}

/// How ONNX Runtime is told to run.
#[derive(Clone, Copy, Debug, PartialEq, Eq, Serialize, Deserialize)]
#[serde(rename_all = "camelCase")]
pub struct Threads {
    /// Threads per request; never the runtime's own default, which is the host's cores.
    pub intra_op: u32,
    /// The graph runs in sequence.
    pub inter_op: u32,
    /// Spinning threads take the cores that others, or the pod's own quota, need.
    pub allow_spinning: bool,
    /// Requests side by side on the CPU, W·t <= cores.
    pub workers: u32,
    /// With one thread per request one session serves all; with more, each request needs its own.
    pub sessions: u32,
}

/// Whole cores, requested and limited: by policy, or because the class's nodes give such pods their
/// own cores.
pub(crate) fn qos(policy: &Policy, class: &NodeClass) -> Qos {
    if class.cpu_manager == CpuManager::Static {
        Qos::Guaranteed
    } else {
        policy.qos
    }
}

/// Cores that the pod requests: its workers' and, on a CPU, a little for HTTP and encoding; a
/// Guaranteed pod's workers share theirs, since cores are whole there. A GPU pod's cores were
/// measured as they are.
pub(crate) fn cpu_request(
    config: &Config,
    accelerator: Accelerator,
    qos: Qos,
    policy: &Policy,
) -> f64 {
    match (qos, accelerator) {
        (Qos::Guaranteed, _) => config.cpu,
        (Qos::Burstable, Accelerator::Cpu) => {
            crate::numeric::round(config.cpu + policy.cpu_overhead, 2)
        }
        (Qos::Burstable, Accelerator::Gpu) => crate::numeric::round(config.cpu, 2),
    }
}

/// No limit, unless the pod is Guaranteed or the namespace demands one: then a core above the
/// workers', within what a pod may have.
pub(crate) fn cpu_limit(config: &Config, qos: Qos, policy: &Policy) -> Option<f64> {
    match qos {
        Qos::Guaranteed => Some(config.cpu),
        Qos::Burstable => policy
            .cpu_limit_required
            .then_some((config.cpu + 1.0).min(policy.max_cpu_per_pod.unwrap_or(f64::INFINITY))),
    }
}

pub(crate) fn threads(config: &Config) -> Threads {
    let workers = config.workers();
    let sessions = if config.threads == 1 { 1 } else { workers };
    Threads {
        intra_op: config.threads,
        inter_op: 1,
        allow_spinning: false,
        workers,
        sessions,
    }
}
