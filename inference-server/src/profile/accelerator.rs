//! What a profile says of the GPU that it was measured on.

use tts_planner::profile::{self, Memory};

use super::{
    grid::Shape,
    numbers::{clock, round},
    state::{Measured, Measurement},
};
use crate::{
    machine::gpu::{
        Facts,
        sharing::{Hints, sharing},
    },
    statistics::{Line, median},
};

/// What the GPU is, and what it did while it was measured.
pub fn gpu(measurement: &Measurement, facts: &Facts, hints: Hints) -> profile::Gpu {
    let seen = &measurement.gpu;
    profile::Gpu {
        product: facts.product.clone(),
        mig: facts.mig.clone(),
        sharing: sharing(hints, seen.others, seen.idle_utilisation).to_string(),
        driver: facts.driver.clone(),
        cuda: facts.cuda.clone().unwrap_or_else(|| "unknown".to_owned()),
        vram_mib: round(facts.memory_mib),
        sm_mhz: clock(&seen.clocks),
        power_limit: facts.power_limit.map(round),
        throttle_reasons: seen.events.unwrap_or(0),
    }
}

/// Memory of the GPU against the audio in flight, less what was in use before; `None` where it was not told.
pub fn memory(measurement: &Measurement, shape: Shape) -> Option<Memory> {
    let before = measurement.gpu.idle_mib?;
    let mut of_shape = measurement.memory.iter();
    let measured = of_shape.find(|memory| memory.shape == shape)?;
    let points: Vec<(f64, f64)> = measured
        .gpu
        .iter()
        .map(|point| (point.inflight_audio_s, (point.mib - before).max(0.0)))
        .collect();
    let line = Line::fit(&points);
    (!points.is_empty()).then(|| Memory {
        base: round(line.intercept),
        process: None,
        per_inflight_audio: round(line.slope),
        resid_sd: round(line.residual_sd),
        // Requests that wait are not on the GPU.
        per_queued: 0.0,
    })
}

/// Share of the time in which the GPU worked: the median of the passes.
pub fn utilisation(passes: &[&Measured]) -> Option<f64> {
    let told = passes
        .iter()
        .filter_map(|pass| pass.samples.gpu_utilisation);
    let told: Vec<f64> = told.collect();
    (!told.is_empty()).then(|| round(median(told)))
}

/// What the GPU did not tell.
pub fn absent(measurement: &Measurement, facts: &Facts) -> Vec<String> {
    let seen = &measurement.gpu;
    let mut levels = measurement.levels.iter();
    let no_utilisation = levels.all(|level| level.samples.gpu_utilisation.is_none());
    let mut absent: Vec<String> = [
        (seen.clocks.is_empty(), "clock"),
        (seen.events.is_none(), "reasons for the clock"),
        (no_utilisation, "utilisation"),
        (seen.others.is_none(), "processes"),
        (facts.power_limit.is_none(), "power limit"),
        (facts.cuda.is_none(), "CUDA version"),
        (seen.idle_mib.is_none(), "memory in use"),
    ]
    .into_iter()
    .filter(|(is_absent, _)| *is_absent)
    .map(|(_, what)| format!("{what} of the GPU: the driver does not tell"))
    .collect();
    if facts.mig.is_some() {
        absent.push("energy of the MIG instance: the counter is the whole GPU's".to_owned());
    }
    absent
}

#[cfg(test)]
mod tests {
    use tts_planner::{
        Profile, Validity,
        profile::{
            Accelerator,
            details::{Details, MemoryPoint},
        },
        validity::assess,
    };

    use super::*;
    use crate::profile::{
        state::MeasuredGpu,
        summary::tests::{measurement, on, shape},
    };

    fn facts() -> Facts {
        Facts {
            product: "NVIDIA Example".to_owned(),
            uuid: "GPU-1".to_owned(),
            mig: None,
            driver: "570.86.15".to_owned(),
            cuda: Some("12.8".to_owned()),
            memory_mib: 23_034.0,
            power_limit: Some(72.0),
        }
    }

    /// Of a quiet GPU that tells everything.
    fn measured() -> Measurement {
        let mut measurement = measurement();
        measurement.gpu = MeasuredGpu {
            clocks: vec![1770.0; 20],
            events: Some(0),
            others: Some(0),
            idle_utilisation: Some(0.0),
            idle_mib: Some(300.0),
        };
        for level in &mut measurement.levels {
            level.samples.gpu_utilisation = Some(0.4 + 0.1 * f64::from(level.pass));
        }
        measurement.memory[0].gpu = [(0, 1300.0), (1, 1320.0), (2, 1340.0)]
            .map(|(n, mib)| MemoryPoint {
                n,
                inflight_audio_s: 10.0 * f64::from(n),
                mib,
                ..MemoryPoint::default()
            })
            .to_vec();
        measurement
    }

