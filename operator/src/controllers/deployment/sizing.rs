//! How large a pod is. Pure; every number comes with its reason.
use tts_crds::{
    quantity::Quantity,
    v1alpha1::{Resources, Sizing},
};

use super::validate::ReadyVoice;

/// CPU that a pod asks for as long as nothing was measured.
const DEFAULT_CPU_MILLI: u64 = 250;
const MEBI: u64 = 1 << 20;
/// Requests that may wait for a worker; further ones are refused with 429.
const QUEUE: u64 = 8;
/// Longest answer, in seconds of audio: 4,096 characters, which is the longest text, take about 250.
const MAX_AUDIO_SECONDS: u64 = 300;
/// Samples are 32-bit floats until they are sent.
const BYTES_PER_SAMPLE: u64 = 4;
/// Memory of a voice whose inspection did not report its peak: the process, and what ONNX Runtime
/// makes of the weights.
const UNKNOWN_PEAK: u64 = 96 * MEBI;
const UNKNOWN_PEAK_PER_BYTE: u64 = 3;

/// The size of the server container.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct PodSize {
    pub cpu_request: Quantity,
    pub cpu_limit: Option<Quantity>,
    pub memory_request: Quantity,
    pub memory_limit: Option<Quantity>,
    /// Worker threads, each with its own session of every voice.
    pub workers: u64,
    /// Requests that may wait for a worker.
    pub queue: u64,
    /// Longest answer, in seconds of audio.
    pub max_audio_seconds: u64,
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
        queue: QUEUE,
        max_audio_seconds: MAX_AUDIO_SECONDS,
        mode: "Manual",
    }
}

/// Each worker has a session of every voice; each request that was taken in may have its whole
/// audio waiting for a slow reader.
fn default(voices: &[ReadyVoice]) -> PodSize {
    let workers = 1;
    let spoken: u64 = voices.iter().map(peak).fold(0, u64::saturating_add);
    let rate = voices
        .iter()
        .map(|voice| voice.sample_rate_hz)
        .max()
        .unwrap_or(0);
    let waiting = (workers + QUEUE) * MAX_AUDIO_SECONDS * BYTES_PER_SAMPLE * u64::from(rate);
    let memory =
        Quantity::from_bytes_in_mebi(spoken.saturating_mul(workers).saturating_add(waiting));
    PodSize {
        explanation: format!(
            "nothing is measured under load yet: {DEFAULT_CPU_MILLI}m CPU and one worker thread; {memory} memory, which is {} at the peak of the voices' inspections and {} for the audio of {} requests of at most {MAX_AUDIO_SECONDS} s",
            Quantity::from_bytes_in_mebi(spoken),
            Quantity::from_bytes_in_mebi(waiting),
            workers + QUEUE,
        ),
        cpu_request: Quantity::from_milli(DEFAULT_CPU_MILLI),
        cpu_limit: None,
        memory_request: memory.clone(),
        // Equal to the request: a node never has to kill a pod that kept to its own number.
        memory_limit: Some(memory),
        workers,
        queue: QUEUE,
        max_audio_seconds: MAX_AUDIO_SECONDS,
        mode: "Default",
    }
}

/// Bytes of memory with the voice loaded and its longest run spoken.
fn peak(voice: &ReadyVoice) -> u64 {
    voice.peak_memory_bytes.unwrap_or_else(|| {
        voice
            .size_bytes
            .saturating_mul(UNKNOWN_PEAK_PER_BYTE)
            .saturating_add(UNKNOWN_PEAK)
    })
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

    /// 9 requests x 300 s x 16,000 samples x 4 bytes = 172,800,000 bytes, 164.8 MiB.
    #[test]
    fn the_default_asks_for_the_measured_peaks_and_the_audio_in_flight() {
        let voice = |peak_memory_bytes| ReadyVoice {
            size_bytes: 5 * MEBI,
            sample_rate_hz: 16_000,
            peak_memory_bytes,
            ..ReadyVoice::default()
        };
        let one = default(&[voice(Some(110 * MEBI))]);
        assert_eq!(one.memory_request.as_str(), "275Mi");
        assert_eq!(one.cpu_request.as_str(), "250m");
        let two = default(&[voice(Some(110 * MEBI)), voice(None)]);
        assert_eq!(two.memory_request.bytes(), (275 + 96 + 15) * MEBI);
        assert!(two.explanation.contains("386Mi"), "{}", two.explanation);
    }
}
