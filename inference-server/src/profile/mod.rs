//! `tts-server profile`: measures a voice on this machine and writes what a plan is made from.
//!
//! The profiler starts a process per pod shape, with engine, scheduler and workers as `serve` runs them
//! ([`subject`]), bound to the shape's CPUs, and tells it what to measure ([`protocol`], [`process`]). It goes over all
//! levels of the [`grid`] in passes of different order ([`measure`]), keeps what it has in a file that a later run goes on
//! with ([`state`]), and writes a profile ([`summary`], [`output`]).

mod accelerator;
pub mod agreement;
mod context;
pub mod corpus;
mod details;
pub mod external;
pub mod grid;
pub mod measure;
mod numbers;
pub mod output;
pub mod pairs;
mod passes;
pub mod process;
mod progress;
pub mod protocol;
mod selection;
pub mod state;
pub mod subject;
pub mod summary;
pub mod verdict;

use std::{
    path::{Path, PathBuf},
    sync::{Arc, atomic::AtomicBool},
};

use tts_planner::{Profile, profile::details::Cores};

use crate::{
    engine::{CpuSet, Device},
    fetch::FetchedFile,
    inspect::{self, Download, InspectError},
    machine::{
        Machine,
        fingerprint::Identity,
        gpu::{self, Gpu, GpuError, sharing::Environment},
    },
    voices::{Voice, VoiceLocation},
};
use corpus::{Corpus, CorpusError};
use grid::{Grid, Sweep};
use measure::{MeasureError, Measuring, Subject};
use state::{Measurement, StateError};

/// Texts of the sweep of lengths.
const QUICK_LENGTHS: usize = 5;
const FULL_LENGTHS: usize = 12;
/// A pod of more cores than this needs a limit of its own to be one of a part of a core.
const WHOLE_CORE: f64 = 1.0;

/// What is measured, and how.
#[derive(Clone, Debug)]
pub struct Options {
    /// As for `inspect`.
    pub voice: String,
    /// Of the voice, in the profile; `None`: from `voice`.
    pub name: Option<String>,
    pub class: String,
    pub image: String,
    /// Of this node in its cluster.
    pub node: String,
    pub sweep: Sweep,
    /// How long a level is measured per pass, at least (s); `None`: as the sweep has it.
    pub level_seconds: Option<f64>,
    pub corpus: Option<PathBuf>,
    pub max_audio_seconds: u32,
    pub device: Device,
    /// Cores that pods can have on this node; `None`: all that this process may use.
    pub allocatable: Option<f64>,
    /// Cores that were requested for the measurement.
    pub requested: Option<f64>,
    pub co_tenants: u32,
    /// Measure only a pod of this container's CPU limit, which is below one core.
    pub only_limit: bool,
    pub resume: Option<PathBuf>,
    pub save: Option<PathBuf>,
}

