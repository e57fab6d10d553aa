//! What the profiler and the process that it measures say to each other: one JSON object per line.

use serde::{Deserialize, Serialize};

/// The first line: what to load.
#[derive(Clone, Debug, Serialize, Deserialize)]
pub struct Setup {
    /// Of the voice.
    pub name: String,
    /// As on the command line: `builtin:NAME`, or a path.
    pub location: String,
    pub device: String,
    /// UUID of the GPU, or of the MIG instance, that the process is to see alone.
    #[serde(default)]
    pub gpu: Option<String>,
    /// CPUs that every thread of the process is bound to; none: any.
    pub cpus: Option<Vec<usize>>,
    pub workers: usize,
    /// Threads per run.
    pub threads: usize,
    pub texts: Vec<String>,
}

/// What to do next.
#[derive(Clone, Copy, Debug, Serialize, Deserialize)]
pub enum Command {
    /// Speak each text once, and look at the audio.
    Verify,
    Level(LevelOrder),
    /// The peak memory while `n` requests of one text are in service.
    Memory {
        n: usize,
        text: usize,
    },
    /// What each format costs, on the audio of one text.
    Codecs {
        text: usize,
    },
}

/// `n` requests in service, always.
#[derive(Clone, Copy, Debug, Serialize, Deserialize)]
pub struct LevelOrder {
    pub n: usize,
    /// The texts: from this one up to that one.
    pub first: usize,
    pub end: usize,
    /// Whole rounds of the texts go on until there are so many requests, and so much time has passed (s).
    pub requests: usize,
    pub seconds: f64,
    /// After this time it ends, with fewer requests too, as soon as there are `fewest`; and at three times this time.
    pub most_seconds: f64,
    pub fewest: usize,
    /// Of the order of the texts.
    pub seed: u64,
}

/// Answers.
#[derive(Clone, Debug, Serialize, Deserialize)]
pub enum Answer {
    Ready(Ready),
    Verified(Vec<Verified>),
    Level(LevelSamples),
    /// In MiB.
    Memory {
        peak: f64,
        now: f64,
    },
    Codecs(Vec<Codec>),
    Failed(String),
    /// The device cannot be used here.
    NoDevice(String),
}

/// The voice is loaded and has spoken.
#[derive(Clone, Debug, Serialize, Deserialize)]
pub struct Ready {
    /// Resident memory with ONNX Runtime started and no voice, and with the voice loaded and tested (MiB).
    pub process_mib: f64,
    pub loaded_mib: f64,
    pub sample_rate: u32,
    /// CPUs that the kernel lets the process's threads run on: each list once.
    pub allowed: Vec<String>,
    /// Threads that loading the voice created.
    pub threads: usize,
    pub largest_batch: usize,
    pub language: Option<String>,
}

/// A text that was spoken.
#[derive(Clone, Debug, Serialize, Deserialize)]
pub struct Verified {
    /// Of the whole, and of the first chunk (s).
    pub audio: f64,
    pub chunk_audio: f64,
    /// Audio of the longest chunk (s).
    pub longest_chunk: f64,
    pub chunks: usize,
    pub phonemes: usize,
    /// Loudest sample, 1 at full scale.
    pub peak: f64,
}

/// A request; times in seconds.
#[derive(Clone, Copy, Debug, Serialize, Deserialize)]
pub struct Sample {
    pub text: usize,
    /// From the start of its service to its first audio, and to its end.
    pub first: f64,
    pub service: f64,
    pub audio: f64,
}

/// What a level gave.
#[derive(Clone, Debug, Default, Serialize, Deserialize)]
pub struct LevelSamples {
    pub samples: Vec<Sample>,
    /// From the n-th completed request to the last (s), and audio completed in it (audio-seconds).
    pub window: f64,
    pub audio: f64,
    /// CPU-seconds of the process in the window, and from the first request to the last.
    pub cpu: f64,
    pub cpu_in_all: f64,
    /// Seconds of all requests by stage, in the engine's order; `queue` is what none of its stages took.
    pub stages: Vec<(String, f64)>,
    pub throttled: f64,
    /// Why requests failed.
    pub errors: Vec<String>,
    /// Resident memory at the end (MiB).
    pub resident: f64,
    /// Share of the time in which the GPU worked: added by the profiler, where the GPU tells.
    #[serde(default)]
    pub gpu_utilisation: Option<f64>,
}

/// What one format costs.
#[derive(Clone, Debug, Serialize, Deserialize)]
pub struct Codec {
    pub format: String,
    /// CPU-seconds per audio-second.
    pub cpu_per_audio: f64,
}
