//! What was measured so far: everything that a later run needs to go on.

use std::{fs, io, path::Path};

use serde::{Deserialize, Serialize};
use tts_planner::profile::details::{Anchor, MemoryPoint};

use super::{
    grid::Shape,
    protocol::{Codec, LevelSamples, Ready, Verified},
};
use crate::machine::gpu::{Sample, watch::Seen};

/// One level of one pass.
#[derive(Clone, Debug, Serialize, Deserialize)]
pub struct Measured {
    pub shape: Shape,
    pub n: u32,
    pub pass: u32,
    pub samples: LevelSamples,
}

/// All cores busy, in one pass.
#[derive(Clone, Debug, Serialize, Deserialize)]
pub struct MeasuredNode {
    pub threads: u32,
    pub workers: u32,
    pub pass: u32,
    pub requests: u32,
    pub audio_per_sec: f64,
}

/// Memory of one shape.
#[derive(Clone, Debug, Serialize, Deserialize)]
pub struct MeasuredMemory {
    pub shape: Shape,
    pub process_mib: f64,
    pub loaded_mib: f64,
    pub points: Vec<MemoryPoint>,
    /// Memory in use of the GPU, of all processes; empty where there is none, or it does not tell.
    #[serde(default)]
    pub gpu: Vec<MemoryPoint>,
}

/// What the GPU did in all levels, and while nothing was measured; all empty on a CPU.
#[derive(Clone, Debug, Default, Serialize, Deserialize)]
pub struct MeasuredGpu {
    /// MHz of the multiprocessors while busy.
    pub clocks: Vec<f64>,
    /// All clock event reasons while busy.
    pub events: Option<u64>,
    /// The most processes of others that computed at a time.
    pub others: Option<u32>,
    /// Share of the time in which it worked while nothing was measured, the most.
    pub idle_utilisation: Option<f64>,
    /// Memory in use while nothing was measured, the least (MiB).
    pub idle_mib: Option<f64>,
}

impl MeasuredGpu {
    /// Adds what was seen in a level.
    pub fn add(&mut self, seen: &Seen, others: Option<u32>) {
        self.clocks.extend(&seen.clocks);
        self.events = either(self.events, seen.events, |all, events| all | events);
        self.others = either(self.others, others, u32::max);
    }

    /// Adds what was seen while nothing was measured.
    pub fn add_idle(&mut self, sample: &Sample, others: Option<u32>) {
        self.idle_utilisation = either(self.idle_utilisation, sample.utilisation, f64::max);
        self.idle_mib = either(self.idle_mib, sample.memory_mib, f64::min);
        self.others = either(self.others, others, u32::max);
    }
}

/// Both as one, or the one that there is.
fn either<T>(known: Option<T>, new: Option<T>, both: impl FnOnce(T, T) -> T) -> Option<T> {
    match (known, new) {
        (Some(known), Some(new)) => Some(both(known, new)),
        (known, new) => known.or(new),
    }
}

/// Many requests in a row.
#[derive(Clone, Debug, Serialize, Deserialize)]
pub struct MeasuredSoak {
    pub requests: u32,
    pub seconds: f64,
    /// Resident memory after each block of requests (MiB).
    pub resident: Vec<f64>,
}

/// What happened on the machine while levels were measured, summed up.
#[derive(Clone, Copy, Debug, Default, Serialize, Deserialize)]
pub struct Surroundings {
    pub busy: f64,
    pub cpu: f64,
    pub own: f64,
    pub stolen: f64,
    /// Worst pressure while the profiler itself was idle (%).
    pub idle_pressure: f64,
    /// Watts while it was idle, and joules and audio-seconds while it measured.
    pub idle_watts: Option<f64>,
}

/// Energy of one level.
#[derive(Clone, Copy, Debug, Serialize, Deserialize)]
pub struct MeasuredEnergy {
    pub shape: Shape,
    pub joules: f64,
    pub seconds: f64,
    pub audio: f64,
}

/// Everything so far.
#[derive(Clone, Debug, Default, Serialize, Deserialize)]
pub struct Measurement {
    /// What it is a measurement of: another voice, server, machine, sweep or corpus cannot be mixed with it.
    pub identity: String,
    /// RFC 3339.
    pub started: String,
    /// Seconds of measuring, of all runs that went on with it.
    pub seconds: f64,
    /// One of the first process that was ready.
    pub ready: Option<Ready>,
    pub verified: Vec<Verified>,
    pub levels: Vec<Measured>,
    /// The sweep of lengths, of one core and one thread.
    pub lengths: Vec<LevelSamples>,
    pub nodes: Vec<MeasuredNode>,
    pub memory: Vec<MeasuredMemory>,
    pub anchors: Vec<Anchor>,
    pub cold_starts: Vec<f64>,
    pub codecs: Vec<Codec>,
    pub soak: Option<MeasuredSoak>,
    /// MHz while busy.
    pub clocks: Vec<f64>,
    #[serde(default)]
    pub gpu: MeasuredGpu,
    pub energy: Vec<MeasuredEnergy>,
    /// GFLOP/s and GB/s of one thread.
    pub calibration: Vec<(f64, f64)>,
    pub surroundings: Surroundings,
}

