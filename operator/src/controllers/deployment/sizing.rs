//! How large a pod is. Pure; every number comes with its reason.
use tts_crds::{
    quantity::Quantity,
    v1alpha1::{Resources, Sizing},
};

use super::validate::ReadyVoice;

/// CPU that a pod asks for as long as nothing was measured.
const DEFAULT_CPU_MILLI: u64 = 250;
const MEBI: u64 = 1 << 20;
/// Memory of the process beside its voices.
const BASE_MEMORY: u64 = 96 * MEBI;
/// Memory of a voice in service, by the size of its files: the weights, what ONNX Runtime makes of
/// them, and the longest sentence in work.
const MEMORY_PER_VOICE_BYTE: u64 = 3;
const MEMORY_PER_VOICE: u64 = 64 * MEBI;

/// The size of the server container.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct PodSize {
    pub cpu_request: Quantity,
    pub cpu_limit: Option<Quantity>,
    pub memory_request: Quantity,
    pub memory_limit: Option<Quantity>,
    /// Worker threads, each with its own session of every voice.
    pub workers: u64,
    /// `Manual` or `Default`, a condition's reason.
    pub mode: &'static str,
    /// Why these numbers, for people.
    pub explanation: String,
}

/// What the spec says, else a default for the voices.
pub fn size(sizing: Option<&Sizing>, voices: &[ReadyVoice]) -> PodSize {
    match sizing {
        Some(Sizing { resources, .. }) => manual(resources),
        None => default(voices),
    }
}

fn manual(resources: &Resources) -> PodSize {
    let cpu_limit = resources.limits.as_ref().and_then(|l| l.cpu.clone());
    let cpu = cpu_limit.as_ref().unwrap_or(&resources.requests.cpu);
    let workers = (cpu.milli() / 1_000).max(1);
    PodSize {
        explanation: format!(
            "sizing.resources are used as written; {workers} worker threads, the whole CPUs of {cpu}"
        ),
        cpu_request: resources.requests.cpu.clone(),
        cpu_limit,
        memory_request: resources.requests.memory.clone(),
        memory_limit: resources.limits.as_ref().and_then(|l| l.memory.clone()),
        workers,
        mode: "Manual",
    }
}

fn default(voices: &[ReadyVoice]) -> PodSize {
    let files: u64 = voices.iter().map(|voice| voice.size_bytes).sum();
    let count = voices.len() as u64;
    let memory = files
        .saturating_mul(MEMORY_PER_VOICE_BYTE)
        .saturating_add(count.saturating_mul(MEMORY_PER_VOICE))
        .saturating_add(BASE_MEMORY);
    let memory = Quantity::from_bytes_in_mebi(memory);
    PodSize {
        explanation: format!(
            "nothing is measured yet: 250m CPU and one worker thread; {memory} memory, which is {} for the process, {} a voice and {MEMORY_PER_VOICE_BYTE} times the {} of files",
            Quantity::from_bytes_in_mebi(BASE_MEMORY),
            Quantity::from_bytes_in_mebi(MEMORY_PER_VOICE),
            Quantity::from_bytes_in_mebi(files),
        ),
        cpu_request: Quantity::from_milli(DEFAULT_CPU_MILLI),
        cpu_limit: None,
        memory_request: memory.clone(),
        // Equal to the request: a node never has to kill a pod that kept to its own number.
        memory_limit: Some(memory),
        workers: 1,
        mode: "Default",
    }
}

#[cfg(test)]
mod tests {
    use tts_crds::v1alpha1::{ResourceLimits, ResourceRequests, SizingMode};

    use super::*;

    fn quantity(text: &str) -> Quantity {
        Quantity::parse(text).unwrap()
    }

    fn manual_sizing(request: &str, limit: Option<&str>) -> Sizing {
        Sizing {
            mode: SizingMode::Manual,
            resources: Resources {
                requests: ResourceRequests {
                    cpu: quantity(request),
                    memory: quantity("1Gi"),
                },
                limits: Some(ResourceLimits {
                    cpu: limit.map(quantity),
                    memory: None,
                }),
            },
        }
    }

    #[test]
    fn workers_are_the_whole_cpus_of_the_limit_else_of_the_request() {
        let workers = |request, limit| size(Some(&manual_sizing(request, limit)), &[]).workers;
        assert_eq!(workers("1", Some("2500m")), 2);
        assert_eq!(workers("3", None), 3);
        assert_eq!(workers("250m", None), 1, "at least one");
    }

    #[test]
    fn the_default_asks_for_memory_by_the_size_of_the_voices() {
        let voice = |size_bytes| ReadyVoice {
            size_bytes,
            ..ReadyVoice::default()
        };
        let one = default(&[voice(5 * MEBI)]);
        assert_eq!(one.memory_request.bytes(), (96 + 64 + 15) * MEBI);
        assert_eq!(one.cpu_request.as_str(), "250m");
        let two = default(&[voice(5 * MEBI), voice(60 * MEBI)]);
        assert_eq!(two.memory_request.bytes(), (96 + 128 + 195) * MEBI);
        assert!(two.explanation.contains("419Mi"), "{}", two.explanation);
    }
}
