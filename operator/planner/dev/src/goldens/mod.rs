//! Reads the short form in which golden cases are written and turns it into the crate's types.
//!
//! ```text
//! {"profiles": {id: profile},
//!  "cases": [{"name", "profiles": [id], "slo", "demand", "inventory", "policy", "current", "expected"}]}
//! ```
//!
//! A short profile has what the planner looks at and nothing else; the adapter fills the rest with
//! values that change nothing.
//!
//! The profiles of a case compete with each other, whatever voices they name. The planner serves
//! several voices together and takes two profiles of the same variant for two generations of one.
//! So the adapter makes them variants of one voice that differ in `nfe`.

pub mod comparison;

use std::collections::BTreeMap;

use serde::Deserialize;
use serde_json::{Map, Value};
use tts_planner::profile::{Config, ExecutionProvider, Level, Memory, Profile};
use tts_planner::{
    Current, Load, Measurement, NodeClass, Objectives, Peak, Policy, Qos, Quota, Request, Validity,
};

/// A file of golden cases.
use crate::samples;

#[derive(Deserialize)]
pub struct Goldens {
    profiles: BTreeMap<String, ShortProfile>,
    pub cases: Vec<Case>,
}

/// A request in the short form, and what the plan for it must be.
#[derive(Deserialize)]
pub struct Case {
    pub name: String,
    profiles: Vec<String>,
    slo: Slo,
    demand: Demand,
    inventory: Vec<ShortNode>,
    #[serde(default)]
    policy: Option<ShortPolicy>,
    #[serde(default)]
    current: Option<ShortCurrent>,
    /// Values of the plan by the names of [`comparison::short`].
    #[serde(default)]
    pub expected: Map<String, Value>,
}

#[derive(Deserialize)]
struct ShortProfile {
    class: String,
    accel: String,
    #[serde(default = "yes")]
    streaming: bool,
    #[serde(default = "noise_cv", rename = "noiseCv")]
    noise_cv: f64,
    corpus: ShortCorpus,
    #[serde(default = "cold_start", rename = "coldStartS")]
    cold_start: f64,
    #[serde(default, rename = "throughputRelCi")]
    throughput_rel_ci: f64,
    #[serde(default)]
    degraded: bool,
    configs: Vec<ShortConfig>,
}

const fn yes() -> bool {
    true
}

const fn noise_cv() -> f64 {
    0.07
}

const fn cold_start() -> f64 {
    30.0
}

#[derive(Deserialize)]
struct ShortCorpus {
    #[serde(rename = "meanAudioS")]
    mean: f64,
    #[serde(default, rename = "cvAudio")]
    cv: f64,
    #[serde(default = "chunk_audio", rename = "chunkAudioS")]
    chunk: f64,
}

const fn chunk_audio() -> f64 {
    2.5
}

#[derive(Deserialize)]
struct ShortConfig {
    cpu: f64,
    threads: f64,
    #[serde(default)]
    sessions: f64,
    #[serde(default)]
    precision: Option<String>,
    s0: f64,
    s1: f64,
    #[serde(default)]
    f0: f64,
    #[serde(default)]
    f1: f64,
    levels: Vec<ShortLevel>,
    #[serde(default, rename = "cpuSecPerAudioS")]
    cpu_per_audio: f64,
    mem: Memory,
}

#[derive(Deserialize)]
#[serde(rename_all = "camelCase")]
struct ShortLevel {
    n: f64,
    audio_per_sec: f64,
    ttfa_q: Vec<f64>,
    rtf_p95: f64,
}

#[derive(Deserialize)]
struct Slo {
    ttfa_p95: f64,
    rtf_p95: f64,
}

#[derive(Deserialize)]
struct Demand {
    mean_audio_s: f64,
    audio_cv: f64,
    max_chunk_audio_s: f64,
    peak_rps: Option<f64>,
    streams: Option<f64>,
    duty: Option<f64>,
    base_rps: Option<f64>,
}

#[derive(Deserialize)]
#[serde(rename_all = "camelCase")]
struct ShortNode {
    name: String,
    alloc_cpu: f64,
    alloc_mem: f64,
    count: f64,
    price: Option<f64>,
    #[serde(default)]
    gpu_slots: f64,
    gpu_weight: Option<f64>,
}

