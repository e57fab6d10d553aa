//! The rules a request keeps.

use std::collections::BTreeSet;

use super::{Peak, Request};

/// The most voices that one deployment serves.
const MAX_VOICES: usize = 32;

/// What is wrong with a request. Every variant names the field.
#[derive(Clone, Debug, PartialEq, thiserror::Error)]
pub enum RequestError {
    #[error("{field}: not a finite number")]
    NotFinite { field: String },
    #[error("{field}: {value} is not between {min} and {max}")]
    OutOfRange {
        field: String,
        value: f64,
        min: f64,
        max: f64,
    },
    #[error("{field}: {value} is more than {other} ({limit}); {help}")]
    Above {
        field: &'static str,
        value: f64,
        other: &'static str,
        limit: f64,
        help: &'static str,
    },
    #[error("classes: two are named {name:?}; a name stands for one kind of node")]
    DuplicateClass { name: String },
    #[error("measurements: two profiles have the id {id:?}; give each measurement its own")]
    DuplicateProfile { id: String },
    #[error(
        "voices: {count} voices, at most {limit} are served together; make several deployments"
    )]
    TooManyVoices { count: usize, limit: usize },
    #[error("voices: two are named {name:?}; add their weights")]
    DuplicateVoice { name: String },
}

impl Request {
    /// Whether the rules hold; the first that does not is the error.
    pub fn check(&self) -> Result<(), RequestError> {
        self.check_objectives()?;
        self.check_policy()?;
        self.check_voices()?;
        let mut names = BTreeSet::new();
        for class in &self.classes {
            let field = |name: &str| format!("classes[{:?}].{name}", class.name);
            within(&field("allocatableCpu"), class.allocatable_cpu, 0.0, 1e6)?;
            within(
                &field("allocatableMemory"),
                class.allocatable_memory,
                0.0,
                1e12,
            )?;
            within(&field("gpuWeight"), class.gpu_weight, 0.0, 1e6)?;
            within(&field("provisioning"), class.provisioning, 0.0, 1e6)?;
            within(&field("podsPerGpu"), class.pods_per_gpu.into(), 1.0, 1e3)?;
            within(&field("promised.cpu"), class.promised.cpu, 0.0, 1e12)?;
            within(&field("promised.memory"), class.promised.memory, 0.0, 1e15)?;
            within(
                &field("pricePerHour"),
                class.price_per_hour.unwrap_or(0.0),
                0.0,
                1e9,
            )?;
            if !names.insert(class.name.as_str()) {
                return Err(RequestError::DuplicateClass {
                    name: class.name.clone(),
                });
            }
        }
        let mut ids = BTreeSet::new();
        for measurement in &self.measurements {
            let profile = &measurement.profile;
            // A profile that breaks a rule is rejected, the others count.
            if profile.check().is_err() {
                continue;
            }
            let standing = measurement.standing();
            within(
                &format!("measurements[{:?}].oomKilledAt", profile.id),
                measurement.oom_killed_at.unwrap_or(0.0),
                0.0,
                1e12,
            )?;
            within(
                &format!("measurements[{:?}].standing.derate", profile.id),
                standing.derate,
                0.0,
                0.95,
            )?;
            within(
                &format!("measurements[{:?}].standing.correction", profile.id),
                standing.correction,
                0.0,
                1e6,
            )?;
            if !ids.insert(profile.id.as_str()) {
                return Err(RequestError::DuplicateProfile {
                    id: profile.id.clone(),
                });
            }
        }
        Ok(())
    }

    fn check_voices(&self) -> Result<(), RequestError> {
        let mut names = BTreeSet::new();
        for voice in &self.voices {
            let field = format!("voices[{:?}].weight", voice.name);
            within(&field, voice.weight, 1e-6, 1e6)?;
            if !names.insert(voice.name.as_str()) {
                return Err(RequestError::DuplicateVoice {
                    name: voice.name.clone(),
                });
            }
        }
        if names.is_empty() {
            let measured = self.measurements.iter();
            names.extend(measured.map(|measurement| measurement.profile.voice.name.as_str()));
        }
        if names.len() > MAX_VOICES {
            return Err(RequestError::TooManyVoices {
                count: names.len(),
                limit: MAX_VOICES,
            });
        }
        Ok(())
    }

