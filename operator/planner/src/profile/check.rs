//! The rules a profile keeps: what the rest of the crate relies on without looking again.

use std::collections::BTreeSet;

use super::{Accelerator, Config, Level, Profile, QUANTILES, SCHEMA};

/// The most requests in service that a level may have: far above any pod, and a bound on the
/// planner's work.
pub const MAX_CONCURRENCY: u32 = 256;
/// The most pod shapes a profile may have.
pub const MAX_CONFIGS: usize = 256;
/// No quantity of a profile comes near this; beyond it, arithmetic would lose its meaning.
const LARGEST: f64 = 1e9;
/// A rate or a speed below this is no speed.
const SMALLEST: f64 = 1e-9;
/// Chunks of a text, on average.
const MAX_CHUNKS: f64 = 1e4;

/// What is wrong with a profile. Every variant but the syntax error names the field by its path in
/// the file.
#[derive(Clone, Debug, PartialEq, thiserror::Error)]
pub enum ProfileError {
    #[error("{field}: not JSON: {message}")]
    Syntax { field: String, message: String },
    #[error(
        "schema: {found:?} is unknown; this version reads {SCHEMA:?}: measure again, or use a newer planner"
    )]
    UnknownSchema { found: String },
    #[error("{field}: missing")]
    Missing { field: String },
    #[error("{field}: no such field in {SCHEMA}; check its spelling")]
    UnknownField { field: String },
    #[error("{field}: {message}")]
    WrongType { field: String, message: String },
    #[error("{field}: not a finite number")]
    NotFinite { field: String },
    #[error("{field}: {value} is negative")]
    Negative { field: String, value: f64 },
    #[error("{field}: {value} must be above zero")]
    NotPositive { field: String, value: f64 },
    #[error("{field}: {value} is above {limit}, the largest this planner takes")]
    TooLarge {
        field: String,
        value: f64,
        limit: f64,
    },
    #[error("{field}: empty")]
    Empty { field: String },
    #[error("{field}: {found} entries, at most {limit} are read")]
    TooMany {
        field: String,
        found: usize,
        limit: usize,
    },
    #[error("{field}: n={found} comes first, but the level n=1 is needed; measure it")]
    MissingFirstLevel { field: String, found: u32 },
    #[error("{field}: n={n} after n={previous}; levels go up and none comes twice")]
    UnsortedLevels {
        field: String,
        n: u32,
        previous: u32,
    },
    #[error("{field}: {found} quantiles, {QUANTILES} are needed")]
    QuantileCount { field: String, found: usize },
    #[error("{field}: {value} after {previous}; quantiles never go down")]
    UnsortedQuantiles {
        field: String,
        value: f64,
        previous: f64,
    },
    #[error("{field}: {threads} threads do not fit {cpu} cores")]
    TooManyThreads {
        field: String,
        threads: u32,
        cpu: f64,
    },
    #[error("{field}: n={n}, but {cpu} cores at {threads} thread(s) have only {workers} worker(s)")]
    LevelAboveWorkers {
        field: String,
        n: u32,
        cpu: f64,
        threads: u32,
        workers: u32,
    },
    #[error("{field}: {cpu} cores with {threads} thread(s) were given before")]
    DuplicateConfig {
        field: String,
        cpu: f64,
        threads: u32,
    },
    #[error("node.fingerprint.gpu: missing, but server.ep is cuda")]
    MissingGpu,
    #[error("configs: present beside external; a profile is of pods or of an endpoint")]
    ExternalConfigs,
}

