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
/// Memory of the server's process without voices; measured, and part of every inspection's peak.
const PROCESS: u64 = 45 * MEBI;
/// Audio that waits for the client of one request, at 16 kHz: the server speaks at most three
/// sentences ahead of a slow reader, 14 s each, and keeps samples as 32-bit floats.
const AUDIO_PER_REQUEST_16_KHZ: u64 = 3 * MEBI;
/// What the allocator and the system need besides, in percent.
const MARGIN_PERCENT: u64 = 25;
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
        mode: "Manual",
    }
}

/// Each worker has a session of every voice, and each request that was taken in has some audio on
/// its way.
fn default(voices: &[ReadyVoice]) -> PodSize {
    let workers = 1;
    let sessions = voices
        .iter()
        .map(|voice| peak(voice).saturating_sub(PROCESS).saturating_mul(workers))
        .fold(0, u64::saturating_add);
    let rate = voices
        .iter()
        .map(|voice| u64::from(voice.sample_rate_hz))
        .max()
        .unwrap_or(0);
    let audio = (workers + QUEUE) * (AUDIO_PER_REQUEST_16_KHZ * rate / 16_000);
    let needed = PROCESS.saturating_add(sessions).saturating_add(audio);
    let memory = Quantity::from_bytes_in_mebi(needed.saturating_mul(100 + MARGIN_PERCENT) / 100);
    PodSize {
        explanation: format!(
            "nothing is measured under load yet: {DEFAULT_CPU_MILLI}m CPU and one worker thread; {memory} memory, which is {} for the process, {} for the voices as their inspections measured them, {} for the audio of {} requests, and {MARGIN_PERCENT} % above that",
            Quantity::from_bytes_in_mebi(PROCESS),
            Quantity::from_bytes_in_mebi(sessions),
            Quantity::from_bytes_in_mebi(audio),
            workers + QUEUE,
        ),
        cpu_request: Quantity::from_milli(DEFAULT_CPU_MILLI),
        cpu_limit: None,
        memory_request: memory.clone(),
        // Equal to the request: a node never has to kill a pod that kept to its own number.
        memory_limit: Some(memory),
        workers,
        queue: QUEUE,
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

    /// 45 for the process, 88 - 45 for the session, 9 x 3 for the audio: 115 MiB, and a quarter more.
    #[test]
    fn the_default_asks_for_the_measured_peaks_and_the_audio_on_its_way() {
        let voice = |peak_memory_bytes| ReadyVoice {
            size_bytes: 5 * MEBI,
            sample_rate_hz: 16_000,
            peak_memory_bytes,
            ..ReadyVoice::default()
        };
        let one = default(&[voice(Some(88 * MEBI))]);
        assert_eq!(one.memory_request.as_str(), "144Mi");
        assert_eq!(one.cpu_request.as_str(), "250m");
        let unknown_peak = 96 + 3 * 5;
        let two = default(&[voice(Some(88 * MEBI)), voice(None)]);
        let expected = (115 + unknown_peak - 45) * MEBI * 125 / 100;
        assert_eq!(two.memory_request, Quantity::from_bytes_in_mebi(expected));
        assert!(
            two.explanation.contains("227Mi memory"),
            "{}",
            two.explanation
        );
    }
}
