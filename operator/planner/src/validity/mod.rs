//! Whether a measurement may still be planned with, and how much of it to believe.

mod findings;
mod sampling;

use serde::{Deserialize, Serialize};

pub use findings::Finding;

pub(crate) use sampling::{enough, used};

use crate::profile::{Accelerator, ExecutionProvider, Level, Profile, Validity};

/// The derate of a measurement made under conditions that do not repeat.
const DEGRADED: f64 = 0.15;
/// The derate of a measurement taken over from another CPU model.
const TRANSFERRED: f64 = 0.30;
/// Anchor drift from which the drift itself is the derate, and from which there is no measurement.
const DRIFT: (f64, f64) = (0.10, 0.30);
/// A clock is steady when it varies less than this while busy.
const STEADY_CLOCK: f64 = 0.02;
/// More noise between equal requests than this, and a run says little.
const NOISE: f64 = 0.15;
/// Pressure stall above which others had the CPU (%).
const PRESSURE: f64 = 10.0;
/// Share of stolen time above which others had the CPU.
const STEAL: f64 = 0.02;
/// Share of throttled scheduler periods that shows in a tail.
const THROTTLED: f64 = 0.01;
/// Share of the node's CPU time beyond which others were at work on it.
const OTHERS: f64 = 0.05;
/// Phonemes per second of audio that speech has, pauses included.
const SPEAKING_RATE: (f64, f64) = (8.0, 25.0);
/// Software power cap, hardware slowdown, software thermal, hardware thermal, power brake: NVML's
/// clock event reasons.
const THROTTLE_REASONS: u64 = 0x4 | 0x8 | 0x20 | 0x40 | 0x80;
/// Days after which a measurement is made again.
const OLD: u32 = 90;
/// Production may differ from the profile by this before the profile counts as stale.
const CORRECTION: (f64, f64) = (0.8, 1.25);
/// An open-loop check that is later than predicted by this is taken out of the capacity.
const VERIFICATION: f64 = 0.25;
/// No derate is larger: at 1 a pod would do no work at all.
pub(crate) const LARGEST_DERATE: f64 = 0.95;
/// CPU features for which ONNX Runtime and BLAS libraries have kernels of their own, by the
/// beginnings of their names in `/proc/cpuinfo`.
const KERNEL_FLAGS: [&str; 9] = [
    // amd64: AVX, AVX2, all of AVX-512, AVX-VNNI; tiles.
    "avx", "fma", "amx",
    // arm64: vectors, dot products (also as Linux names them), half and brain floats, matrices.
    "sve", "dotprod", "asimddp", "asimdhp", "i8mm", "bf16",
];

/// How much of a measurement to believe.
#[derive(Clone, Copy, Debug, PartialEq, Serialize, Deserialize)]
#[serde(rename_all = "camelCase", deny_unknown_fields)]
pub struct Standing {
    pub validity: Validity,
    /// u, the share taken off: X ← X·(1 - u), F ← F·(1 + u). The policy's minimum comes on top as a
    /// floor.
    pub derate: f64,
    /// Service time in production over the profile's; only values above 1 are applied, at most 2.
    pub correction: f64,
}

impl Standing {
    /// What the profile says of itself and what its record of the run says against it, compared
    /// with nothing else: [`assess`] without an environment. u = max(spread between passes, what
    /// each finding takes off) plus what verification found to be late beyond 25 %.
    pub fn as_recorded(profile: &Profile) -> Self {
        assess(profile, None).standing
    }

    /// This, but in nothing better than `other`. A derate that is no derate stays as it is: the
    /// rules of a request refuse it.
    pub(crate) fn no_better_than(self, other: Self) -> Self {
        let worse = severity(other.validity) > severity(self.validity);
        let smaller = (0.0..other.derate).contains(&self.derate);
        Self {
            validity: if worse { other.validity } else { self.validity },
            derate: if smaller { other.derate } else { self.derate },
            correction: self.correction,
        }
    }

    /// k as applied to capacity: never up-rated without a new profile.
    pub(crate) fn slowdown(&self) -> f64 {
        self.correction.clamp(1.0, 2.0)
    }
}