/// `lb`, `overflow_prob` and `queue_wait_share` stand in the prototype's policy, but nothing there
/// reads them.
#[derive(Default, Deserialize)]
struct ShortPolicy {
    rho_max: Option<f64>,
    profile_margin: Option<f64>,
    hpa_tolerance: Option<f64>,
    metric_lag_s: Option<f64>,
    ramp_per_min: Option<f64>,
    base_fraction: Option<f64>,
    min_replicas: Option<f64>,
    ha_min: Option<f64>,
    surge: Option<f64>,
    mem_margin: Option<f64>,
    mem_round: Option<f64>,
    switch_gain: Option<f64>,
    guaranteed: Option<bool>,
    cpu_overhead: Option<f64>,
}

#[derive(Deserialize)]
struct ShortCurrent {
    cls: String,
}

impl Goldens {
    /// Reads a file.
    pub fn from_json(text: &str) -> Result<Self, String> {
        serde_json::from_str(text).map_err(|error| format!("not a file of golden cases: {error}"))
    }

    /// The case as the planner is asked.
    pub fn request(&self, case: &Case) -> Result<Request, String> {
        let mut measurements = Vec::new();
        for (position, id) in case.profiles.iter().enumerate() {
            let short = self
                .profiles
                .get(id)
                .ok_or_else(|| format!("no profile {id:?}"))?;
            // The prototype breaks ties by position; the crate by id.
            let id = format!("{position:04}-{id}");
            let profiles = short.profiles(&id)?;
            measurements.extend(profiles.into_iter().map(Measurement::as_recorded));
        }
        for (nfe, measurement) in (1..).zip(&mut measurements) {
            measurement.profile.voice.variant.nfe = Some(nfe);
        }
        let short = case.policy.as_ref();
        let defaults = Policy::default();
        let number = |value: fn(&ShortPolicy) -> Option<f64>, default| {
            short.and_then(value).unwrap_or(default)
        };
        let policy = Policy {
            max_utilisation: number(|p| p.rho_max, defaults.max_utilisation),
            min_derate: number(|p| p.profile_margin, defaults.min_derate),
            hpa_tolerance: number(|p| p.hpa_tolerance, defaults.hpa_tolerance),
            metric_lag: number(|p| p.metric_lag_s, defaults.metric_lag),
            base_share: number(|p| p.base_fraction, defaults.base_share),
            min_replicas: whole(number(|p| p.min_replicas, 1.0), "min_replicas")?,
            min_replicas_for_availability: whole(number(|p| p.ha_min, 2.0), "ha_min")?,
            surge: number(|p| p.surge, defaults.surge),
            memory_margin: number(|p| p.mem_margin, defaults.memory_margin),
            memory_step: number(|p| p.mem_round, defaults.memory_step),
            switch_gain: number(|p| p.switch_gain, defaults.switch_gain),
            qos: if short.and_then(|p| p.guaranteed).unwrap_or(false) {
                Qos::Guaranteed
            } else {
                Qos::Burstable
            },
            cpu_overhead: number(|p| p.cpu_overhead, defaults.cpu_overhead),
            // The prototype takes the measured shapes only.
            interpolate_sizes: false,
            ..defaults
        };
        Ok(Request {
            voices: Vec::new(),
            measurements,
            unreadable: Vec::new(),
            objectives: Objectives {
                ttfa_p95: case.slo.ttfa_p95,
                rtf_p95: case.slo.rtf_p95,
            },
            load: case.demand.load(number(|p| p.ramp_per_min, 0.2))?,
            classes: case
                .inventory
                .iter()
                .map(ShortNode::class)
                .collect::<Result<_, _>>()?,
            policy,
            quota: Quota::default(),
            current: case.current.as_ref().map(|current| Current {
                class: current.cls.clone(),
                ..Current::default()
            }),
        })
    }
}

impl Demand {
    fn load(&self, ramp_per_minute: f64) -> Result<Load, String> {
        let peak = match (self.streams, self.peak_rps) {
            (Some(count), _) => Peak::Listeners {
                count,
                duty: self.duty.unwrap_or(1.0),
            },
            (None, Some(rate)) => Peak::RequestsPerSecond(rate),
            (None, None) => return Err("demand: neither streams nor peak_rps".to_owned()),
        };
        Ok(Load {
            mean_audio: self.mean_audio_s,
            audio_cv: self.audio_cv,
            max_chunk_audio: self.max_chunk_audio_s,
            base_rps: self.base_rps,
            ramp_per_minute,
            ..Load::new(peak)
        })
    }
}

