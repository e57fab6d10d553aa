//! Why a plan is as it is: a code and its numbers, from which the text is made.

mod text;

use serde::{Deserialize, Serialize};
use serde_json::{Map, Value};

use crate::profile::{Accelerator, Validity};
use crate::request::{Minimise, Peak, Qos};
use crate::shapes::Position;
use crate::shortage::Condition;

/// One decision. Times in seconds, rates in requests per second, memory in MiB, shares of 1.
#[derive(Clone, Debug, PartialEq, Serialize, Deserialize, strum::IntoStaticStr)]
#[serde(tag = "code", rename_all_fields = "camelCase")]
pub enum Reason {
    /// Where the pods run.
    Accelerator {
        class: String,
        accelerator: Accelerator,
        minimise: Minimise,
        /// Of the steady number of pods; None where the class has no price.
        cost_per_hour: Option<f64>,
        currency: Option<String>,
        watts: Option<f64>,
        pods: u32,
        peak: f64,
        ttfa_objective: f64,
        next: Option<NextClass>,
    },
    /// Several voices are served together.
    Voices {
        /// Names and shares of the requests.
        voices: Vec<(String, f64)>,
    },
    PodShape {
        cpu: f64,
        threads: u32,
        rate: f64,
        ttfa_objective: f64,
        utilisation: f64,
        full_rate: f64,
        ttfa_p95_idle: f64,
        derate: f64,
    },
    /// Few threads or many: the smallest count that keeps the promise wastes least.
    Threads {
        threads: u32,
        /// p95 of the first audio of an idle pod with one thread.
        idle_with_one: f64,
        ttfa_objective: f64,
    },
    Concurrency {
        max_concurrency: u32,
        queue: u32,
        /// Whether a request that finds the queue full would be late; else nothing waits so long.
        full_is_late: bool,
        late_or_rejected: f64,
    },
    Replicas {
        peak: f64,
        ttfa_objective: f64,
        at_peak: u32,
        /// None when they cannot keep up.
        ttfa_p95: Option<f64>,
        steady: u32,
        /// The steady number and the maximum, were there room.
        steady_wanted: u32,
        max_wanted: u32,
        min: u32,
        max: u32,
        limit: u32,
    },
    Autoscaling {
        in_flight: f64,
        ramp_per_minute: f64,
        reaction: f64,
        /// How much the metric varies by chance at the peak, where that is more than the
        /// autoscaler tolerates: `1 / sqrt(requests in the metric's window)`.
        noise: Option<f64>,
    },
    Neighbours {
        pods: u32,
        /// Of the speed alone.
        speed: f64,
        measured: bool,
        /// The least that is taken off where it was not measured.
        unmeasured: f64,
    },
    Memory {
        memory: f64,
        needed: f64,
        concurrency: u32,
        max_chunk_audio: f64,
        margin: f64,
        /// More than was computed: a pod was killed for its memory, or more is running.
        raised: bool,
    },
    Cpu {
        request: f64,
        limit: Option<f64>,
        qos: Qos,
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
    /// Classes whose price is not known count cores + a weight per GPU.
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
    /// The class that runs now stays.
    Kept {
        class: String,
        better: String,
        saving: f64,
        threshold: f64,
    },
    /// The pods that run now stay.
    KeptShape {
        cpu: f64,
        threads: u32,
        saving: f64,
        threshold: f64,
    },
    Switched {
        from: String,
        to: String,
        saving: Option<f64>,
        threshold: f64,
    },
    /// What a proxy in front of the pods would save.
    LeastRequest {
        pods: u32,
        with_proxy: u32,
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
        provisioning: f64,
    },
    Measurement {
        profile: String,
        validity: Validity,
        correction: f64,
    },
    /// Of several measurements of the same, the newest counts.
    Newest {
        profile: String,
        older: u32,
    },
    BestEffort {
        condition: Condition,
        replicas: u32,
        needed: u32,
        /// Of the objectives that cannot be kept.
        late_or_rejected: f64,
        /// None when the pods cannot keep up.
        ttfa_p95: Option<f64>,
    },
    ConservativeDefaults {
        accelerator: Accelerator,
        model: Option<f64>,
    },
}

/// The best class but the chosen one.
#[derive(Clone, Debug, PartialEq, Serialize, Deserialize)]
#[serde(rename_all = "camelCase")]
pub struct NextClass {
    pub class: String,
    /// Its cost over the chosen one's, or its power where that is minimised; None when that is
    /// nothing or not known.
    pub ratio: Option<f64>,
}

/// A reason as it is stored: whoever reads it need not know its code.
#[derive(Clone, Debug, PartialEq, Serialize, Deserialize)]
pub struct Written {
    pub code: String,
    pub text: String,
    #[serde(flatten)]
    pub numbers: Map<String, Value>,
}

impl From<Reason> for Written {
    fn from(reason: Reason) -> Self {
        // An enum of structs with named fields is always a map.
        let mut numbers = match serde_json::to_value(&reason) {
            Ok(Value::Object(numbers)) => numbers,
            _ => Map::new(),
        };
        numbers.remove("code");
        Self {
            code: reason.code().to_owned(),
            text: reason.to_string(),
            numbers,
        }
    }
}

impl std::fmt::Display for Written {
    fn fmt(&self, f: &mut std::fmt::Formatter<'_>) -> std::fmt::Result {
        f.write_str(&self.text)
    }
}

impl Reason {
    /// The code alone, as in the data.
    pub fn code(&self) -> &'static str {
        self.into()
    }
}