    fn of(change: impl FnOnce(&mut Measurement, &mut Facts, &mut Hints)) -> Profile {
        let (mut measurement, mut facts, mut hints) = (measured(), facts(), Hints::default());
        change(&mut measurement, &mut facts, &mut hints);
        let profile = on(Some((facts, hints)), &measurement);
        profile.check().unwrap();
        profile
    }

    fn findings(profile: &Profile) -> Vec<String> {
        let mut unjudged = profile.clone();
        unjudged.run.validity = Validity::Valid;
        let findings = assess(&unjudged, None).findings;
        findings.iter().map(ToString::to_string).collect()
    }

    #[test]
    fn a_quiet_gpu_is_in_the_profile_and_nothing_speaks_against_it() {
        let profile = of(|_, _, _| {});
        assert_eq!(profile.accelerator(), Accelerator::Gpu);
        assert_eq!(findings(&profile), [""; 0]);
        assert_eq!(profile.run.validity, Validity::Valid);
        let gpu = profile.node.fingerprint.gpu.as_ref().unwrap();
        assert_eq!(
            (gpu.product.as_str(), gpu.sharing.as_str()),
            ("NVIDIA Example", "none")
        );
        let clock = gpu.sm_mhz.unwrap();
        assert!((clock.median - 1770.0).abs() < 1e-9 && clock.cv.abs() < 1e-9);
        let memory = profile.configs[0].gpu_mem.unwrap();
        assert!((memory.base - 1000.0).abs() < 1e-6, "{memory:?}");
        assert!((memory.per_inflight_audio - 2.0).abs() < 1e-6, "{memory:?}");
        assert_eq!(profile.configs[0].levels[0].gpu_utilisation, Some(0.5));
        // Of another shape there is nothing.
        assert_eq!(memory_of(&profile, 1), None);
        assert!(profile.run.dropped.is_empty());
    }

    fn memory_of(profile: &Profile, config: usize) -> Option<Memory> {
        profile.configs[config].gpu_mem
    }

    /// Makes something of a quiet measurement.
    type Change = fn(&mut Measurement, &mut Facts, &mut Hints);

    #[test]
    fn what_speaks_against_a_gpu_degrades_the_profile() {
        let cases: [(&str, Change); 5] = [
            (
                "the GPU throttled its clock (reasons 0x24)",
                |measurement, _, _| {
                    // With a reason that is none: nothing ran.
                    measurement.gpu.events = Some(0x25);
                },
            ),
            ("the clock varied by", |measurement, _, _| {
                measurement.gpu.clocks = vec![1770.0, 1500.0, 1770.0];
            }),
            (
                "others may have used the GPU (time-slicing)",
                |measurement, _, _| {
                    measurement.gpu.others = Some(1);
                },
            ),
            ("others may have used the GPU (mps)", |_, _, hints| {
                hints.mps = true;
            }),
            (
                "others may have used the GPU (unknown)",
                |measurement, _, _| {
                    measurement.gpu.others = None;
                },
            ),
        ];
        for (wanted, change) in cases {
            let profile = of(change);
            let findings = findings(&profile);
            assert!(
                findings.len() == 1 && findings[0].starts_with(wanted),
                "{wanted}: {findings:?}"
            );
            assert_eq!(profile.run.validity, Validity::Degraded, "{wanted}");
        }
    }

    #[test]
    fn what_a_gpu_does_not_tell_is_absent_and_named() {
        let profile = of(|measurement, facts, _| {
            measurement.gpu = MeasuredGpu::default();
            measurement.memory[0].gpu.clear();
            for level in &mut measurement.levels {
                level.samples.gpu_utilisation = None;
            }
            facts.mig = Some("1g.5gb".to_owned());
            facts.power_limit = None;
            facts.cuda = None;
        });
        let gpu = profile.node.fingerprint.gpu.as_ref().unwrap();
        assert_eq!((gpu.sm_mhz, gpu.power_limit), (None, None));
        assert_eq!(gpu.mig.as_deref(), Some("1g.5gb"));
        assert_eq!(memory_of(&profile, 0), None);
        assert_eq!(profile.configs[0].levels[0].gpu_utilisation, None);
        let absent = Details::of(&profile).absent.join("\n");
        for what in [
            "clock",
            "reasons for the clock",
            "utilisation",
            "processes",
            "memory in use",
        ] {
            assert!(absent.contains(&format!("{what} of the GPU: ")), "{absent}");
        }
        assert!(
            absent.contains("the counter is the whole GPU's"),
            "{absent}"
        );
    }

    #[test]
    fn memory_below_what_was_in_use_before_is_none() {
        let mut measurement = measured();
        measurement.gpu.idle_mib = Some(5000.0);
        let memory = memory(&measurement, shape(1.0, 1)).unwrap();
        assert!(memory.base.abs() < 1e-9 && memory.per_inflight_audio.abs() < 1e-9);
    }
}