/// Why a saved measurement cannot be used.
#[derive(Debug, thiserror::Error)]
pub enum StateError {
    #[error("cannot read {path}: {error}")]
    Read { path: String, error: io::Error },
    #[error(
        "{path} is no measurement that this version can go on with: {error}; start anew without --resume"
    )]
    Format {
        path: String,
        error: serde_json::Error,
    },
    #[error("{path} was measured with {found}, this is {wanted}: start anew without --resume")]
    Other {
        path: String,
        found: String,
        wanted: String,
    },
    #[error("cannot write {path}: {error}")]
    Write { path: String, error: io::Error },
}

impl Measurement {
    /// What an earlier run left; it must be of the same `identity`.
    ///
    /// # Errors
    /// When the file cannot be read, or is a measurement of something else.
    pub fn load(path: &Path, identity: &str) -> Result<Self, StateError> {
        let name = || path.display().to_string();
        let text = fs::read_to_string(path).map_err(|error| StateError::Read {
            path: name(),
            error,
        })?;
        let measurement: Self =
            serde_json::from_str(&text).map_err(|error| StateError::Format {
                path: name(),
                error,
            })?;
        if measurement.identity == identity {
            Ok(measurement)
        } else {
            Err(StateError::Other {
                path: name(),
                found: measurement.identity,
                wanted: identity.to_owned(),
            })
        }
    }

    /// Writes it as a whole or not at all.
    ///
    /// # Errors
    /// When the file cannot be written.
    pub fn save(&self, path: &Path) -> Result<(), StateError> {
        let failed = |error| StateError::Write {
            path: path.display().to_string(),
            error,
        };
        let text = serde_json::to_vec(self).map_err(|error| failed(error.into()))?;
        // Beside it, and under a name that no other measurement in the folder has.
        let mut new = path.as_os_str().to_owned();
        new.push(".new");
        fs::write(&new, text)
            .and_then(|()| fs::rename(&new, path))
            .map_err(failed)
    }

    /// The passes of one level, in order.
    pub fn passes(&self, shape: Shape, n: u32) -> Vec<&Measured> {
        let mut passes: Vec<&Measured> = self
            .levels
            .iter()
            .filter(|level| level.shape == shape && level.n == n)
            .collect();
        passes.sort_by_key(|level| level.pass);
        passes
    }

    pub fn has(&self, shape: Shape, n: u32, pass: u32) -> bool {
        self.passes(shape, n).iter().any(|level| level.pass == pass)
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn what_a_gpu_did_is_summed_up() {
        let mut gpu = MeasuredGpu::default();
        let idle = |utilisation, memory| Sample {
            utilisation: Some(utilisation),
            memory_mib: Some(memory),
            ..Sample::default()
        };
        gpu.add_idle(&idle(0.0, 500.0), Some(0));
        gpu.add_idle(&idle(0.2, 450.0), None);
        let seen = |clock, events| Seen {
            clocks: vec![clock],
            events,
            ..Seen::default()
        };
        gpu.add(&seen(1800.0, Some(0x4)), Some(2));
        gpu.add(&seen(1700.0, None), Some(1));
        gpu.add(&seen(1600.0, Some(0x20)), None);
        assert_eq!(gpu.clocks, [1800.0, 1700.0, 1600.0]);
        assert_eq!((gpu.events, gpu.others), (Some(0x24), Some(2)));
        assert_eq!(gpu.idle_utilisation, Some(0.2));
        assert_eq!(gpu.idle_mib, Some(450.0));
    }

    #[test]
    fn a_measurement_goes_on_only_with_itself() {
        let folder = tempfile::tempdir().unwrap();
        let path = folder.path().join("state.json");
        let measurement = Measurement {
            identity: "one".to_owned(),
            cold_starts: vec![0.5],
            ..Measurement::default()
        };
        measurement.save(&path).unwrap();
        assert_eq!(Measurement::load(&path, "one").unwrap().cold_starts, [0.5]);
        let other = folder.path().join("state.new");
        fs::write(&other, "other").unwrap();
        measurement.save(&path).unwrap();
        assert_eq!(fs::read_to_string(other).unwrap(), "other");
        let error = Measurement::load(&path, "two").unwrap_err().to_string();
        assert!(
            error.contains("was measured with one, this is two"),
            "{error}"
        );
        fs::write(&path, "{").unwrap();
        assert!(matches!(
            Measurement::load(&path, "one"),
            Err(StateError::Format { .. })
        ));
        let missing = folder.path().join("missing");
        assert!(matches!(
            Measurement::load(&missing, "one"),
            Err(StateError::Read { .. })
        ));
        assert!(matches!(
            measurement.save(&missing.join("x")),
            Err(StateError::Write { .. })
        ));
    }
}
