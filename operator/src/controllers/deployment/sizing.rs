//! Resources of a pod. Pure; every number comes with its reason.
use std::collections::BTreeMap;

use serde::{Deserialize, Serialize};
use serde_json::Map;
use tts_crds::{quantity::Quantity, v1alpha1::Resources};
use tts_planner::{
    Accelerator, AcceptedPlan, Pod, Qos, Replicas, Resources as PlannedResources, Threads, Written,
};

use super::{
    oom::OutOfMemory,
    validate::{ReadyVoice, Sizing},
};

/// CPU request of a pod while there are no measurements.
const DEFAULT_CPU_MILLI: u32 = 250;
const MEBI: u64 = 1 << 20;
/// Requests that may wait for a worker; further ones are refused with 429.
const QUEUE: u32 = 8;
/// Memory of the server's process without voices; measured, and part of every inspection's peak.
const PROCESS: u64 = 45 * MEBI;
/// Requests and audio that are buffered, per request at 16 kHz. The server limits what it receives to a
/// sixteenth of the memory limit and unsent audio to an eighth; each request may add a run to that.
const AUDIO_PER_REQUEST_16_KHZ: u64 = 3 * MEBI;
/// Overhead of the allocator and the system, in percent.
const MARGIN_PERCENT: u64 = 25;
/// Memory requests are whole multiples of this.
const MEMORY_STEP: u64 = 32 * MEBI;
/// Memory of a voice whose inspection reported no peak: the process, and the weights as loaded by
/// ONNX Runtime.
const UNKNOWN_PEAK: u64 = 96 * MEBI;
const UNKNOWN_PEAK_PER_BYTE: u64 = 3;

/// Who determined the size; a condition's reason.
#[derive(Clone, Copy, Debug, PartialEq, Eq, Serialize, Deserialize, strum::IntoStaticStr)]
pub enum Mode {
    /// The operator, without measurements under load.
    Default,
    /// The operator, from measurements.
    Planned,
    /// The spec.
    Manual,
}

/// The size of the server container.
#[derive(Clone, Debug, PartialEq)]
pub struct PodSize {
    /// Labels of the nodes that the pods have to run on: all of one entry; any node when empty.
    pub node_labels: Vec<BTreeMap<String, String>>,
    pub cpu_request: Quantity,
    pub cpu_limit: Option<Quantity>,
    pub memory_request: Quantity,
    pub memory_limit: Option<Quantity>,
    /// Worker threads, each with its own session of every voice.
    pub workers: u64,
    /// Threads per request.
    pub threads: u64,
    /// Requests that may wait for a worker.
    pub queue: u64,
    pub mode: Mode,
    /// Explanation of these numbers, for users.
    pub explanation: String,
    /// What the operator chose.
    pub plan: Option<AcceptedPlan>,
}

/// The size from the spec, else a default for the voices; `accepted` is the plan that the pods run with.
pub fn size(
    sizing: &Sizing,
    voices: &[ReadyVoice],
    accepted: Option<&AcceptedPlan>,
    out_of_memory: Option<&OutOfMemory>,
) -> PodSize {
    match sizing {
        Sizing::Manual(resources) => manual(resources),
        Sizing::Default => default(voices, accepted, out_of_memory),
    }
}

fn manual(resources: &Resources) -> PodSize {
    let cpu_limit = resources.limits.as_ref().and_then(|l| l.cpu.clone());
    let cpu = cpu_limit.as_ref().unwrap_or(&resources.requests.cpu);
    let workers = (cpu.milli() / 1_000).max(1);
    PodSize {
        explanation: format!(
            "sizing.resources is used as written; {workers} worker threads, one per whole CPU of {cpu}"
        ),
        cpu_request: resources.requests.cpu.clone(),
        cpu_limit,
        memory_request: resources.requests.memory.clone(),
        memory_limit: resources.limits.as_ref().and_then(|l| l.memory.clone()),
        workers,
        threads: 1,
        queue: QUEUE.into(),
        node_labels: Vec::new(),
        mode: Mode::Manual,
        plan: None,
    }
}