impl Profile {
    /// Whether the rules hold; the first that does not is the error.
    pub fn check(&self) -> Result<(), ProfileError> {
        if self.schema != SCHEMA {
            return Err(ProfileError::UnknownSchema {
                found: self.schema.clone(),
            });
        }
        let root = At(String::new());
        root.named("id", &self.id)?;
        root.named("voice.name", &self.voice.name)?;
        root.named("voice.modelDigest", &self.voice.model_digest)?;
        root.named("node.class", &self.node.class)?;
        root.not_negative("coldStartS", self.cold_start)?;
        self.check_node(&root)?;
        self.check_run(&root)?;
        root.positive("corpus.meanAudioS", self.corpus.mean_audio)?;
        root.not_negative("corpus.cvAudio", self.corpus.cv_audio)?;
        root.positive("corpus.chunkAudioS", self.corpus.chunk_audio)?;
        if let Some(chunks) = self.corpus.chunks_per_text {
            root.at_most("corpus.chunksPerText", chunks, MAX_CHUNKS)?;
            root.positive("corpus.chunksPerText", chunks)?;
        }
        root.not_negative("corpus.audioSPerChar", self.corpus.audio_per_char)?;
        root.optional("corpus.phonemesPerAudioS", self.corpus.phonemes_per_audio)?;
        self.check_node_points()?;
        self.check_learnt(&root)?;
        if let Some(external) = &self.external {
            if !self.configs.is_empty() {
                return Err(ProfileError::ExternalConfigs);
            }
            return external.check(&At("external.".to_owned()));
        }
        root.counted("configs", self.configs.len(), MAX_CONFIGS)?;
        let mut seen = BTreeSet::new();
        for (index, config) in self.configs.iter().enumerate() {
            let at = At(format!("configs[{index}]."));
            config.check(&at, self.accelerator())?;
            if !seen.insert((config.cpu.to_bits(), config.threads)) {
                let (cpu, threads) = (config.cpu, config.threads);
                return Err(ProfileError::DuplicateConfig {
                    field: format!("configs[{index}]"),
                    cpu,
                    threads,
                });
            }
        }
        Ok(())
    }

    fn check_node(&self, root: &At) -> Result<(), ProfileError> {
        let fingerprint = &self.node.fingerprint;
        if let Some(clock) = fingerprint.mhz_busy {
            root.positive("node.fingerprint.mhzBusy.median", clock.median)?;
            root.not_negative("node.fingerprint.mhzBusy.cv", clock.cv)?;
        }
        root.optional("node.fingerprint.gemmGflops1t", fingerprint.gemm_gflops1t)?;
        root.optional("node.fingerprint.memBwGBs1t", fingerprint.mem_bw_gbs1t)?;
        let Some(gpu) = &fingerprint.gpu else {
            return if self.accelerator() == Accelerator::Gpu {
                Err(ProfileError::MissingGpu)
            } else {
                Ok(())
            };
        };
        root.positive("node.fingerprint.gpu.vramMiB", gpu.vram_mib)?;
        root.optional("node.fingerprint.gpu.powerLimitW", gpu.power_limit)?;
        if let Some(clock) = gpu.sm_mhz {
            root.positive("node.fingerprint.gpu.smMHz.median", clock.median)?;
            root.not_negative("node.fingerprint.gpu.smMHz.cv", clock.cv)?;
        }
        Ok(())
    }

    fn check_run(&self, root: &At) -> Result<(), ProfileError> {
        root.not_negative("run.durationS", self.run.duration)?;
        root.not_negative("run.anchorDrift", self.run.anchor_drift)?;
        root.not_negative("run.psiCpuSome", self.run.psi_cpu_some)?;
        root.not_negative("run.steal", self.run.steal)?;
        root.at_most("run.othersCpu", self.run.others_cpu, 1.0)?;
        // At 1 the derated pod would do no work at all.
        root.at_most("run.throughputRelCi", self.run.throughput_rel_ci, 0.9)?;
        root.at_most("run.noiseCv", self.run.noise_cv, 10.0)
    }

    fn check_node_points(&self) -> Result<(), ProfileError> {
        for (index, point) in self.full_node.iter().enumerate() {
            let at = At(format!("fullNode[{index}]."));
            at.positive("threads", f64::from(point.threads))?;
            at.positive("workers", f64::from(point.workers))?;
            at.positive("audioPerSec", point.audio_per_sec)?;
        }
        for (index, encoding) in self.encoding.iter().enumerate() {
            let at = At(format!("encoding[{index}]."));
            at.named("format", &encoding.format)?;
            at.not_negative("cpuSecPerAudioS", encoding.cpu_per_audio)?;
        }
        Ok(())
    }

