//! The profile: the stored measurement of one voice on one node class.
//!
//! This is the file format `tts.profile/v1` as it is written, field for field.
//! [`Profile::from_json`] reads it strictly; [`Profile::check`] holds the same rules for a profile
//! that a program has put together.

mod check;
pub mod details;
mod external;
mod read;

use serde::{Deserialize, Serialize};

pub use check::{MAX_CONCURRENCY, MAX_CONFIGS, ProfileError};
pub use external::{ClientLevel, External, OpenLoop, Quantiles};

/// The only format this crate reads. A field is never added under the same name: that takes a new
/// version.
pub const SCHEMA: &str = "tts.profile/v1";

/// The probabilities of the stored quantiles of time to first audio. Between 0.95 and 1 a straight
/// line would overstate a heavy tail by up to 22 %; the two extra points bring that to 9 %.
pub const PROBABILITIES: [f64; QUANTILES] = [
    0.0, 0.05, 0.10, 0.15, 0.20, 0.25, 0.30, 0.35, 0.40, 0.45, 0.50, 0.55, 0.60, 0.65, 0.70, 0.75,
    0.80, 0.85, 0.90, 0.95, 0.975, 0.99, 1.0,
];

/// How many quantiles a level stores.
pub const QUANTILES: usize = 23;

/// One measurement: times in seconds, memory in MiB, throughput in audio-seconds per second.
#[derive(Clone, Debug, PartialEq, Serialize, Deserialize)]
#[cfg_attr(feature = "schemars", derive(schemars::JsonSchema))]
#[serde(rename_all = "camelCase", deny_unknown_fields)]
pub struct Profile {
    /// Always [`SCHEMA`].
    pub schema: String,
    /// Unique name, e.g. `piper-en-us-lessac-medium.cpu-strong.3f9c21aa`.
    pub id: String,
    /// What was measured.
    pub voice: Voice,
    /// What measured it.
    pub server: Server,
    /// Where it was measured.
    pub node: Node,
    /// How the measurement went.
    pub run: Run,
    /// The texts that were spoken.
    pub corpus: Corpus,
    /// First audio is sent before the request is complete.
    pub streaming: bool,
    /// Container start to ready, warm-up included: the 90th percentile of the starts measured (s).
    #[serde(rename = "coldStartS")]
    pub cold_start: f64,
    /// Pod shapes, each with its levels.
    #[serde(default)]
    pub configs: Vec<Config>,
    /// The node with all its cores busy: what pods lose to their neighbours.
    #[serde(default, skip_serializing_if = "Vec::is_empty")]
    pub full_node: Vec<FullNode>,
    /// What the audio formats cost.
    #[serde(default, skip_serializing_if = "Vec::is_empty")]
    pub encoding: Vec<Encoding>,
    /// Runs of several requests together; null where the engine takes one at a time.
    pub batch: Option<Batch>,
    /// Laws fitted to the levels, for reports.
    pub scaling: Option<Scaling>,
    /// An open-loop run at a predicted load.
    pub verification: Option<Verification>,
    /// What clients of an endpoint saw. Such a profile has no configs, and nothing is planned from it.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub external: Option<External>,
    /// For reports only: the planner never reads it, so it may hold anything. [`details::Details`] is
    /// what our own profiler writes.
    #[cfg_attr(
        feature = "schemars",
        schemars(extend("x-kubernetes-preserve-unknown-fields" = true))
    )]
    #[serde(default, skip_serializing_if = "serde_json::Map::is_empty")]
    pub report: serde_json::Map<String, serde_json::Value>,
}

/// All cores of a node busy with requests of `threads` each.
#[derive(Clone, Copy, Debug, PartialEq, Serialize, Deserialize)]
#[cfg_attr(feature = "schemars", derive(schemars::JsonSchema))]
#[serde(rename_all = "camelCase", deny_unknown_fields)]
pub struct FullNode {
    /// Threads per request.
    pub threads: u32,
    /// Requests in service on the node, whichever pods they are in.
    pub workers: u32,
    /// Requests that were measured.
    pub requests: u32,
    /// Throughput of the whole node: audio-seconds per second.
    pub audio_per_sec: f64,
}

