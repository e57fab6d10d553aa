//! The plan before anything is measured: conservative estimates, labelled as such.

use crate::autoscaling::Replicas;
use crate::numeric::floor;
use crate::plan::{AcceptedPlan, Pod};
use crate::profile::Accelerator;
use crate::reasons::Reason;
use crate::request::{NodeClass, Qos};
use crate::resources::{Resources, Threads};

/// Cores, unless a quarter of the smallest node is less.
const CPU: f64 = 2.0;
const NODE_SHARE: f64 = 0.25;
/// MiB, unless the model needs more: four times its file plus the runtime.
const MEMORY: f64 = 2048.0;
const MODEL_FACTOR: f64 = 4.0;
const RUNTIME_MEMORY: f64 = 512.0;
const GPU_CPU: f64 = 4.0;
const GPU_MEMORY: f64 = 8192.0;
/// The autoscaler's CPU target: low, since nothing is known of the tail.
const CPU_PERCENT: u32 = 50;
const REPLICAS: (u32, u32) = (1, 3);
/// Waiting requests, and the seconds in a 429's Retry-After.
const QUEUE: u32 = 2;
const RETRY_AFTER: u32 = 2;

/// Conservative numbers for when no class has a usable profile. `model` is the size of the voice's
/// files in MiB, once known; a GPU only where the voice cannot do without. None when no class can
/// hold such a pod.
pub fn defaults(
    classes: &[NodeClass],
    model: Option<f64>,
    requires_gpu: bool,
) -> Option<AcceptedPlan> {
    let accelerator = if requires_gpu {
        Accelerator::Gpu
    } else {
        Accelerator::Cpu
    };
    let model = model.filter(|model| model.is_finite() && *model >= 0.0);
    let for_model = model.map_or(0.0, |model| model * MODEL_FACTOR + RUNTIME_MEMORY);
    let memory = if requires_gpu { GPU_MEMORY } else { MEMORY }
        .max(for_model)
        .ceil();
    let has_room = |class: &&NodeClass| {
        class.excluded.is_none()
            && class.allocatable_memory >= memory
            && (!requires_gpu || class.gpu_slots > 0 && class.allocatable_cpu >= GPU_CPU)
    };
    let smallest = classes
        .iter()
        .filter(has_room)
        .map(|class| class.allocatable_cpu)
        .min_by(f64::total_cmp)?;
    // Kubernetes counts thousandths of a core.
    let share = f64::from(floor(smallest * NODE_SHARE * 1000.0)) / 1000.0;
    let cpu = if requires_gpu {
        GPU_CPU
    } else {
        CPU.min(share)
    };
    let (min, max) = REPLICAS;
    let threads = if cpu < 2.0 || requires_gpu { 1 } else { 2 };
    let pod = Pod {
        cpu,
        threads: Threads::of_one_worker(threads),
        max_concurrency: 1,
        queue: QUEUE,
        retry_after: RETRY_AFTER,
        resources: Resources {
            cpu_request: cpu,
            cpu_limit: None,
            memory,
            gpus: u32::from(requires_gpu),
            gpu_memory_limit: None,
            qos: Qos::Burstable,
        },
        interpolated: false,
    };
    let replicas = Replicas {
        min,
        at_peak: min,
        steady: min,
        max: if requires_gpu { min } else { max },
        limit: max,
    };
    (cpu > 0.0).then(|| {
        AcceptedPlan::unmeasured(
            accelerator,
            pod,
            replicas,
            (!requires_gpu).then_some(CPU_PERCENT),
            vec![Reason::ConservativeDefaults { accelerator, model }.into()],
        )
    })
}

#[cfg(test)]
mod tests {
    use super::*;

    fn class(name: &str, cpu: f64, memory: f64, gpu_slots: u32) -> NodeClass {
        NodeClass {
            gpu_slots,
            ..NodeClass::new(name, cpu, memory, 3)
        }
    }

    #[test]
    fn two_cores_or_a_quarter_of_the_smallest_node() {
        let large = defaults(&[class("a", 16.0, 32_000.0, 0)], None, false).unwrap();
        assert!((large.pod.cpu - 2.0).abs() < 1e-9);
        assert_eq!(
            (
                large.pod.threads.intra_op,
                large.pod.max_concurrency,
                large.pod.queue
            ),
            (2, 1, 2)
        );
        let small = defaults(
            &[class("a", 16.0, 32_000.0, 0), class("b", 3.9, 8000.0, 0)],
            None,
            false,
        )
        .unwrap();
        assert!((small.pod.cpu - 0.975).abs() < 1e-9);
        assert_eq!(
            (small.pod.threads.intra_op, small.autoscaling.cpu_percent),
            (1, Some(50))
        );
    }

    #[test]
    fn memory_follows_the_model() {
        let memory = |model| {
            defaults(&[class("a", 8.0, 32_000.0, 0)], model, false)
                .unwrap()
                .pod
                .resources
                .memory
        };
        assert!((memory(None) - 2048.0).abs() < 1e-9);
        assert!((memory(Some(60.0)) - 2048.0).abs() < 1e-9);
        assert!((memory(Some(1000.0)) - 4512.0).abs() < 1e-9);
    }

    #[test]
    fn a_gpu_only_where_there_is_one() {
        assert_eq!(defaults(&[class("a", 8.0, 32_000.0, 0)], None, true), None);
        let gpu = defaults(&[class("g", 8.0, 32_000.0, 1)], None, true).unwrap();
        assert_eq!(
            (gpu.accelerator, gpu.autoscaling.cpu_percent),
            (Accelerator::Gpu, None)
        );
        assert!(gpu.reasons[0].text.contains("guesses"));
    }

    #[test]
    fn nothing_for_nodes_too_small() {
        assert_eq!(defaults(&[], None, false), None);
        assert_eq!(defaults(&[class("a", 8.0, 1000.0, 0)], None, false), None);
    }
}
