//! Whether a measurement may still be planned with, and how much of it to believe.

mod findings;

use serde::{Deserialize, Serialize};

pub use findings::Finding;

use crate::profile::{Accelerator, Profile, Validity};

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
/// Software power cap, hardware slowdown, software thermal, hardware thermal, power brake: NVML's
/// clock event reasons.
const THROTTLE_REASONS: u64 = 0x4 | 0x8 | 0x20 | 0x40 | 0x80;
/// Days after which a measurement is made again.
const OLD: u32 = 90;
/// Production may differ from the profile by this before the profile counts as stale.
const CORRECTION: (f64, f64) = (0.8, 1.25);
/// An open-loop check that is later than predicted by this is taken out of the capacity.
const VERIFICATION: f64 = 0.25;

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
    /// What the profile says of itself: u = max(spread between passes, 15 % if Degraded, 30 % if
    /// Transferred, the anchor's drift if that degraded it) plus what verification found to be late
    /// beyond 25 %.
    pub fn as_recorded(profile: &Profile) -> Self {
        Self {
            validity: profile.run.validity,
            derate: derate(profile, profile.run.validity),
            correction: 1.0,
        }
    }

    /// k as applied to capacity: never up-rated without a new profile.
    pub(crate) fn slowdown(&self) -> f64 {
        self.correction.clamp(1.0, 2.0)
    }
}

fn derate(profile: &Profile, validity: Validity) -> f64 {
    let run = &profile.run;
    let mut derate = run.throughput_rel_ci;
    match validity {
        Validity::Degraded => {
            derate = derate.max(DEGRADED);
            if run.anchor_drift >= DRIFT.0 {
                derate = derate.max(run.anchor_drift.min(DRIFT.1));
            }
        }
        Validity::Transferred => derate = derate.max(TRANSFERRED),
        Validity::Valid | Validity::Stale | Validity::Invalid => {}
    }
    // error is predicted / measured - 1, so a late pod has a negative one.
    let late = profile
        .verification
        .as_ref()
        .map_or(0.0, |verification| -verification.error);
    if late > VERIFICATION {
        derate += late;
    }
    derate.min(0.95)
}

/// What a profile is compared with: the voice, server and nodes as they are now. Strings as in the
/// profile.
#[derive(Clone, Debug, PartialEq)]
pub struct Environment {
    pub model_digest: String,
    pub precision: String,
    pub server_version: String,
    pub ort_version: String,
    pub arch: String,
    pub cpu_model: String,
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
    // Stale hides nothing: what degraded the run still takes its share.
    let degraded = findings
        .iter()
        .any(|finding| finding.validity() == Validity::Degraded);
    let share = derate(
        profile,
        if degraded {
            Validity::Degraded
        } else {
            validity
        },
    );
    let derate = if validity == Validity::Transferred {
        share.max(TRANSFERRED)
    } else {
        share
    };
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

fn compared(profile: &Profile, now: &Environment, findings: &mut Vec<Finding>) {
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
    differs(
        "model digest",
        &profile.voice.model_digest,
        &now.model_digest,
    );
    differs(
        "precision",
        &profile.voice.variant.precision,
        &now.precision,
    );
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