/// What encoding to one audio format takes.
#[derive(Clone, Debug, PartialEq, Serialize, Deserialize)]
#[cfg_attr(feature = "schemars", derive(schemars::JsonSchema))]
#[serde(rename_all = "camelCase", deny_unknown_fields)]
pub struct Encoding {
    /// As in a request's `response_format`, e.g. `mp3`.
    pub format: String,
    /// CPU-seconds per audio-second.
    #[serde(rename = "cpuSecPerAudioS")]
    pub cpu_per_audio: f64,
}

/// What was measured.
#[derive(Clone, Debug, PartialEq, Eq, Serialize, Deserialize)]
#[cfg_attr(feature = "schemars", derive(schemars::JsonSchema))]
#[serde(rename_all = "camelCase", deny_unknown_fields)]
pub struct Voice {
    /// Name of the voice.
    pub name: String,
    /// SHA-256 of the model, `sha256:` and 64 digits.
    pub model_digest: String,
    /// SHA-256 of the configuration.
    pub config_digest: String,
    /// Which of its alternatives.
    pub variant: Variant,
}

/// Which of a voice's alternatives was measured.
#[derive(Clone, Debug, PartialEq, Eq, Serialize, Deserialize)]
#[cfg_attr(feature = "schemars", derive(schemars::JsonSchema))]
#[serde(rename_all = "camelCase", deny_unknown_fields)]
pub struct Variant {
    /// `fp32`, `fp16` or `int8`.
    pub precision: String,
    /// Number of function evaluations of a flow-matching model; null for other families.
    pub nfe: Option<u32>,
}

/// What measured it.
#[derive(Clone, Debug, PartialEq, Eq, Serialize, Deserialize)]
#[cfg_attr(feature = "schemars", derive(schemars::JsonSchema))]
#[serde(rename_all = "camelCase", deny_unknown_fields)]
pub struct Server {
    /// The server's version.
    pub version: String,
    /// Image reference of the server.
    pub image: String,
    /// ONNX Runtime's version.
    pub ort: String,
    /// Where ONNX Runtime ran the graph.
    pub ep: ExecutionProvider,
    /// Whether threads spin while they wait.
    pub allow_spinning: bool,
    /// Whether memory is kept in an arena.
    pub arena: bool,
}

/// Where ONNX Runtime ran the graph.
#[derive(Clone, Copy, Debug, PartialEq, Eq, Serialize, Deserialize, strum::Display)]
#[cfg_attr(feature = "schemars", derive(schemars::JsonSchema))]
#[serde(rename_all = "lowercase")]
#[strum(serialize_all = "lowercase")]
pub enum ExecutionProvider {
    Cpu,
    Cuda,
}

/// The kind of node a pod needs. The order is the tie rule: at equal cost a CPU goes before a GPU.
#[derive(
    Clone, Copy, Debug, PartialEq, Eq, PartialOrd, Ord, Hash, Serialize, Deserialize, strum::Display,
)]
#[cfg_attr(feature = "schemars", derive(schemars::JsonSchema))]
#[serde(rename_all = "lowercase")]
#[strum(serialize_all = "lowercase")]
pub enum Accelerator {
    Cpu,
    Gpu,
}

/// Where it was measured.
#[derive(Clone, Debug, PartialEq, Serialize, Deserialize)]
#[cfg_attr(feature = "schemars", derive(schemars::JsonSchema))]
#[serde(rename_all = "camelCase", deny_unknown_fields)]
pub struct Node {
    /// The node class's name.
    pub class: String,
    /// What the machine is.
    pub fingerprint: Fingerprint,
}