    /// What is there for reports or was learnt later.
    fn check_learnt(&self, root: &At) -> Result<(), ProfileError> {
        if let Some(batch) = &self.batch {
            root.not_negative("batch.alpha", batch.alpha)?;
            root.not_negative("batch.beta", batch.beta)?;
            for (index, level) in batch.levels.iter().enumerate() {
                let at = At(format!("batch.levels[{index}]."));
                at.positive("B", f64::from(level.size))?;
                at.positive("meanS", level.mean_service)?;
                at.positive("mB", level.padding)?;
            }
        }
        if let Some(scaling) = &self.scaling {
            for (name, fit) in [
                ("scaling.threads.", &scaling.threads),
                ("scaling.concurrency.", &scaling.concurrency),
            ] {
                let at = At(name.to_owned());
                let Some(fit) = fit else { continue };
                at.not_negative("sigma", fit.sigma)?;
                at.not_negative("kappa", fit.kappa)?;
                at.optional("maxResidual", fit.max_residual)?;
            }
        }
        if let Some(verification) = &self.verification {
            root.not_negative("verification.lambda", verification.lambda)?;
            root.not_negative(
                "verification.traceMatchedP95.predicted",
                verification.trace_matched_p95.predicted,
            )?;
            root.not_negative(
                "verification.traceMatchedP95.measured",
                verification.trace_matched_p95.measured,
            )?;
            root.finite("verification.error", verification.error)?;
        }
        Ok(())
    }
}

impl Config {
    fn check(&self, at: &At, accelerator: Accelerator) -> Result<(), ProfileError> {
        at.positive("cpu", self.cpu)?;
        at.positive("threads", f64::from(self.threads))?;
        // One thread on a part of a core runs under a CPU limit.
        if f64::from(self.threads) > self.cpu.max(1.0) {
            let (threads, cpu) = (self.threads, self.cpu);
            return Err(ProfileError::TooManyThreads {
                field: at.path("threads"),
                threads,
                cpu,
            });
        }
        at.not_negative("s0", self.s0)?;
        at.not_negative("s1", self.s1)?;
        at.positive("s0 + s1", self.s0 + self.s1)?;
        at.not_negative("f0", self.f0)?;
        at.not_negative("f1", self.f1)?;
        at.not_negative("cpuSecPerAudioS", self.cpu_per_audio)?;
        for (name, memory) in [("mem", Some(self.mem)), ("gpuMem", self.gpu_mem)] {
            let Some(memory) = memory else { continue };
            at.not_negative(&format!("{name}.base"), memory.base)?;
            at.not_negative(
                &format!("{name}.perInflightAudioS"),
                memory.per_inflight_audio,
            )?;
            at.not_negative(&format!("{name}.residSd"), memory.resid_sd)?;
            at.not_negative(&format!("{name}.perQueued"), memory.per_queued)?;
            let process = memory.process.unwrap_or(0.0);
            at.at_most(&format!("{name}.process"), process, memory.base)?;
        }
        if let Some(energy) = self.energy {
            at.not_negative("energy.joulesPerAudioS", energy.per_audio)?;
            at.not_negative("energy.idleWatts", energy.idle_watts)?;
        }
        at.counted("levels", self.levels.len(), MAX_CONCURRENCY as usize)?;
        let mut previous = None;
        for (index, level) in self.levels.iter().enumerate() {
            let at = At(at.path(&format!("levels[{index}].")));
            match previous {
                None if level.n != 1 => {
                    return Err(ProfileError::MissingFirstLevel {
                        field: at.path("n"),
                        found: level.n,
                    });
                }
                Some(previous) if level.n <= previous => {
                    return Err(ProfileError::UnsortedLevels {
                        field: at.path("n"),
                        n: level.n,
                        previous,
                    });
                }
                _ => previous = Some(level.n),
            }
            at.at_most("n", f64::from(level.n), f64::from(MAX_CONCURRENCY))?;
            if accelerator == Accelerator::Cpu && level.n > self.workers() {
                let (n, cpu, threads, workers) = (level.n, self.cpu, self.threads, self.workers());
                return Err(ProfileError::LevelAboveWorkers {
                    field: at.path("n"),
                    n,
                    cpu,
                    threads,
                    workers,
                });
            }
            level.check(&at)?;
        }
        Ok(())
    }
}