fn derate(profile: &Profile, findings: &[Finding]) -> f64 {
    let of_findings = findings.iter().map(Finding::derate).fold(0.0, f64::max);
    let derate = profile.run.throughput_rel_ci.max(of_findings);
    // error is predicted / measured - 1, so a late pod has a negative one.
    let late = profile
        .verification
        .as_ref()
        .map_or(0.0, |verification| -verification.error);
    let late = if late > VERIFICATION { late } else { 0.0 };
    (derate + late).min(LARGEST_DERATE)
}

/// What a profile is compared with: the voice, server and nodes as they are now. Strings as in the
/// profile.
#[derive(Clone, Debug, PartialEq)]
pub struct Environment {
    pub model_digest: String,
    pub config_digest: String,
    pub precision: String,
    /// Number of function evaluations; None for families that have none.
    pub nfe: Option<u32>,
    pub execution_provider: ExecutionProvider,
    pub server_version: String,
    pub ort_version: String,
    pub arch: String,
    pub cpu_model: String,
    /// As in the fingerprint: the kernel's names of the CPU's features, in any order.
    pub flags: Vec<String>,
    pub kernel: String,
    /// Product, MIG profile and driver of the GPU the pods would get.
    pub gpu: Option<GpuEnvironment>,
    /// Since the measurement began.
    pub age_days: u32,
    /// Service time in production over the profile's, once known and steady.
    pub correction: f64,
}

#[derive(Clone, Debug, PartialEq, Eq)]
pub struct GpuEnvironment {
    pub product: String,
    pub mig: Option<String>,
    pub driver: String,
}

/// A verdict and what it rests on.
#[derive(Clone, Debug, PartialEq, Serialize)]
pub struct Assessment {
    pub standing: Standing,
    /// In a fixed order.
    pub findings: Vec<Finding>,
}

/// Looks at a profile, and where given at what is true now. The worst finding decides; a profile
/// that says of itself that it is worse keeps its own verdict.
pub fn assess(profile: &Profile, now: Option<&Environment>) -> Assessment {
    let mut findings = Vec::new();
    if profile.run.validity != Validity::Valid {
        findings.push(Finding::Recorded {
            validity: profile.run.validity,
        });
    }
    during_the_run(profile, &mut findings);
    if let Some(now) = now {
        compared(profile, now, &mut findings);
    }
    let validity = findings
        .iter()
        .map(Finding::validity)
        .max_by_key(|&validity| severity(validity));
    let validity = validity.unwrap_or(Validity::Valid);
    let correction = now.map_or(1.0, |now| now.correction);
    // The worst hides nothing: each finding takes its share.
    let derate = derate(profile, &findings);
    Assessment {
        standing: Standing {
            validity,
            derate,
            correction,
        },
        findings,
    }
}

const fn severity(validity: Validity) -> u8 {
    match validity {
        Validity::Valid => 0,
        Validity::Stale => 1,
        Validity::Degraded => 2,
        Validity::Transferred => 3,
        Validity::Invalid => 4,
    }
}