/// What makes two nodes interchangeable for a measurement.
#[derive(Clone, Debug, PartialEq, Serialize, Deserialize)]
#[cfg_attr(feature = "schemars", derive(schemars::JsonSchema))]
#[serde(rename_all = "camelCase", deny_unknown_fields)]
pub struct Fingerprint {
    /// As Kubernetes names it: `amd64`, `arm64`.
    pub arch: String,
    /// The processor's name.
    pub cpu_model: String,
    /// CPU features with kernels of their own, by the kernel's names.
    pub flags: Vec<String>,
    /// Hardware threads per core.
    pub smt: u32,
    /// Core clock while busy (MHz); null where it cannot be read.
    pub mhz_busy: Option<Clock>,
    /// Frequency governor; null on machines that have none.
    pub governor: Option<String>,
    /// Version of the kernel.
    #[serde(deserialize_with = "read::version")]
    #[cfg_attr(feature = "schemars", schemars(with = "String"))]
    pub kernel: String,
    /// The GPU; null without one.
    pub gpu: Option<Gpu>,
    /// The built-in calibration kernel on one thread (GFLOP/s).
    pub gemm_gflops1t: Option<f64>,
    /// Memory bandwidth on one thread (GB/s).
    #[serde(rename = "memBwGBs1t")]
    pub mem_bw_gbs1t: Option<f64>,
}

/// A clock while busy.
#[derive(Clone, Copy, Debug, PartialEq, Serialize, Deserialize)]
#[cfg_attr(feature = "schemars", derive(schemars::JsonSchema))]
#[serde(deny_unknown_fields)]
pub struct Clock {
    /// MHz.
    pub median: f64,
    /// Standard deviation over mean.
    pub cv: f64,
}

#[derive(Clone, Debug, PartialEq, Serialize, Deserialize)]
#[cfg_attr(feature = "schemars", derive(schemars::JsonSchema))]
#[serde(rename_all = "camelCase", deny_unknown_fields)]
pub struct Gpu {
    /// As the driver names it.
    pub product: String,
    /// MIG profile; null for a whole GPU.
    pub mig: Option<String>,
    /// `none`, `time-slicing`, `mps`, or `unknown` where the driver does not tell.
    pub sharing: String,
    /// Version of the driver.
    #[serde(deserialize_with = "read::version")]
    #[cfg_attr(feature = "schemars", schemars(with = "String"))]
    pub driver: String,
    /// Version of CUDA.
    #[serde(deserialize_with = "read::version")]
    #[cfg_attr(feature = "schemars", schemars(with = "String"))]
    pub cuda: String,
    /// Memory of the GPU (MiB).
    #[serde(rename = "vramMiB")]
    pub vram_mib: f64,
    /// Clock of the GPU while busy.
    #[serde(rename = "smMHz")]
    pub sm_mhz: Option<Clock>,
    /// Power limit (W).
    #[serde(rename = "powerLimitW")]
    pub power_limit: Option<f64>,
    /// The driver's clock event reasons seen while busy, as its bit mask.
    pub throttle_reasons: u64,
}

/// How the measurement went.
#[derive(Clone, Debug, PartialEq, Serialize, Deserialize)]
#[cfg_attr(feature = "schemars", derive(schemars::JsonSchema))]
#[serde(rename_all = "camelCase", deny_unknown_fields)]
pub struct Run {
    /// RFC 3339: tells which of two measurements is the newer one.
    pub started: String,
    /// How long it took (s).
    #[serde(rename = "durationS")]
    pub duration: f64,
    /// Passes over all levels.
    pub passes: u32,
    /// Largest relative difference between the anchor points of the run.
    pub anchor_drift: f64,
    /// Pressure stall, `some` over 10 s (%).
    pub psi_cpu_some: f64,
    /// Share of time the hypervisor took away.
    pub steal: f64,
    /// Whether it may be planned with, as the profiler judged it.
    pub validity: Validity,
    /// Half the range of the passes over their median, of throughput.
    pub throughput_rel_ci: f64,
    /// Coefficient of variation of the service time of equal requests.
    pub noise_cv: f64,
    /// Levels above what the node can allocate, by name: asked for, not measured.
    #[serde(default, skip_serializing_if = "Vec::is_empty")]
    pub dropped: Vec<String>,
    /// Levels whose passes never agreed within 10 %, by name.
    #[serde(default, skip_serializing_if = "Vec::is_empty")]
    pub unstable: Vec<String>,
    /// Pods that served on the node meanwhile.
    #[serde(default, skip_serializing_if = "is_zero")]
    pub co_tenants: u32,
    /// CPU time that others took of the node while it was measured: a share of all its cores.
    #[serde(default)]
    pub others_cpu: f64,
    /// What makes the measurement unusable, in words: silence, failed requests.
    #[serde(default, skip_serializing_if = "Vec::is_empty")]
    pub faults: Vec<String>,
}