    fn check_objectives(&self) -> Result<(), RequestError> {
        within("objectives.ttfaP95", self.objectives.ttfa_p95, 1e-6, 1e6)?;
        within("objectives.rtfP95", self.objectives.rtf_p95, 1e-6, 1e6)?;
        let load = &self.load;
        within("load.meanAudio", load.mean_audio, 1e-3, 1e6)?;
        within("load.audioCv", load.audio_cv, 0.0, 100.0)?;
        within("load.maxChunkAudio", load.max_chunk_audio, 1e-3, 1e6)?;
        within("load.baseRps", load.base_rps.unwrap_or(0.0), 0.0, 1e9)?;
        // A share: whoever writes 20 means percent.
        within("load.rampPerMinute", load.ramp_per_minute, 0.0, 10.0)?;
        within("load.burstiness", load.burstiness, 0.0, 1e3)?;
        match load.peak {
            Peak::RequestsPerSecond(rate) => {
                within("load.peak.requestsPerSecond", rate, 1e-9, 1e9)?;
            }
            Peak::Listeners { count, duty } => {
                within("load.peak.listeners.count", count, 1e-9, 1e9)?;
                within("load.peak.listeners.duty", duty, 1e-9, 1.0)?;
            }
        }
        let peak = load.peak_rps();
        match load.base_rps {
            Some(base) if base > peak => Err(RequestError::Above {
                field: "load.baseRps",
                value: base,
                other: "load.peak",
                limit: peak,
                help: "the peak is the most that is asked for",
            }),
            _ => Ok(()),
        }
    }

    fn check_policy(&self) -> Result<(), RequestError> {
        let policy = &self.policy;
        within("policy.maxUtilisation", policy.max_utilisation, 0.01, 0.999)?;
        within("policy.minDerate", policy.min_derate, 0.0, 0.95)?;
        within("policy.hpaTolerance", policy.hpa_tolerance, 0.0, 10.0)?;
        within("policy.metricLag", policy.metric_lag, 0.0, 1e5)?;
        within("policy.baseShare", policy.base_share, 0.0, 1.0)?;
        within("policy.surge", policy.surge, 0.0, 100.0)?;
        within("policy.memoryMargin", policy.memory_margin, 0.0, 10.0)?;
        within("policy.memoryStep", policy.memory_step, 1.0, 1e6)?;
        within("policy.switchGain", policy.switch_gain, 0.0, 0.99)?;
        within("policy.cpuOverhead", policy.cpu_overhead, 0.0, 100.0)?;
        within(
            "policy.maxCpuPerPod",
            policy.max_cpu_per_pod.unwrap_or(1.0),
            0.0,
            1e6,
        )?;
        within(
            "policy.maxMemoryPerPod",
            policy.max_memory_per_pod.unwrap_or(1.0),
            0.0,
            1e12,
        )?;
        within("policy.minCpuPerPod", policy.min_cpu_per_pod, 0.0, 1e6)?;
        within(
            "policy.minMemoryPerPod",
            policy.min_memory_per_pod,
            0.0,
            1e12,
        )?;
        within("quota.cpu", self.quota.cpu.unwrap_or(0.0), 0.0, 1e12)?;
        within("quota.memory", self.quota.memory.unwrap_or(0.0), 0.0, 1e15)?;
        match policy.max_replicas {
            Some(most) if policy.min_replicas > most => Err(RequestError::Above {
                field: "policy.minReplicas",
                value: policy.min_replicas.into(),
                other: "policy.maxReplicas",
                limit: most.into(),
                help: "raise the maximum or lower the minimum",
            }),
            _ => Ok(()),
        }
    }
}

fn within(field: &str, value: f64, min: f64, max: f64) -> Result<(), RequestError> {
    if !value.is_finite() {
        return Err(RequestError::NotFinite {
            field: field.to_owned(),
        });
    }
    if !(min..=max).contains(&value) {
        return Err(RequestError::OutOfRange {
            field: field.to_owned(),
            value,
            min,
            max,
        });
    }
    Ok(())
}
