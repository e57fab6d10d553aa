//! Why: a code and its numbers, from which the text is made.

mod text;

use serde::{Deserialize, Serialize};

use crate::plan::Condition;
use crate::profile::{Accelerator, Validity};
use crate::request::{LoadBalancing, Peak, Qos};

/// One decision. Times in seconds, rates in requests per second, memory in MiB, shares of 1.
#[derive(Clone, Debug, PartialEq, Serialize, Deserialize, strum::IntoStaticStr)]
#[serde(tag = "code", rename_all_fields = "camelCase")]
pub enum Reason {
    Accelerator {
        class: String,
        accelerator: Accelerator,
        cost_per_audio_hour: f64,
        next: Option<NextClass>,
    },
    PodShape {
        cpu: f64,
        threads: u32,
        precision: String,
        rate: f64,
        ttfa_objective: f64,
        utilisation: f64,
        full_rate: f64,
        ttfa_p95_idle: f64,
        derate: f64,
    },
    Concurrency {
        max_concurrency: u32,
        rtf_p95: f64,
        rtf_objective: f64,
        queue: u32,
        full_rate: f64,
        /// Of the promise, after a typical first chunk.
        slack: f64,
        typical_first_audio: f64,
        late_or_rejected: f64,
    },
    Replicas {
        peak: f64,
        rate: f64,
        at_peak: u32,
        ttfa_p95: f64,
        min: u32,
        max: u32,
        limit: u32,
    },
    Autoscaling {
        in_flight: f64,
        target_rate: f64,
        rate: f64,
        tolerance: f64,
        headroom: f64,
        ramp_per_minute: f64,
        reaction: f64,
    },
    Memory {
        memory: f64,
        needed: f64,
        concurrency: u32,
        max_chunk_audio: f64,
        margin: f64,
    },
    Cpu {
        request: f64,
        limit: Option<f64>,
        qos: Qos,
    },
    /// Few threads or many: the smallest count that keeps the promise wastes least.
    Threads {
        threads: u32,
        /// T over the idle p95 of one thread; None when one thread was not measured.
        idle_ratio: Option<f64>,
        /// `(T - F95) / E[S]`: how many services fit in what is left of the promise.
        slack_services: f64,
        /// Speed-up over one thread, by thread.
        efficiency: Option<f64>,
    },
    /// Demand was given in listeners.
    Listeners {
        peak: Peak,
        mean_audio: f64,
        peak_rps: f64,
    },
    BaseAssumed {
        base: f64,
        share: f64,
    },
    Bursty {
        burstiness: f64,
    },
    /// Classes whose price is not known count cores + 8 per GPU.
    PricesAssumed {
        classes: Vec<String>,
        mixed: bool,
    },
    /// Above this rate the GPU is the cheaper of the two.
    BreakEven {
        cpu_class: String,
        gpu_class: String,
        pods: u32,
        rate: f64,
    },
    Kept {
        class: String,
        cheaper: String,
        saving: f64,
        threshold: f64,
    },
    Switched {
        from: String,
        to: String,
        saving: Option<f64>,
        threshold: f64,
    },
    LoadBalancing {
        policy: LoadBalancing,
        arrival_cv2: f64,
        /// Pods at the peak behind a least-request proxy.
        at_peak_least_request: u32,
        at_peak: u32,
    },
    /// The pod's size was not measured.
    Interpolated {
        cpu: f64,
        threads: u32,
        position: Position,
        /// How far the scaling law misses the measured throughput, at most; the derate is no
        /// smaller.
        residual: f64,
    },
    Declared {
        class: String,
    },
    Measurement {
        profile: String,
        validity: Validity,
        correction: f64,
    },
    /// The peak does not fit: what comes nearest and what would help.
    Capacity {
        class: String,
        cpu: f64,
        threads: u32,
        needed: u32,
        /// Pods that the nodes and the user allow.
        limit: u32,
        nodes: u32,
        pods_per_node: u32,
        /// 0 where the nodes suffice and the user's maximum does not.
        add_nodes: u32,
        /// What `maxReplicas` has to be, where it is too low.
        raise_max_replicas: Option<u32>,
        /// The largest peak that can be served as things are (requests per second); 0: none.
        affordable_peak: f64,
        /// The smallest time to first audio that can be promised as things are (s).
        possible_objective: Option<f64>,
    },
    TooLate {
        class: String,
        cpu: f64,
        threads: u32,
        idle_p95: f64,
        objective: f64,
        possible_objective: f64,
    },
    TooSlow {
        class: String,
        cpu: f64,
        threads: u32,
        rtf_p95: f64,
        objective: f64,
        possible_objective: f64,
    },
    TooLarge {
        class: String,
        cpu: f64,
        memory: f64,
        allocatable_cpu: f64,
        allocatable_memory: f64,
    },
    /// The smallest pod is larger than what one may have.
    AboveLimit {
        cpu: f64,
        limit: f64,
    },
    AboveMemoryLimit {
        memory: f64,
        limit: f64,
    },
    PartOfACore {
        cpu: f64,
    },
    NoGpu {
        class: String,
    },
    Unmeasured {
        classes: Vec<String>,
    },
    BestEffort {
        condition: Condition,
        replicas: u32,
        needed: u32,
        /// None when the pods cannot keep up.
        ttfa_p95: Option<f64>,
    },
    ConservativeDefaults {
        accelerator: Accelerator,
        model: Option<f64>,
    },
}

/// The cheapest class but the chosen one.
#[derive(Clone, Debug, PartialEq, Serialize, Deserialize)]
#[serde(rename_all = "camelCase")]
pub struct NextClass {
    pub class: String,
    /// Over the chosen one's cost; None when that is nothing.
    pub cost_ratio: Option<f64>,
}

/// Where a size that was not measured lies among those of as many threads that were.
#[derive(Clone, Copy, Debug, PartialEq, Eq, Serialize, Deserialize)]
#[serde(rename_all = "camelCase")]
pub enum Position {
    Between,
    /// More cores than any that was measured, or more requests side by side; at most twice as many
    /// requests.
    Above,
    /// Fewer cores than any that was measured.
    Below,
}

/// A shape that is out.
#[derive(Clone, Debug, PartialEq, Serialize, Deserialize)]
#[serde(rename_all = "camelCase")]
pub struct Rejection {
    pub class: String,
    pub profile: Option<String>,
    /// Cores and threads; None when no shape was looked at.
    pub shape: Option<(f64, u32)>,
    pub because: Because,
}

#[derive(Clone, Copy, Debug, PartialEq, Serialize, Deserialize, strum::IntoStaticStr)]
#[serde(tag = "code", rename_all_fields = "camelCase")]
pub enum Because {
    FirstAudio {
        idle_p95: f64,
        objective: f64,
    },
    RealTimeFactor {
        concurrency: u32,
        rtf_p95: f64,
        objective: f64,
    },
    Fit {
        cpu: f64,
        memory: f64,
    },
    PartOfACore {
        cpu: f64,
    },
    AboveLimit {
        cpu: f64,
        limit: f64,
    },
    AboveMemoryLimit {
        memory: f64,
        limit: f64,
    },
    NoGpu,
    Capacity {
        needed: u32,
        limit: u32,
        nodes: u32,
        pods_per_node: u32,
    },
    Invalid,
    Unmeasured,
}

impl Reason {
    /// The code alone, as in the data.
    pub fn code(&self) -> &'static str {
        self.into()
    }
}

impl Because {
    /// The code alone, as in the data.
    pub fn code(&self) -> &'static str {
        self.into()
    }
}