impl Run {
    /// When it began (milliseconds since 1970); None where that cannot be read, which counts as
    /// before everything else.
    pub(crate) fn started_millis(&self) -> Option<i64> {
        let started: jiff::Timestamp = self.started.parse().ok()?;
        Some(started.as_millisecond())
    }
}

/// Whether a measurement may be planned with.
#[derive(Clone, Copy, Debug, PartialEq, Eq, Serialize, Deserialize, strum::Display)]
#[cfg_attr(feature = "schemars", derive(schemars::JsonSchema))]
pub enum Validity {
    Valid,
    /// Usable with a larger derate.
    Degraded,
    /// Usable; measured again when there is room.
    Stale,
    /// Taken over from a similar node class by a calibration kernel's ratio.
    Transferred,
    /// Not usable.
    Invalid,
}

/// The texts the profile was measured with.
#[derive(Clone, Debug, PartialEq, Serialize, Deserialize)]
#[cfg_attr(feature = "schemars", derive(schemars::JsonSchema))]
#[serde(rename_all = "camelCase", deny_unknown_fields)]
pub struct Corpus {
    /// Identity of the texts.
    pub id: String,
    /// Mean audio of a text (audio-seconds).
    #[serde(rename = "meanAudioS")]
    pub mean_audio: f64,
    /// Standard deviation over mean of the audio.
    pub cv_audio: f64,
    /// Mean audio of the first chunk (audio-seconds).
    #[serde(rename = "chunkAudioS")]
    pub chunk_audio: f64,
    /// Chunks that a text is spoken in, on average: with several, requests take turns of one chunk each. None: each request
    /// is served whole.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub chunks_per_text: Option<f64>,
    /// Audio-seconds per character.
    #[serde(rename = "audioSPerChar")]
    pub audio_per_char: f64,
    /// Speaking rate: phonemes per audio-second, pauses included; null where the engine does not tell
    /// phonemes.
    #[serde(
        rename = "phonemesPerAudioS",
        default,
        skip_serializing_if = "Option::is_none"
    )]
    pub phonemes_per_audio: Option<f64>,
}

/// One pod shape that was measured: cores and threads per request.
#[derive(Clone, Debug, PartialEq, Serialize, Deserialize)]
#[cfg_attr(feature = "schemars", derive(schemars::JsonSchema))]
#[serde(rename_all = "camelCase", deny_unknown_fields)]
pub struct Config {
    /// Cores of the pod; below 1 it was measured under a CPU limit.
    pub cpu: f64,
    /// Intra-op threads per request.
    pub threads: u32,
    /// Sessions that were loaded.
    pub sessions: u32,
    /// Service time S = s0 + s1 · audio-seconds, one request at a time (s, s per audio-second).
    pub s0: f64,
    /// Service time per audio-second (s).
    pub s1: f64,
    /// Time to first audio from the start of service, F = f0 + f1 · audio-seconds of the first
    /// chunk.
    pub f0: f64,
    /// Time to first audio per audio-second of the first chunk (s).
    pub f1: f64,
    /// CPU-seconds per audio-second.
    #[serde(rename = "cpuSecPerAudioS")]
    pub cpu_per_audio: f64,
    /// Memory of the pod.
    pub mem: Memory,
    /// The same regression for GPU memory; null on CPU.
    pub gpu_mem: Option<Memory>,
    /// Energy; null where the machine does not count it.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub energy: Option<Energy>,
    /// By number in service, ascending, from 1.
    pub levels: Vec<Level>,
}