fn during_the_run(profile: &Profile, findings: &mut Vec<Finding>) {
    let run = &profile.run;
    let fingerprint = &profile.node.fingerprint;
    let gpu = fingerprint
        .gpu
        .as_ref()
        .filter(|_| profile.accelerator() == Accelerator::Gpu);
    if run.anchor_drift >= DRIFT.0 {
        findings.push(Finding::AnchorDrift {
            drift: run.anchor_drift,
        });
    }
    let clock = gpu.map_or(fingerprint.mhz_busy, |gpu| gpu.sm_mhz);
    if let Some(clock) = clock.filter(|clock| clock.cv > STEADY_CLOCK) {
        findings.push(Finding::UnsteadyClock { cv: clock.cv });
    }
    if let Some(gpu) = gpu {
        if gpu.throttle_reasons & THROTTLE_REASONS != 0 {
            findings.push(Finding::ThrottledClock {
                reasons: gpu.throttle_reasons & THROTTLE_REASONS,
            });
        }
        if gpu.sharing != "none" {
            findings.push(Finding::SharedGpu {
                sharing: gpu.sharing.clone(),
            });
        }
    }
    if run.noise_cv > NOISE {
        findings.push(Finding::Noise { cv: run.noise_cv });
    }
    if run.psi_cpu_some > PRESSURE {
        findings.push(Finding::Pressure {
            percent: run.psi_cpu_some,
        });
    }
    if run.co_tenants > 0 || run.others_cpu > OTHERS {
        findings.push(Finding::CoTenant {
            pods: run.co_tenants,
            share: run.others_cpu,
        });
    }
    if !run.unstable.is_empty() {
        findings.push(Finding::Unstable {
            levels: run.unstable.clone(),
        });
    }
    if !run.faults.is_empty() {
        findings.push(Finding::Faulty {
            faults: run.faults.clone(),
        });
    }
    let rate = profile.corpus.phonemes_per_audio;
    if let Some(rate) = rate.filter(|rate| !(SPEAKING_RATE.0..=SPEAKING_RATE.1).contains(rate)) {
        findings.push(Finding::SpeakingRate {
            phonemes_per_second: rate,
        });
    }
    if profile.external.is_some() {
        findings.push(Finding::External);
    }
    if run.steal > STEAL {
        findings.push(Finding::Steal { share: run.steal });
    }
    // A pod below one core was measured under a limit on purpose: throttling is part of it.
    let whole_cores = profile.configs.iter().filter(|config| config.cpu >= 1.0);
    let throttled = whole_cores
        .flat_map(|config| &config.levels)
        .map(|level| level.throttled_periods);
    let throttled = throttled.fold(0.0, f64::max);
    if throttled > THROTTLED {
        findings.push(Finding::Throttled { share: throttled });
    }
    few_requests(profile, findings);
    // Only a note where the measured clock was steady all the same.
    let governor = fingerprint
        .governor
        .as_ref()
        .filter(|&governor| governor != "performance");
    if let (Some(governor), None) = (governor, fingerprint.mhz_busy) {
        findings.push(Finding::Governor {
            governor: governor.clone(),
        });
    }
}

/// Features that the measured CPU had and this one lacks, among those that choose a kernel. Beside
/// an equal model it is a hypervisor that hides them. Another kernel then runs, at another speed,
/// and a derate cannot say which: even a transfer to another CPU model asks for equal features.
/// More features than measured are no loss.
fn missing_flags(measured: &[String], now: &[String]) -> Vec<String> {
    let mut missing: Vec<String> = measured
        .iter()
        .filter(|flag| KERNEL_FLAGS.iter().any(|name| flag.starts_with(name)))
        .filter(|flag| !now.contains(flag))
        .cloned()
        .collect();
    missing.sort_unstable();
    missing.dedup();
    missing
}

/// Levels of few requests. One at a time is where every curve begins: without that level there is
/// no measurement.
fn few_requests(profile: &Profile, findings: &mut Vec<Finding>) {
    let levels = || profile.configs.iter().flat_map(|config| &config.levels);
    let fewest =
        |levels: &mut dyn Iterator<Item = &Level>| levels.map(|level| level.requests).min();
    if let Some(requests) = fewest(&mut levels().filter(|level| level.n == 1 && !used(level))) {
        findings.push(Finding::TooFewRequests { requests });
    }
    if let Some(requests) = fewest(&mut levels().filter(|level| level.n > 1 && !used(level))) {
        findings.push(Finding::UnusedLevels { requests });
    }
    let error = |level: &Level| sampling::p95_error(level);
    let worst = levels()
        .filter(|level| used(level) && error(level) > 0.0)
        .max_by(|a, b| error(a).total_cmp(&error(b)));
    if let Some(level) = worst {
        findings.push(Finding::FewRequests {
            requests: level.requests,
            error: error(level),
        });
    }
}