/// The size that a plan says.
pub fn planned(plan: &AcceptedPlan) -> PodSize {
    let pod = &plan.pod;
    let cpu = |cores: f64| Quantity::from_milli(whole(cores * 1_000.0));
    let memory = Quantity::from_bytes_in_mebi(whole(pod.resources.memory).saturating_mul(MEBI));
    let told = ["PodShape", "Concurrency", "Memory", "Cpu"];
    let reasons = told.iter().filter_map(|code| plan.reason(code));
    PodSize {
        cpu_request: cpu(pod.resources.cpu_request),
        cpu_limit: pod.resources.cpu_limit.map(cpu),
        memory_request: memory.clone(),
        memory_limit: Some(memory),
        workers: pod.max_concurrency.into(),
        threads: pod.threads.intra_op.into(),
        queue: pod.queue.into(),
        node_labels: Vec::new(),
        mode: Mode::Planned,
        explanation: reasons
            .map(ToString::to_string)
            .collect::<Vec<_>>()
            .join(" "),
        plan: Some(plan.clone()),
    }
}

/// Rounded up; what is above by less than a millionth is noise.
fn whole(value: f64) -> u64 {
    #[expect(
        clippy::cast_possible_truncation,
        clippy::cast_sign_loss,
        reason = "plans have positive numbers far below 2^63"
    )]
    let whole = (value - 1e-6).ceil() as u64;
    whole
}

/// Each worker has one session per voice, and each admitted request has some audio buffered.
fn default(
    voices: &[ReadyVoice],
    accepted: Option<&AcceptedPlan>,
    out_of_memory: Option<&OutOfMemory>,
) -> PodSize {
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
    let audio = (workers + u64::from(QUEUE)) * (AUDIO_PER_REQUEST_16_KHZ * rate / 16_000);
    let needed = PROCESS.saturating_add(sessions).saturating_add(audio);
    let least = out_of_memory.map_or(0, |killed| killed.least().saturating_mul(MEBI));
    let memory = settle(
        needed,
        least,
        accepted.map(|plan| plan.pod.resources.memory),
    );
    let killed = out_of_memory.map_or_else(String::new, |killed| {
        format!(
            "; at least {} MiB, because a pod was killed for its memory with {} MiB",
            killed.least(),
            killed.killed_at
        )
    });
    let explanation = format!(
        "defaults, because nothing was measured under load yet: {DEFAULT_CPU_MILLI}m CPU and one worker thread; {memory} memory: {} for the process, {} for the voices as measured by their inspections, {} for the audio of {} requests, and a margin{killed}",
        Quantity::from_bytes_in_mebi(PROCESS),
        Quantity::from_bytes_in_mebi(sessions),
        Quantity::from_bytes_in_mebi(audio),
        workers + u64::from(QUEUE),
    );
    PodSize {
        plan: Some(plan(memory.bytes(), &explanation)),
        explanation,
        cpu_request: Quantity::from_milli(DEFAULT_CPU_MILLI.into()),
        cpu_limit: None,
        memory_request: memory.clone(),
        // Equal to the request: a pod within its limit is never killed when the node runs out of memory.
        memory_limit: Some(memory),
        workers,
        threads: 1,
        queue: QUEUE.into(),
        node_labels: Vec::new(),
        mode: Mode::Default,
    }
}

/// The default as the planner stores it, so that a later plan starts from it. The number of pods is the
/// spec's.
fn plan(memory: u64, explanation: &str) -> AcceptedPlan {
    #[expect(
        clippy::cast_precision_loss,
        reason = "mebibytes of memory have fewer than 53 bits"
    )]
    let memory = (memory / MEBI) as f64;
    let cpu = f64::from(DEFAULT_CPU_MILLI) / 1_000.0;
    let pod = Pod {
        cpu,
        threads: Threads::of_one_worker(1),
        max_concurrency: 1,
        queue: QUEUE,
        retry_after: 1,
        resources: PlannedResources {
            cpu_request: cpu,
            cpu_limit: None,
            memory,
            gpus: 0,
            gpu_memory_limit: None,
            qos: Qos::Burstable,
        },
        interpolated: false,
    };
    let replicas = Replicas {
        min: 1,
        at_peak: 1,
        steady: 1,
        max: 1,
        limit: 1,
    };
    let reason = Written {
        code: "InspectionDefaults".to_owned(),
        text: explanation.to_owned(),
        numbers: Map::new(),
    };
    AcceptedPlan::unmeasured(Accelerator::Cpu, pod, replicas, None, vec![reason])
}