/// Why there is no profile.
#[derive(Debug, thiserror::Error)]
pub enum ProfileError {
    #[error(transparent)]
    Voice(#[from] InspectError),
    #[error(transparent)]
    Corpus(#[from] CorpusError),
    #[error(transparent)]
    State(#[from] StateError),
    #[error(transparent)]
    Measure(#[from] MeasureError),
    #[error("the kernel does not tell which CPUs this process may use: {0}")]
    Cpus(std::io::Error),
    #[error("cannot find this program: {0}")]
    Program(std::io::Error),
    #[error(transparent)]
    Gpu(#[from] GpuError),
    #[error("a part of a core is measured without a GPU only: use --device cpu")]
    PartWithGpu,
    #[error(
        "this container's CPU limit is {found}, but a pod shape below one core was to be measured: run it in a container with a CPU limit of 250m or 500m"
    )]
    Limit { found: String },
    #[error(
        "{cores} cores are too few for one request: at least 1 is needed, or --only-limit in a container with a CPU limit"
    )]
    TooFewCores { cores: f64 },
    #[error(transparent)]
    Output(#[from] output::OutputError),
    #[error("the measurement is no valid profile: {0}; nothing was written")]
    Check(#[from] tts_planner::ProfileError),
}

impl ProfileError {
    /// The reason, as conditions name it.
    pub fn reason(&self) -> &'static str {
        match self {
            Self::Voice(error) => error.reason().into(),
            Self::Corpus(_) => "InvalidCorpus",
            Self::Measure(error) if error.is_of_device() => "UnsuitableNode",
            Self::Measure(_) => "NotMeasured",
            Self::Output(_) => "NotWritten",
            Self::Check(_) => "InvalidProfile",
            Self::State(_) => "InvalidState",
            Self::Gpu(_) | Self::PartWithGpu | Self::Limit { .. } | Self::TooFewCores { .. } => {
                "UnsuitableNode"
            }
            Self::Cpus(_) | Self::Program(_) => "Failed",
        }
    }
}

/// A voice that was found, on a machine that was looked at.
pub struct Profiler {
    options: Options,
    machine: Machine,
    gpu: Option<Gpu>,
    identity: Identity,
    subject: Subject,
    corpus: Corpus,
    cores: Cores,
    grid: Grid,
    model_digest: String,
    config_digest: String,
}

impl Profiler {
    /// Finds the voice and looks at the machine; measures nothing yet.
    ///
    /// # Errors
    /// When something that was asked for is missing or wrong.
    pub async fn prepare(options: Options, download: Download<'_>) -> Result<Self, ProfileError> {
        let lengths = match options.sweep {
            Sweep::Quick => QUICK_LENGTHS,
            Sweep::Full => FULL_LENGTHS,
        };
        let corpus = match &options.corpus {
            Some(path) => Corpus::read(path)?,
            None => Corpus::standard(lengths, options.max_audio_seconds),
        };
        let gpu = match options.device {
            Device::Cpu => None,
            Device::Cuda { .. } if options.only_limit => return Err(ProfileError::PartWithGpu),
            Device::Cuda { index } => {
                let index = u32::try_from(index).unwrap_or(0);
                let environment = Environment::of_process();
                Some(Gpu::open(gpu::LIBRARY.as_ref(), index, &environment)?)
            }
        };
        let (location, files) = inspect::locate(&options.voice, download).await?;
        let machine = Machine::default();
        let allowed = CpuSet::of_this_thread().map_err(ProfileError::Cpus)?;
        let cpus = machine.siblings_first(allowed.cpus());
        let limit = machine.cpu_limit();
        let cores = cores(&options, &cpus, limit);
        let grid = if options.only_limit {
            match limit {
                Some(limit) if limit < WHOLE_CORE => Grid::of_limit(limit),
                other => {
                    let found = other.map_or_else(|| "none".to_owned(), |limit| limit.to_string());
                    return Err(ProfileError::Limit { found });
                }
            }
        } else {
            let usable = usable(&cores, cpus.len());
            if usable < WHOLE_CORE {
                return Err(ProfileError::TooFewCores { cores: usable });
            }
            if gpu.is_some() {
                Grid::of_gpu(options.sweep, usable)
            } else {
                Grid::new(options.sweep, usable)
            }
        };
        corpus.check(&Voice::read("voice", &location).map_err(InspectError::from)?)?;
        let identity = machine.identity(cpus.first().copied().unwrap_or(0));
        let subject = Subject {
            program: std::env::current_exe().map_err(ProfileError::Program)?,
            voice: options
                .name
                .clone()
                .unwrap_or_else(|| name_of(&options.voice, &location)),
            location: location.to_string(),
            // The process sees one GPU.
            device: match gpu {
                Some(_) => Device::Cuda { index: 0 },
                None => Device::Cpu,
            }
            .to_string(),
            gpu: gpu.as_ref().map(|gpu| gpu.facts().uuid.clone()),
            cpus,
        };
        let digest = |config: bool| {
            let is_config = |file: &&FetchedFile| {
                (Path::new(&file.path).extension() == Some("json".as_ref())) == config
            };
            let file = files.iter().find(is_config);
            file.map_or_else(String::new, |file| format!("sha256:{}", file.sha256))
        };
        Ok(Self {
            model_digest: digest(false),
            config_digest: digest(true),
            options,
            machine,
            gpu,
            identity,
            subject,
            corpus,
            cores,
            grid,
        })
    }

    /// The machine, for records.
    pub fn machine_name(&self) -> String {
        let gpu = self
            .gpu
            .as_ref()
            .map_or_else(String::new, |gpu| format!(", {}", gpu_name(gpu.facts())));
        format!("{} {}{gpu}", self.identity.arch, self.identity.cpu_model)
    }

    /// What it measures, and with which texts.
    pub fn subject(&self) -> (&Subject, &Corpus) {
        (&self.subject, &self.corpus)
    }

    /// What a saved measurement has to be one of, to be gone on with.
    fn key(&self) -> String {
        let gpu = self.gpu.as_ref().map_or_else(String::new, |gpu| {
            format!(" with {}", gpu_name(gpu.facts()))
        });
        format!(
            "voice {} {} {}, tts-server {}, {} of {} CPUs of {}{gpu}, sweep {} with levels of {}, corpus {} up to {} s",
            self.subject.voice,
            self.model_digest,
            self.config_digest,
            env!("CARGO_PKG_VERSION"),
            self.cores.allocatable,
            self.subject.cpus.len(),
            self.identity.cpu_model,
            self.options.sweep,
            self.options.level_seconds.map_or_else(
                || "the usual length".to_owned(),
                |seconds| format!("{seconds} s")
            ),
            self.corpus.id,
            self.options.max_audio_seconds
        )
    }

    /// Measures until done or `stop` is set.
    ///
    /// # Errors
    /// When it cannot be measured; what was measured is in the file of `save`, if there is one.
    pub fn measure(&self, stop: &Arc<AtomicBool>) -> Result<Measurement, ProfileError> {
        let measurement = match &self.options.resume {
            Some(path) => Measurement::load(path, &self.key())?,
            None => Measurement {
                identity: self.key(),
                started: now(),
                ..Measurement::default()
            },
        };
        let mut measuring = Measuring {
            subject: &self.subject,
            machine: &self.machine,
            gpu: self.gpu.as_ref(),
            grid: &self.grid,
            sweep: self.options.sweep,
            level_seconds: self.options.level_seconds,
            corpus: &self.corpus,
            save: self
                .options
                .save
                .clone()
                .or_else(|| self.options.resume.clone()),
            stop: Arc::clone(stop),
            measurement,
        };
        measuring.run()?;
        Ok(measuring.measurement)
    }

    /// The profile of a whole measurement.
    ///
    /// # Errors
    /// When the measurement breaks a rule of profiles.
    pub fn profile(&self, measurement: &Measurement) -> Result<Profile, ProfileError> {
        let context = context::Context {
            voice: &self.subject.voice,
            model_digest: self.model_digest.clone(),
            config_digest: self.config_digest.clone(),
            image: self.options.image.clone(),
            class: self.options.class.clone(),
            identity: self.identity.clone(),
            threads_per_core: self.machine.threads_per_core(self.subject.cpus[0]),
            gpu: self
                .gpu
                .as_ref()
                .map(|gpu| (gpu.facts().clone(), gpu.hints())),
            sweep: self.options.sweep.to_string(),
            node: self.options.node.clone(),
            corpus_id: self.corpus.id.clone(),
            load_texts: &self.corpus.load,
            cores: self.cores.clone(),
            grid: &self.grid,
            co_tenants: self.options.co_tenants,
            notes: self.notes(measurement),
        };
        let profile = summary::profile(measurement, &context);
        profile.check()?;
        Ok(profile)
    }

    fn notes(&self, measurement: &Measurement) -> Vec<String> {
        let mut notes = Vec::new();
        let got = crate::statistics::float(self.subject.cpus.len());
        if let Some(requested) = self
            .cores
            .requested
            .filter(|requested| *requested < usable(&self.cores, self.subject.cpus.len()))
        {
            notes.push(format!(
                "requested {requested} cores, measured with {}: they were free as far as others left them",
                usable(&self.cores, self.subject.cpus.len())
            ));
        }
        if self.cores.allocatable > got {
            notes.push(format!(
                "the node has {} cores for pods, this process may use {got}",
                self.cores.allocatable
            ));
        }
        let counts_energy = measurement.surroundings.idle_watts.is_some();
        if self.gpu.is_some() && counts_energy && self.machine.energy().is_none() {
            notes.push(
                "energy is the GPU's alone: the processors have no counter that may be read"
                    .to_owned(),
            );
        }
        let language = measurement
            .ready
            .as_ref()
            .and_then(|ready| ready.language.clone());
        if let Some(language) = language.filter(|language| !language.starts_with("en"))
            && self.options.corpus.is_none()
        {
            notes.push(format!(
                "the voice speaks {language}, the built-in texts are English: measure with --corpus and texts of the language"
            ));
        }
        notes
    }
}

/// Product and MIG profile.
fn gpu_name(facts: &gpu::Facts) -> String {
    let mig = facts.mig.as_ref().map(|mig| format!(" MIG {mig}"));
    format!("{}{}", facts.product, mig.unwrap_or_default())
}

/// The cores that there are for pods on this node.
fn cores(options: &Options, cpus: &[usize], limit: Option<f64>) -> Cores {
    Cores {
        allocatable: options
            .allocatable
            .unwrap_or_else(|| crate::statistics::float(cpus.len())),
        requested: options.requested,
        limit,
        cpus: cpus.to_vec(),
    }
}

/// The cores that can be measured with: allocatable, allowed, and not above the container's own limit.
fn usable(cores: &Cores, allowed: usize) -> f64 {
    let allowed = crate::statistics::float(allowed);
    let least = cores.allocatable.min(allowed);
    cores.limit.map_or(least, |limit| least.min(limit))
}

/// The name of a voice that was given none: that of its source.
fn name_of(voice: &str, location: &VoiceLocation) -> String {
    let text = |name: &std::ffi::OsStr| name.to_string_lossy().into_owned();
    match (location, voice.split_once('=')) {
        (VoiceLocation::Builtin(name), None) => Some(name.clone()),
        (_, Some((name, _))) => Some(name.to_owned()),
        (VoiceLocation::Folder(path), None) => path.file_name().map(text),
        (VoiceLocation::Model(path), None) => path.file_stem().map(text),
    }
    .filter(|name| !name.is_empty())
    .unwrap_or_else(|| "voice".to_owned())
}

/// The time to whole seconds, as RFC 3339.
fn now() -> String {
    let now = jiff::Timestamp::now();
    now.round(jiff::Unit::Second).unwrap_or(now).to_string()
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn voices_have_names() {
        let name = |voice: &str, location: &str| name_of(voice, &VoiceLocation::parse(location));
        assert_eq!(name("builtin:rms", "builtin:rms"), "rms");
        assert_eq!(
            name("amy={\"builtin\":{\"name\":\"rms\"}}", "builtin:rms"),
            "amy"
        );
        assert_eq!(name("/voices/amy.onnx", "/voices/amy.onnx"), "amy");
        assert_eq!(name("/voices/amy-1.2", "/voices/amy-1.2"), "amy-1.2");
        assert_eq!(name("/", "/"), "voice");
    }

    #[test]
    fn the_least_of_what_there_is_can_be_measured() {
        let cores = |allocatable, limit| Cores {
            allocatable,
            limit,
            ..Cores::default()
        };
        assert!((usable(&cores(3.92, None), 4) - 3.92).abs() < 1e-9);
        assert!((usable(&cores(8.0, None), 4) - 4.0).abs() < 1e-9);
        assert!((usable(&cores(8.0, Some(2.0)), 4) - 2.0).abs() < 1e-9);
    }
}