/// Whether what will be served is what was measured.
fn voice(profile: &Profile, now: &Environment, findings: &mut Vec<Finding>) {
    let voice = &profile.voice;
    let nfe = |nfe: Option<u32>| nfe.map_or_else(|| "none".to_owned(), |nfe| nfe.to_string());
    for (field, measured, now) in [
        (
            "model digest",
            voice.model_digest.clone(),
            now.model_digest.clone(),
        ),
        (
            "config digest",
            voice.config_digest.clone(),
            now.config_digest.clone(),
        ),
        (
            "precision",
            voice.variant.precision.clone(),
            now.precision.clone(),
        ),
        ("NFE", nfe(voice.variant.nfe), nfe(now.nfe)),
        (
            "execution provider",
            profile.server.ep.to_string(),
            now.execution_provider.to_string(),
        ),
    ] {
        if measured != now {
            findings.push(Finding::Differs {
                field,
                measured,
                now,
            });
        }
    }
}

fn compared(profile: &Profile, now: &Environment, findings: &mut Vec<Finding>) {
    voice(profile, now, findings);
    let fingerprint = &profile.node.fingerprint;
    let mut differs = |field, measured: &str, now: &str| {
        if measured != now {
            findings.push(Finding::Differs {
                field,
                measured: measured.to_owned(),
                now: now.to_owned(),
            });
        }
    };
    differs("architecture", &fingerprint.arch, &now.arch);
    let gpu = fingerprint
        .gpu
        .as_ref()
        .filter(|_| profile.accelerator() == Accelerator::Gpu);
    if let Some(gpu) = gpu {
        let current = now.gpu.as_ref();
        differs(
            "GPU",
            &gpu.product,
            current.map_or("none", |gpu| &gpu.product),
        );
        let mig = |mig: Option<&String>| mig.map_or_else(|| "none".to_owned(), String::clone);
        differs(
            "MIG profile",
            &mig(gpu.mig.as_ref()),
            &mig(current.and_then(|gpu| gpu.mig.as_ref())),
        );
    } else {
        differs("CPU model", &fingerprint.cpu_model, &now.cpu_model);
        let flags = missing_flags(&fingerprint.flags, &now.flags);
        if !flags.is_empty() {
            findings.push(Finding::MissingFlags { flags });
        }
    }
    let mut versions = |field, measured: &str, now: &str| {
        let (measured, now) = (measured.to_owned(), now.to_owned());
        match compare_versions(&measured, &now) {
            Difference::None => {}
            Difference::Minor => findings.push(Finding::Outdated {
                field,
                measured,
                now,
            }),
            Difference::Major => findings.push(Finding::Differs {
                field,
                measured,
                now,
            }),
        }
    };
    versions(
        "server version",
        &profile.server.version,
        &now.server_version,
    );
    versions(
        "ONNX Runtime version",
        &profile.server.ort,
        &now.ort_version,
    );
    if let (Some(gpu), Some(current)) = (gpu, now.gpu.as_ref()) {
        versions("GPU driver", &gpu.driver, &current.driver);
    }
    // A kernel's major number says nothing about speed.
    if compare_versions(&fingerprint.kernel, &now.kernel) != Difference::None {
        let (measured, now) = (fingerprint.kernel.clone(), now.kernel.clone());
        findings.push(Finding::Outdated {
            field: "kernel",
            measured,
            now,
        });
    }
    if now.age_days > OLD {
        findings.push(Finding::Old { days: now.age_days });
    }
    if now.correction < CORRECTION.0 || now.correction > CORRECTION.1 {
        findings.push(Finding::Correction {
            factor: now.correction,
        });
    }
}

#[derive(Clone, Copy, Debug, PartialEq, Eq)]
enum Difference {
    None,
    Minor,
    Major,
}

/// By the first two numbers; patch releases are taken as equal.
fn compare_versions(measured: &str, now: &str) -> Difference {
    let mut pairs = measured.split('.').zip(now.split('.'));
    match (pairs.next(), pairs.next()) {
        (Some((a, b)), _) if a != b => Difference::Major,
        (_, Some((a, b))) if a != b => Difference::Minor,
        _ => Difference::None,
    }
}