impl ShortNode {
    fn class(&self) -> Result<NodeClass, String> {
        let nodes = whole(self.count, "count")?;
        Ok(NodeClass {
            gpu_slots: whole(self.gpu_slots.floor(), "gpuSlots")?,
            price_per_hour: self.price,
            gpu_weight: self.gpu_weight.unwrap_or(8.0),
            ..NodeClass::new(&self.name, self.alloc_cpu, self.alloc_mem, nodes)
        })
    }
}

impl ShortProfile {
    /// One for each precision: the short form keeps a voice's variants in one profile.
    fn profiles(&self, id: &str) -> Result<Vec<Profile>, String> {
        let of = |config: &ShortConfig| {
            config
                .precision
                .clone()
                .unwrap_or_else(|| "fp32".to_owned())
        };
        let mut variants: Vec<(String, Vec<Config>)> = Vec::new();
        for config in &self.configs {
            let precision = of(config);
            let shape = config.config()?;
            match variants.iter_mut().find(|(known, _)| *known == precision) {
                Some((_, configs)) => configs.push(shape),
                None => variants.push((precision, vec![shape])),
            }
        }
        let named = |(position, (precision, configs))| {
            self.profile(format!("{id}-{position}"), precision, configs)
        };
        Ok(variants.into_iter().enumerate().map(named).collect())
    }

    fn profile(&self, id: String, precision: String, configs: Vec<Config>) -> Profile {
        let ep = if self.accel == "gpu" {
            ExecutionProvider::Cuda
        } else {
            ExecutionProvider::Cpu
        };
        let mut profile = samples::profile(&self.class, ep, configs);
        profile.id = id;
        profile.voice.variant.precision = precision;
        if self.degraded {
            profile.run.validity = Validity::Degraded;
        }
        profile.run.throughput_rel_ci = self.throughput_rel_ci;
        profile.run.noise_cv = self.noise_cv;
        profile.corpus.mean_audio = self.corpus.mean;
        profile.corpus.cv_audio = self.corpus.cv;
        profile.corpus.chunk_audio = self.corpus.chunk;
        profile.streaming = self.streaming;
        profile.cold_start = self.cold_start;
        profile
    }
}

impl ShortConfig {
    fn config(&self) -> Result<Config, String> {
        let mut levels = self
            .levels
            .iter()
            .map(ShortLevel::level)
            .collect::<Result<Vec<_>, _>>()?;
        levels.sort_by_key(|level| level.n);
        Ok(Config {
            cpu: self.cpu,
            threads: whole(self.threads, "threads")?,
            sessions: whole(self.sessions, "sessions")?,
            s0: self.s0,
            s1: self.s1,
            f0: self.f0,
            f1: self.f1,
            cpu_per_audio: self.cpu_per_audio,
            mem: self.mem,
            gpu_mem: None,
            energy: None,
            levels,
        })
    }
}

impl ShortLevel {
    fn level(&self) -> Result<Level, String> {
        Ok(Level {
            n: whole(self.n, "n")?,
            requests: 60,
            seconds: 20.0,
            audio_per_sec: self.audio_per_sec,
            s_p50: 0.0,
            s_p95: 0.0,
            rtf_p95: self.rtf_p95,
            ttfa_p95: self.ttfa_q.get(19).copied().unwrap_or_default(),
            throttled_periods: 0.0,
            ttfa_q: self.ttfa_q.clone(),
            service: None,
            stages: Vec::new(),
            gpu_utilisation: None,
        })
    }
}

fn whole(value: f64, field: &str) -> Result<u32, String> {
    if value.fract() != 0.0 || !(0.0..=f64::from(u32::MAX)).contains(&value) {
        return Err(format!("{field}: {value} is not a count"));
    }
    #[expect(
        clippy::cast_possible_truncation,
        clippy::cast_sign_loss,
        reason = "just checked"
    )]
    Ok(value as u32)
}
