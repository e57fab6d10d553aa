//! What the profiler measured beyond what a plan needs: the `report` block of a profile.
//!
//! Read leniently: a field that is missing is empty, an unknown one is ignored. A later profiler may
//! write more without a new file format.

use serde::{Deserialize, Serialize};

use super::Profile;

/// The `report` block.
#[derive(Clone, Debug, Default, PartialEq, Serialize, Deserialize)]
#[serde(rename_all = "camelCase", default)]
pub struct Details {
    /// `quick` or `full`.
    pub sweep: String,
    /// The node that was measured; empty outside a cluster.
    pub node: String,
    /// Cores that the measuring process could use, and how they were given to it.
    pub cores: Cores,
    /// The stage that takes most of a request's time at the busiest level.
    pub bottleneck: Option<Bottleneck>,
    /// Service time against length, one request at a time.
    pub lengths: Vec<Length>,
    /// Peak memory against the audio in flight.
    pub memory: Vec<MemoryPoint>,
    /// One request of one text at a time, between the passes: whether the machine kept its speed.
    pub anchors: Vec<Anchor>,
    /// Each level in each pass.
    pub passes: Vec<Pass>,
    /// Single requests of the smallest shape of whole cores, one at a time: what later measurements
    /// are compared with.
    pub samples: Vec<Request>,
    /// Start of the process to ready, one entry per start (s).
    pub cold_starts: Vec<f64>,
    pub soak: Option<Soak>,
    /// One thread running a fixed matrix product (GFLOP/s), before and after.
    pub calibration: Vec<f64>,
    /// What was not measured, and why.
    pub absent: Vec<String>,
    /// Remarks that change no verdict.
    pub notes: Vec<String>,
}

/// Where the cores came from.
#[derive(Clone, Debug, Default, PartialEq, Serialize, Deserialize)]
#[serde(rename_all = "camelCase", default)]
pub struct Cores {
    /// Cores of the node that pods can have, as the operator said, or those that the process may use.
    pub allocatable: f64,
    /// Cores that were requested for the measurement; null outside a cluster.
    pub requested: Option<f64>,
    /// The CPU limit of the process's container; null without one.
    pub limit: Option<f64>,
    /// Numbers of the CPUs, in the order in which they were filled.
    pub cpus: Vec<usize>,
}

/// Where the time of a request goes.
#[derive(Clone, Debug, Default, PartialEq, Serialize, Deserialize)]
#[serde(rename_all = "camelCase", default)]
pub struct Bottleneck {
    pub stage: String,
    pub share: f64,
    /// At which level: cores, threads per request, requests in service.
    pub cpu: f64,
    pub threads: u32,
    pub n: u32,
}

/// One length of text, one request at a time.
#[derive(Clone, Copy, Debug, Default, PartialEq, Serialize, Deserialize)]
#[serde(rename_all = "camelCase", default)]
pub struct Length {
    pub cpu: f64,
    pub threads: u32,
    /// Of the whole answer, and of its first chunk (audio-seconds).
    pub audio_s: f64,
    pub chunk_audio_s: f64,
    pub requests: u32,
    /// Medians (s).
    pub service_s: f64,
    pub first_audio_s: f64,
}

/// Peak memory with this much audio in flight.
#[derive(Clone, Copy, Debug, Default, PartialEq, Serialize, Deserialize)]
#[serde(rename_all = "camelCase", default)]
pub struct MemoryPoint {
    pub cpu: f64,
    pub threads: u32,
    pub n: u32,
    pub inflight_audio_s: f64,
    #[serde(rename = "mib")]
    pub mib: f64,
}

/// The machine's speed at one moment.
#[derive(Clone, Copy, Debug, Default, PartialEq, Serialize, Deserialize)]
#[serde(rename_all = "camelCase", default)]
pub struct Anchor {
    /// Since the beginning (s).
    pub at_s: f64,
    pub requests: u32,
    /// Of the service time (s), and its coefficient of variation.
    pub median_s: f64,
    pub cv: f64,
}

/// One level in one pass.
#[derive(Clone, Copy, Debug, Default, PartialEq, Serialize, Deserialize)]
#[serde(rename_all = "camelCase", default)]
pub struct Pass {
    pub cpu: f64,
    pub threads: u32,
    pub n: u32,
    pub pass: u32,
    pub requests: u32,
    pub audio_per_sec: f64,
    /// Median time to first audio (s).
    pub first_audio_s: f64,
    /// Cores that the process used.
    pub cores_used: f64,
}

/// One request (s).
#[derive(Clone, Copy, Debug, Default, PartialEq, Serialize, Deserialize)]
#[serde(rename_all = "camelCase", default)]
pub struct Request {
    /// Which of the corpus's texts.
    pub text: u32,
    pub service_s: f64,
    pub first_audio_s: f64,
}

/// Many requests in a row: whether memory grows.
#[derive(Clone, Debug, Default, PartialEq, Serialize, Deserialize)]
#[serde(rename_all = "camelCase", default)]
pub struct Soak {
    pub requests: u32,
    pub seconds: f64,
    /// MiB at the beginning (after the longest texts) and at the end.
    pub first_mib: f64,
    pub last_mib: f64,
    /// Whether it is a leak by the detector's rules, and the growth that it found (MiB per 100,000
    /// requests).
    pub leak: bool,
    pub growth_mib: f64,
}

impl Details {
    /// The details of a profile; empty ones if its `report` block was written by something else.
    pub fn of(profile: &Profile) -> Self {
        let block = serde_json::Value::Object(profile.report.clone());
        serde_json::from_value(block).unwrap_or_default()
    }

    /// As a `report` block.
    pub fn to_block(&self) -> serde_json::Map<String, serde_json::Value> {
        match serde_json::to_value(self) {
            Ok(serde_json::Value::Object(block)) => block,
            Ok(_) | Err(_) => serde_json::Map::new(),
        }
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn details_survive_the_block() {
        let details = Details {
            sweep: "quick".to_owned(),
            cold_starts: vec![0.25],
            soak: Some(Soak {
                requests: 300,
                ..Soak::default()
            }),
            ..Details::default()
        };
        let value = serde_json::Value::Object(details.to_block());
        assert_eq!(serde_json::from_value::<Details>(value).unwrap(), details);
        assert!(details.to_block().contains_key("coldStarts"));
    }
}