/// The required bytes with a margin, in whole steps. Measurements of a voice vary, and a new request
/// replaces every pod: the current request is kept while it is between the required bytes and one
/// step above the computed request.
/// `accepted` is that request in MiB.
/// `least`: bytes, without a margin.
fn settle(needed: u64, least: u64, accepted: Option<f64>) -> Quantity {
    let asked = (needed.saturating_mul(100 + MARGIN_PERCENT) / 100)
        .max(least)
        .div_ceil(MEMORY_STEP)
        .saturating_mul(MEMORY_STEP);
    #[expect(
        clippy::cast_possible_truncation,
        clippy::cast_sign_loss,
        reason = "saturates, and is then not kept"
    )]
    let accepted = accepted.map(|mebibytes| (mebibytes as u64).saturating_mul(MEBI));
    let kept =
        accepted.filter(|accepted| (needed.max(least)..=asked + MEMORY_STEP).contains(accepted));
    Quantity::from_bytes_in_mebi(kept.unwrap_or(asked))
}

/// Peak memory in bytes with the voice loaded and its longest run synthesized.
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
    use tts_crds::v1alpha1::{ResourceLimits, ResourceRequests};

    use super::*;

    fn quantity(text: &str) -> Quantity {
        Quantity::parse(text).unwrap()
    }

    fn manual_sizing(request: &str, limit: Option<&str>) -> Sizing {
        Sizing::Manual(Resources {
            requests: ResourceRequests {
                cpu: quantity(request),
                memory: quantity("1Gi"),
            },
            limits: Some(ResourceLimits {
                cpu: limit.map(quantity),
                memory: None,
            }),
        })
    }

    #[test]
    fn workers_are_the_whole_cpus_of_the_limit_else_of_the_request() {
        let workers =
            |request, limit| size(&manual_sizing(request, limit), &[], None, None).workers;
        assert_eq!(workers("1", Some("2500m")), 2);
        assert_eq!(workers("3", None), 3);
        assert_eq!(workers("250m", None), 1, "at least one");
    }

    fn voice(peak_memory_mebi: Option<u64>) -> ReadyVoice {
        ReadyVoice {
            size_bytes: 5 * MEBI,
            sample_rate_hz: 16_000,
            peak_memory_bytes: peak_memory_mebi.map(|mebi| mebi * MEBI),
            ..ReadyVoice::default()
        }
    }

    /// 45 for the process, 88 - 45 for the session, 9 x 3 for the audio: 115 MiB, a quarter more
    /// is 143.75, in steps 160.
    #[test]
    fn the_default_asks_for_the_measured_peaks_and_the_audio_on_its_way() {
        let one = default(&[voice(Some(88))], None, None);
        assert_eq!(one.memory_request.as_str(), "160Mi");
        assert_eq!(one.memory_limit, Some(one.memory_request));
        assert_eq!(one.cpu_request.as_str(), "250m");
        // The other adds 96 + 3 x 5 - 45: 181 MiB, a quarter more is 226.25, in steps 256.
        let two = default(&[voice(Some(88)), voice(None)], None, None);
        assert_eq!(two.memory_request.as_str(), "256Mi");
        assert!(
            two.explanation.contains("256Mi memory"),
            "{}",
            two.explanation
        );
        let planned = two.plan.unwrap();
        assert_eq!(
            planned.pod.resources.requests(),
            [("cpu", "250m".to_owned()), ("memory", "256Mi".to_owned())]
        );
        assert_eq!(planned.reasons[0].text, two.explanation);
    }

    #[test]
    fn a_pod_that_was_killed_for_its_memory_gets_more() {
        let killed = OutOfMemory {
            killed_at: 160,
            last: jiff::Timestamp::UNIX_EPOCH,
        };
        let size = default(&[voice(Some(88))], None, Some(&killed));
        // 260 MiB, in steps.
        assert_eq!(size.memory_request.as_str(), "288Mi");
        assert!(
            size.explanation
                .contains("killed for its memory with 160 MiB")
        );
        let accepted = plan(quantity("160Mi").bytes(), "as before");
        let size = default(&[voice(Some(88))], Some(&accepted), Some(&killed));
        assert_eq!(size.memory_request.as_str(), "288Mi");
    }

    #[test]
    fn a_slightly_different_measurement_replaces_no_pods() {
        let memory = |peak, accepted: &str| {
            let accepted = plan(quantity(accepted).bytes(), "as before");
            default(&[voice(Some(peak))], Some(&accepted), None)
                .memory_request
                .to_string()
        };
        // 102 MiB would ask for 192Mi anew, 87 for 160Mi.
        assert_eq!(memory(102, "160Mi"), "160Mi");
        assert_eq!(memory(87, "192Mi"), "192Mi");
        // Below what is needed, or far above it, is not kept.
        assert_eq!(memory(160, "160Mi"), "256Mi");
        assert_eq!(memory(88, "512Mi"), "160Mi");
    }
}
