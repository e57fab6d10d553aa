//! Requests, limits, quality of service and threads of a pod.

use serde::{Deserialize, Serialize};

use crate::numeric::{CPU_UNITS, NOISE_UNITS, ceil, round};
use crate::profile::Accelerator;
use crate::request::{CpuManager, NodeClass, Policy, Qos};
use crate::shapes::PodShape;

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

impl Resources {
    /// `resources.requests` of the container, as Kubernetes writes quantities. GPUs are a resource
    /// of their vendor's name and not among them.
    pub fn requests(&self) -> [(&'static str, String); 2] {
        [
            ("cpu", cpu(self.cpu_request)),
            ("memory", memory(self.memory)),
        ]
    }

    /// `resources.limits` of the container, likewise.
    pub fn limits(&self) -> Vec<(&'static str, String)> {
        let cpu = self.cpu_limit.map(|limit| ("cpu", cpu(limit)));
        cpu.into_iter()
            .chain([("memory", memory(self.memory))])
            .collect()
    }
}

/// Cores as a quantity, in whole thousandths, rounded up.
fn cpu(cores: f64) -> String {
    let milli = ceil(cores * CPU_UNITS - NOISE_UNITS);
    if milli.is_multiple_of(1000) {
        (milli / 1000).to_string()
    } else {
        format!("{milli}m")
    }
}

/// MiB as a quantity, in whole ones, rounded up.
fn memory(mebibytes: f64) -> String {
    format!("{}Mi", ceil(mebibytes - NOISE_UNITS))
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

impl Threads {
    /// One request at a time, with this many threads.
    pub fn of_one_worker(intra_op: u32) -> Self {
        Self {
            intra_op,
            inter_op: 1,
            allow_spinning: false,
            workers: 1,
            sessions: 1,
        }
    }
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

/// Busy cores of a GPU pod are requested with this much room.
const GPU_CPU_BUSY: f64 = 0.7;
/// No GPU pod requests less: text is analysed before the GPU has anything to do.
const LEAST_GPU_CPU: f64 = 0.5;

/// What a pod's cores are needed for.
#[derive(Clone, Copy, Debug)]
pub(crate) struct Cores {
    pub accelerator: Accelerator,
    pub qos: Qos,
    /// Cores that it was measured with.
    pub measured: f64,
    /// Busy cores at full load; 0 where CPU time was not measured.
    pub busy: f64,
    /// For HTTP and encoding.
    pub overhead: f64,
}

/// Cores that the pod requests.
///
/// On a CPU its workers' and what HTTP and encoding take; a Guaranteed pod's workers share theirs,
/// since cores are whole there. On a GPU what was measured to be busy, in tenths, at most the cores
/// it was measured with, which count where CPU time was not measured.
pub(crate) fn cpu_request(cores: &Cores, policy: &Policy) -> f64 {
    let measured = cores.measured;
    let request = match (cores.qos, cores.accelerator) {
        (Qos::Guaranteed, _) => return measured.max(policy.min_cpu_per_pod.ceil()),
        (Qos::Burstable, Accelerator::Cpu) => round(measured + cores.overhead, 2),
        (Qos::Burstable, Accelerator::Gpu) if cores.busy > 0.0 => {
            let asked = cores.busy / GPU_CPU_BUSY + cores.overhead;
            (f64::from(ceil(10.0 * asked)) / 10.0).clamp(LEAST_GPU_CPU.min(measured), measured)
        }
        (Qos::Burstable, Accelerator::Gpu) => round(measured, 2),
    };
    request.max(policy.min_cpu_per_pod)
}

/// No limit, unless the pod is Guaranteed or the namespace demands one: then a core above the
/// workers', within what a pod may have.
pub(crate) fn cpu_limit(cores: f64, request: f64, qos: Qos, policy: &Policy) -> Option<f64> {
    match qos {
        Qos::Guaranteed => Some(request),
        Qos::Burstable => policy.cpu_limit_required.then_some(
            (cores + 1.0)
                .min(policy.max_cpu_per_pod.unwrap_or(f64::INFINITY))
                .max(request),
        ),
    }
}

pub(crate) fn threads(shape: &PodShape<'_>) -> Threads {
    let workers = shape.workers();
    let sessions = if shape.threads == 1 { 1 } else { workers };
    Threads {
        intra_op: shape.threads,
        inter_op: 1,
        allow_spinning: false,
        workers,
        sessions,
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn quantities_are_whole_and_never_too_small() {
        let pod = |cpu_request, cpu_limit, memory| Resources {
            cpu_request,
            cpu_limit,
            memory,
            gpus: 0,
            gpu_memory_limit: None,
            qos: Qos::Burstable,
        };
        let requests = pod(7.1, None, 512.0).requests();
        assert_eq!(
            requests,
            [("cpu", "7100m".into()), ("memory", "512Mi".into())]
        );
        let limits = pod(2.0, Some(3.0), 300.2).limits();
        assert_eq!(limits, [("cpu", "3".into()), ("memory", "301Mi".into())]);
        assert_eq!(cpu(0.1 + 0.2), "300m");
        assert_eq!(cpu(0.3004), "301m");
        assert_eq!(pod(1.0, None, 64.0).limits().len(), 1);
    }
}