impl Level {
    fn check(&self, at: &At) -> Result<(), ProfileError> {
        at.not_negative("seconds", self.seconds)?;
        at.positive("audioPerSec", self.audio_per_sec)?;
        at.not_negative("sP50", self.s_p50)?;
        at.not_negative("sP95", self.s_p95)?;
        at.positive("rtfP95", self.rtf_p95)?;
        at.not_negative("ttfaP95", self.ttfa_p95)?;
        at.at_most("throttledPeriods", self.throttled_periods, 1.0)?;
        at.optional("gpuUtilisation", self.gpu_utilisation)?;
        if let Some(service) = self.service {
            at.not_negative("service.mean", service.mean)?;
            at.not_negative("service.median", service.median)?;
            at.not_negative("service.min", service.min)?;
            at.not_negative("service.max", service.max)?;
            at.not_negative("service.sd", service.sd)?;
            at.not_negative("service.cv", service.cv)?;
        }
        for (index, stage) in self.stages.iter().enumerate() {
            let at = At(at.path(&format!("stages[{index}].")));
            at.named("name", &stage.name)?;
            at.at_most("share", stage.share, 1.0)?;
        }
        at.quantiles("ttfaQ", &self.ttfa_q)
    }
}

/// A place in the file: the path before a field's name.
pub(super) struct At(pub(super) String);

impl At {
    pub(super) fn path(&self, field: &str) -> String {
        format!("{}{field}", self.0)
    }

    pub(super) fn finite(&self, field: &str, value: f64) -> Result<(), ProfileError> {
        if !value.is_finite() {
            return Err(ProfileError::NotFinite {
                field: self.path(field),
            });
        }
        if value.abs() > LARGEST {
            return Err(ProfileError::TooLarge {
                field: self.path(field),
                value,
                limit: LARGEST,
            });
        }
        Ok(())
    }

    pub(super) fn not_negative(&self, field: &str, value: f64) -> Result<(), ProfileError> {
        self.finite(field, value)?;
        if value < 0.0 {
            return Err(ProfileError::Negative {
                field: self.path(field),
                value,
            });
        }
        Ok(())
    }

    pub(super) fn positive(&self, field: &str, value: f64) -> Result<(), ProfileError> {
        self.not_negative(field, value)?;
        if value < SMALLEST {
            return Err(ProfileError::NotPositive {
                field: self.path(field),
                value,
            });
        }
        Ok(())
    }

    pub(super) fn at_most(&self, field: &str, value: f64, limit: f64) -> Result<(), ProfileError> {
        self.not_negative(field, value)?;
        if value > limit {
            return Err(ProfileError::TooLarge {
                field: self.path(field),
                value,
                limit,
            });
        }
        Ok(())
    }

    fn optional(&self, field: &str, value: Option<f64>) -> Result<(), ProfileError> {
        value.map_or(Ok(()), |value| self.not_negative(field, value))
    }

    /// [`QUANTILES`] of them, none below the one before.
    pub(super) fn quantiles(&self, field: &str, quantiles: &[f64]) -> Result<(), ProfileError> {
        if quantiles.len() != QUANTILES {
            return Err(ProfileError::QuantileCount {
                field: self.path(field),
                found: quantiles.len(),
            });
        }
        let mut previous = 0.0;
        for (index, &value) in quantiles.iter().enumerate() {
            let field = format!("{field}[{index}]");
            self.not_negative(&field, value)?;
            if value < previous {
                return Err(ProfileError::UnsortedQuantiles {
                    field: self.path(&field),
                    value,
                    previous,
                });
            }
            previous = value;
        }
        Ok(())
    }

    pub(super) fn named(&self, field: &str, value: &str) -> Result<(), ProfileError> {
        if value.is_empty() {
            return Err(ProfileError::Empty {
                field: self.path(field),
            });
        }
        Ok(())
    }

    pub(super) fn counted(
        &self,
        field: &str,
        found: usize,
        limit: usize,
    ) -> Result<(), ProfileError> {
        if found == 0 {
            return Err(ProfileError::Empty {
                field: self.path(field),
            });
        }
        if found > limit {
            return Err(ProfileError::TooMany {
                field: self.path(field),
                found,
                limit,
            });
        }
        Ok(())
    }
}
