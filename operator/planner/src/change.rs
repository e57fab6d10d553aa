//! What it takes to get from what runs to a plan.

use serde::{Deserialize, Serialize};

use crate::numeric::floor;
use crate::plan::AcceptedPlan;
use crate::request::Current;

/// What the pods need.
#[derive(Clone, Copy, Debug, PartialEq, Eq, Serialize, Deserialize, strum::Display)]
pub enum Change {
    /// The pods are as planned; their number may differ.
    None,
    /// Cores and memory of running pods can be resized.
    InPlace,
    /// New pods: another class or model, or other threads, workers, concurrency or queue.
    Rollout,
}

impl Change {
    /// From what runs to `plan`; what is not known of it counts as equal.
    pub fn between(current: &Current, plan: &AcceptedPlan) -> Self {
        let pod = &plan.pod;
        let differs = |now: Option<u32>, planned: u32| now.is_some_and(|now| now != planned);
        let threads = pod.threads.intra_op.max(1);
        let workers = current
            .cpu
            .map(|cpu| floor(cpu / f64::from(threads)).max(1));
        let other_variant = plan.voices.iter().any(|voice| {
            current
                .variants
                .get(&voice.name)
                .is_some_and(|variant| *variant != voice.variant)
        });
        let moved = plan
            .node_class
            .as_ref()
            .is_some_and(|class| *class != current.class);
        if moved
            || other_variant
            || differs(current.threads, pod.threads.intra_op)
            || differs(workers, pod.threads.workers)
            || differs(current.concurrency, pod.max_concurrency)
            || differs(current.queue, pod.queue)
        {
            return Self::Rollout;
        }
        let resources = &pod.resources;
        let same_cpu = current.cpu.is_none_or(|cpu| {
            [pod.cpu, resources.cpu_request]
                .iter()
                .any(|planned| (planned - cpu).abs() < 1e-9)
        });
        let same_memory = current
            .memory
            .is_none_or(|memory| (resources.memory - memory).abs() < 1e-9);
        if same_cpu && same_memory {
            Self::None
        } else {
            Self::InPlace
        }
    }
}