/// What speech takes from the mains.
#[derive(Clone, Copy, Debug, PartialEq, Serialize, Deserialize)]
#[cfg_attr(feature = "schemars", derive(schemars::JsonSchema))]
#[serde(rename_all = "camelCase", deny_unknown_fields)]
pub struct Energy {
    /// Joules per audio-second, above the idle node's.
    #[serde(rename = "joulesPerAudioS")]
    pub per_audio: f64,
    /// Power of the idle node (W).
    pub idle_watts: f64,
}

/// Memory against the audio in flight, a regression (MiB).
#[derive(Clone, Copy, Debug, PartialEq, Serialize, Deserialize)]
#[cfg_attr(feature = "schemars", derive(schemars::JsonSchema))]
#[serde(rename_all = "camelCase", deny_unknown_fields)]
pub struct Memory {
    /// Without requests (MiB).
    pub base: f64,
    /// The part of `base` that one process needs however many voices it serves; null where it was
    /// not measured.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub process: Option<f64>,
    /// Per audio-second in flight (MiB).
    #[serde(rename = "perInflightAudioS")]
    pub per_inflight_audio: f64,
    /// Standard deviation of what the line leaves over.
    #[serde(default)]
    pub resid_sd: f64,
    /// One waiting request: its text and connection.
    #[serde(default = "Memory::per_queued_default")]
    pub per_queued: f64,
}

impl Memory {
    /// Measured nowhere yet; a waiting request holds text and a socket only.
    pub const PER_QUEUED: f64 = 0.25;

    const fn per_queued_default() -> f64 {
        Self::PER_QUEUED
    }
}

/// The pod with exactly `n` requests in service, always.
#[derive(Clone, Debug, PartialEq, Serialize, Deserialize)]
#[cfg_attr(feature = "schemars", derive(schemars::JsonSchema))]
#[serde(rename_all = "camelCase", deny_unknown_fields)]
pub struct Level {
    /// Requests in service.
    pub n: u32,
    /// Requests that were measured.
    pub requests: u32,
    /// How long it was measured (s).
    pub seconds: f64,
    /// Throughput: audio-seconds per second, all requests together.
    pub audio_per_sec: f64,
    /// Median service time (s).
    #[serde(rename = "sP50")]
    pub s_p50: f64,
    /// 95th percentile of the service time (s).
    #[serde(rename = "sP95")]
    pub s_p95: f64,
    /// 95th percentile of service time over audio.
    pub rtf_p95: f64,
    /// 95th percentile of the time to first audio (s).
    pub ttfa_p95: f64,
    /// Share of scheduler periods that were throttled.
    pub throttled_periods: f64,
    /// Time to first audio at [`PROBABILITIES`] (s).
    pub ttfa_q: Vec<f64>,
    /// Service time in more detail, for reports.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub service: Option<ServiceTime>,
    /// Where a request's time goes, its wait in the queue included, for reports: the engine's own list.
    #[serde(default, skip_serializing_if = "Vec::is_empty")]
    pub stages: Vec<Stage>,
    /// Share of the time in which the GPU worked.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub gpu_utilisation: Option<f64>,
}

#[derive(Clone, Copy, Debug, PartialEq, Serialize, Deserialize)]
#[cfg_attr(feature = "schemars", derive(schemars::JsonSchema))]
#[serde(deny_unknown_fields)]
pub struct ServiceTime {
    /// Mean (s).
    pub mean: f64,
    /// Median (s).
    pub median: f64,
    /// Minimum (s).
    pub min: f64,
    /// Maximum (s).
    pub max: f64,
    /// Standard deviation (s).
    pub sd: f64,
    /// Standard deviation over mean.
    pub cv: f64,
}

/// One stage of a request.
#[derive(Clone, Debug, PartialEq, Serialize, Deserialize)]
#[cfg_attr(feature = "schemars", derive(schemars::JsonSchema))]
#[serde(deny_unknown_fields)]
pub struct Stage {
    /// As the engine names it, e.g. `model`.
    pub name: String,
    /// Of the time of all requests of the level; the shares of a level add up to at most 1.
    pub share: f64,
}

