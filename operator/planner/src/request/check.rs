//! The rules a request keeps.

use std::collections::BTreeSet;

use super::{Peak, Request};
use crate::profile::ProfileError;

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
    #[error("profile {id:?}: {source}")]
    Profile { id: String, source: ProfileError },
}

impl Request {
    /// Whether the rules hold; the first that does not is the error.
    pub fn check(&self) -> Result<(), RequestError> {
        self.check_objectives()?;
        self.check_policy()?;
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
            profile.check().map_err(|source| RequestError::Profile {
                id: profile.id.clone(),
                source,
            })?;
            let standing = measurement.standing();
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
        Ok(())
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