/// A batch of `b` requests takes `alpha + beta · b` seconds per mean request length.
#[derive(Clone, Debug, PartialEq, Serialize, Deserialize)]
#[cfg_attr(feature = "schemars", derive(schemars::JsonSchema))]
#[serde(deny_unknown_fields)]
pub struct Batch {
    /// Fixed part of a run (s).
    pub alpha: f64,
    /// Per request of a run (s).
    pub beta: f64,
    /// By number of requests together.
    pub levels: Vec<BatchLevel>,
}

#[derive(Clone, Copy, Debug, PartialEq, Serialize, Deserialize)]
#[cfg_attr(feature = "schemars", derive(schemars::JsonSchema))]
#[serde(deny_unknown_fields)]
pub struct BatchLevel {
    /// Requests together.
    #[serde(rename = "B")]
    pub size: u32,
    /// Mean time of a run (s).
    #[serde(rename = "meanS")]
    pub mean_service: f64,
    /// Padding: the mean of the longest of the batch over the mean length.
    #[serde(rename = "mB")]
    pub padding: f64,
}

/// The fits, for reports; the planner interpolates from the levels.
#[derive(Clone, Debug, PartialEq, Serialize, Deserialize)]
#[cfg_attr(feature = "schemars", derive(schemars::JsonSchema))]
#[serde(deny_unknown_fields)]
pub struct Scaling {
    /// Threads per request.
    pub threads: Option<Fit>,
    /// Throughput against requests in service.
    pub concurrency: Option<Fit>,
}

#[derive(Clone, Debug, PartialEq, Serialize, Deserialize)]
#[cfg_attr(feature = "schemars", derive(schemars::JsonSchema))]
#[serde(rename_all = "camelCase", deny_unknown_fields)]
pub struct Fit {
    /// Which law was fitted.
    pub law: Law,
    /// Share that is serial.
    pub sigma: f64,
    /// Cost of agreement between workers.
    pub kappa: f64,
    /// Largest relative difference to a measured point.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub max_residual: Option<f64>,
}

#[derive(Clone, Copy, Debug, PartialEq, Eq, Serialize, Deserialize)]
#[cfg_attr(feature = "schemars", derive(schemars::JsonSchema))]
#[serde(rename_all = "lowercase")]
pub enum Law {
    Usl,
    Amdahl,
}

/// An open-loop run at a predicted load, after the plan.
#[derive(Clone, Debug, PartialEq, Serialize, Deserialize)]
#[cfg_attr(feature = "schemars", derive(schemars::JsonSchema))]
#[serde(rename_all = "camelCase", deny_unknown_fields)]
pub struct Verification {
    /// Requests per second that were offered.
    pub lambda: f64,
    /// Requests that were measured.
    pub requests: u32,
    /// 95th percentile of first audio on the same arrivals (s).
    pub trace_matched_p95: Predicted,
    /// predicted / measured - 1: below zero the pod was later than predicted.
    pub error: f64,
}

#[derive(Clone, Copy, Debug, PartialEq, Serialize, Deserialize)]
#[cfg_attr(feature = "schemars", derive(schemars::JsonSchema))]
#[serde(deny_unknown_fields)]
pub struct Predicted {
    /// As predicted (s).
    pub predicted: f64,
    /// As measured (s).
    pub measured: f64,
}

#[expect(
    clippy::trivially_copy_pass_by_ref,
    reason = "serde passes a reference"
)]
fn is_zero(count: &u32) -> bool {
    *count == 0
}

impl Profile {
    /// What the measured pods ran on: the execution provider decides, not what the node has.
    pub fn accelerator(&self) -> Accelerator {
        match self.server.ep {
            ExecutionProvider::Cpu => Accelerator::Cpu,
            ExecutionProvider::Cuda => Accelerator::Gpu,
        }
    }
}

impl Config {
    /// Requests that can run side by side on a CPU, W = floor(cores / threads); a pod below one
    /// core has one.
    pub fn workers(&self) -> u32 {
        crate::numeric::floor(self.cpu / f64::from(self.threads.max(1))).max(1)
    }
}
