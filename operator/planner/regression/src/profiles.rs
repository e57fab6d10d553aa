//! Two profiles of one voice, taken at different times.

use std::collections::BTreeMap;

use serde::Serialize;
use tts_planner::{
    Profile, Validity,
    profile::details::{Details, Request},
};

use crate::numeric::median;
use crate::{
    Cause, Comparison, Shift, Thresholds, Verdict, cold_start, first_audio_p95, slow_drift,
    unpaired,
};

/// The machine itself may have changed its speed by so much before nothing can be said.
const MACHINE: f64 = 0.10;
/// Memory that grew by more than this is a regression.
const MEMORY: f64 = 0.20;

/// What a later profile says about an earlier one of the same voice, class and corpus.
#[derive(Clone, Debug, PartialEq, Serialize)]
#[serde(rename_all = "camelCase")]
pub struct ProfileComparison {
    pub verdict: Verdict,
    /// Why there is no answer.
    pub cause: Option<Cause>,
    /// Of the service times of single requests, each over the earlier profile's median of its text.
    pub service: Option<Comparison>,
    /// Each finding in words, with its numbers.
    pub reasons: Vec<String>,
}

impl ProfileComparison {
    fn inconclusive(reason: String) -> Self {
        Self {
            verdict: Verdict::Inconclusive,
            cause: None,
            service: None,
            reasons: vec![reason],
        }
    }
}

/// Compares a profile with an earlier one. Samples of two times are two blocks: the machine's own
/// speed, as the calibration kernel measured it, must not have changed by more than 10 %.
pub fn profiles(earlier: &Profile, later: &Profile) -> ProfileComparison {
    if let Some(reason) = incomparable(earlier, later) {
        return ProfileComparison::inconclusive(reason);
    }
    let (old, new) = (Details::of(earlier), Details::of(later));
    let (base, candidate) = normalised(&old.samples, &new.samples);
    let service = unpaired(&base, &candidate, Thresholds::default());
    let mut found = ProfileComparison {
        verdict: service.verdict,
        cause: service.cause,
        service: Some(service),
        reasons: vec![format!(
            "service time is {:.3} times the earlier one (95 % interval {:.3} to {:.3}, {} requests)",
            service.ratio, service.interval.0, service.interval.1, service.n
        )],
    };
    let first = |details: &Details| -> Vec<f64> {
        details
            .samples
            .iter()
            .map(|request| request.first_audio_s)
            .collect()
    };
    let tail = first_audio_p95(&first(&old), &first(&new));
    if let Some(tail) = tail.filter(|tail| tail.worse) {
        found.verdict = Verdict::Regressed;
        found.reasons.push(format!(
            "p95 first audio is {:.2} times the earlier one",
            tail.ratio
        ));
    }
    if let Some(start) = cold_start(&old.cold_starts, &new.cold_starts).filter(|start| start.worse)
    {
        found.verdict = Verdict::Regressed;
        found.reasons.push(format!(
            "a cold start takes {:.2} times as long",
            start.ratio
        ));
    }
    if let Some(ratio) = memory(earlier, later).filter(|ratio| *ratio > 1.0 + MEMORY) {
        found.verdict = Verdict::Regressed;
        found
            .reasons
            .push(format!("memory is {ratio:.2} times the earlier one"));
    }
    found
}

/// Whether a voice became slower and stayed so: [`slow_drift`] of the median service times of one request at a time, at
/// the shape of the fewest cores and threads. `profiles` are in the order of their time; those that cannot be compared
/// with the last one are left out. `at` is an index of `profiles`.
pub fn profiles_over_time(profiles: &[&Profile]) -> Option<Shift> {
    let last = profiles.last()?;
    let nights: Vec<(usize, f64)> = profiles
        .iter()
        .enumerate()
        .filter(|(_, profile)| incomparable(profile, last).is_none())
        .filter_map(|(index, profile)| Some((index, single_request(profile)?)))
        .collect();
    let times: Vec<f64> = nights.iter().map(|(_, time)| *time).collect();
    let shift = slow_drift(&times)?;
    let at = nights.get(shift.at)?.0;
    Some(Shift { at, ..shift })
}

/// Median service time of one request at a time (s), at the shape of the fewest cores and threads.
fn single_request(profile: &Profile) -> Option<f64> {
    let smallest = profile
        .configs
        .iter()
        .min_by(|a, b| a.cpu.total_cmp(&b.cpu).then(a.threads.cmp(&b.threads)))?;
    let level = smallest.levels.iter().find(|level| level.n == 1)?;
    Some(level.s_p50)
}

/// Why two profiles cannot be compared.
fn incomparable(earlier: &Profile, later: &Profile) -> Option<String> {
    for profile in [earlier, later] {
        if profile.run.validity == Validity::Invalid {
            return Some(format!("{} is not valid", profile.id));
        }
    }
    let of = |profile: &Profile| {
        let node = &profile.node.fingerprint;
        let gpu = node.gpu.as_ref().map_or_else(
            || "none".to_owned(),
            |gpu| match &gpu.mig {
                Some(mig) => format!("{} {mig}", gpu.product),
                None => gpu.product.clone(),
            },
        );
        [
            ("voice", profile.voice.name.clone()),
            ("corpus", profile.corpus.id.clone()),
            ("CPU", node.cpu_model.clone()),
            ("architecture", node.arch.clone()),
            ("GPU", gpu),
        ]
    };
    for ((name, old), (_, new)) in of(earlier).into_iter().zip(of(later)) {
        if old != new {
            return Some(format!(
                "the {name} was {old}, is {new}: only equal ones can be compared"
            ));
        }
    }
    let speed = |profile: &Profile| profile.node.fingerprint.gemm_gflops1t;
    let (old, new) = speed(earlier).zip(speed(later))?;
    let change = new / old - 1.0;
    (change.abs() > MACHINE).then(|| {
        format!(
            "the machine itself does {new:.1} GFLOP/s on one thread, {old:.1} before ({:+.0} %): measure again on the same machine",
            100.0 * change
        )
    })
}

/// Service times of texts that both have, over the median of the text in the first.
fn normalised(old: &[Request], new: &[Request]) -> (Vec<f64>, Vec<f64>) {
    let mut texts: BTreeMap<u32, Vec<f64>> = BTreeMap::new();
    for request in old {
        texts
            .entry(request.text)
            .or_default()
            .push(request.service_s);
    }
    let medians: BTreeMap<u32, f64> = texts
        .into_iter()
        .map(|(text, mut times)| (text, median(&mut times)))
        .collect();
    let over = |requests: &[Request]| -> Vec<f64> {
        let known = requests
            .iter()
            .filter_map(|request| Some(request.service_s / medians.get(&request.text)?));
        known.collect()
    };
    (over(old), over(new))
}

/// Memory of the largest config that both have.
fn memory(earlier: &Profile, later: &Profile) -> Option<f64> {
    let pairs = earlier.configs.iter().filter_map(|old| {
        let same = |new: &&tts_planner::profile::Config| {
            new.threads == old.threads && (new.cpu - old.cpu).abs() < 1e-9
        };
        Some((old, later.configs.iter().find(same)?))
    });
    let (old, new) = pairs.max_by(|a, b| a.0.cpu.total_cmp(&b.0.cpu))?;
    (old.mem.base > 0.0).then(|| new.mem.base / old.mem.base)
}

#[cfg(test)]
mod tests {
    use super::*;

    /// A profile whose requests take `factor` times as long.
    fn profile(factor: f64) -> Profile {
        let mut profile = Profile::from_json(tts_planner_dev::samples::PROFILE).unwrap();
        let requests = (0..120_u32).map(|index| Request {
            text: index % 12,
            // Lengths differ by far more than the noise.
            service_s: factor
                * f64::from(1 + index % 12)
                * (1.0 + f64::from(index * 37 % 101) / 2000.0),
            first_audio_s: factor * (1.0 + f64::from(index * 37 % 101) / 2000.0),
        });
        let details = Details {
            samples: requests.collect(),
            cold_starts: vec![factor, 1.02 * factor, 1.05 * factor],
            ..Details::default()
        };
        profile.report = details.to_block();
        profile
    }

    #[test]
    fn the_same_speed_passes_and_a_slower_one_is_regressed() {
        let found = profiles(&profile(1.0), &profile(1.01));
        assert_eq!(found.verdict, Verdict::Pass, "{found:?}");
        let found = profiles(&profile(1.0), &profile(1.2));
        assert_eq!(found.verdict, Verdict::Regressed);
        assert!((found.service.unwrap().ratio - 1.2).abs() < 0.01);
        assert!(found.reasons[0].contains("1.200"), "{:?}", found.reasons);
    }

    #[test]
    fn a_lasting_change_is_found_among_comparable_profiles() {
        let night = |index: u32, factor: f64| {
            let mut profile = profile(1.0);
            let noise = 1.0 + f64::from(index * 37 % 11) / 2000.0;
            for config in &mut profile.configs {
                config.levels[0].s_p50 *= factor * noise;
            }
            profile
        };
        let mut nights: Vec<Profile> = (0..12)
            .map(|index| night(index, if index < 7 { 1.0 } else { 1.1 }))
            .collect();
        let found = |nights: &[Profile]| {
            let nights: Vec<&Profile> = nights.iter().collect();
            profiles_over_time(&nights)
        };
        let shift = found(&nights).unwrap();
        assert_eq!(shift.at, 7);
        assert!((shift.ratio - 1.1).abs() < 0.01, "{shift:?}");
        assert_eq!(found(&nights[..7]), None);
        // A profile of other texts does not count, and moves the index.
        nights.insert(0, night(0, 1.0));
        nights[0].corpus.id = "other".to_owned();
        assert_eq!(found(&nights).unwrap().at, 8);
        // Nor do many that were faster.
        let faster = |index| {
            let mut profile = night(index, 0.5);
            profile.corpus.id = "other".to_owned();
            profile
        };
        let steady: Vec<Profile> = (0..6)
            .map(faster)
            .chain(nights[1..8].iter().cloned())
            .collect();
        assert_eq!(found(&steady), None);
        assert_eq!(found(&[]), None);
    }

    #[test]
    fn a_start_that_takes_longer_is_a_regression_too() {
        let mut later = profile(1.0);
        let mut details = Details::of(&later);
        details.cold_starts = vec![2.0, 2.1, 2.2];
        later.report = details.to_block();
        let found = profiles(&profile(1.0), &later);
        assert_eq!(found.verdict, Verdict::Regressed);
        assert_eq!(found.service.unwrap().verdict, Verdict::Pass);
    }

    #[test]
    fn memory_that_grew_is_a_regression() {
        let mut later = profile(1.0);
        for config in &mut later.configs {
            config.mem.base *= 1.3;
        }
        assert_eq!(profiles(&profile(1.0), &later).verdict, Verdict::Regressed);
    }

    #[test]
    fn what_cannot_be_compared_is_said() {
        let changed = |change: fn(&mut Profile)| {
            let mut later = profile(1.2);
            change(&mut later);
            let found = profiles(&profile(1.0), &later);
            assert_eq!(found.verdict, Verdict::Inconclusive);
            found.reasons.join("")
        };
        let reason = changed(|later| later.corpus.id = "mine".to_owned());
        assert!(reason.contains("corpus was"), "{reason}");
        let reason = changed(|later| later.node.fingerprint.cpu_model = "another".to_owned());
        assert!(reason.contains("CPU was"), "{reason}");
        let reason = changed(|later| {
            let gpu = later.node.fingerprint.gpu.as_mut().unwrap();
            gpu.mig = Some("1g.5gb".to_owned());
        });
        assert!(reason.contains("is NVIDIA-L4 1g.5gb"), "{reason}");
        let reason = changed(|later| {
            let speed = later.node.fingerprint.gemm_gflops1t;
            later.node.fingerprint.gemm_gflops1t = speed.map(|speed| 0.85 * speed);
        });
        assert!(reason.contains("-15 %"), "{reason}");
        let reason = changed(|later| later.run.validity = Validity::Invalid);
        assert!(reason.contains("not valid"), "{reason}");
    }

    #[test]
    fn profiles_without_samples_give_no_answer() {
        let bare = Profile::from_json(tts_planner_dev::samples::PROFILE).unwrap();
        let found = profiles(&bare, &bare);
        assert_eq!(found.verdict, Verdict::Inconclusive);
        assert_eq!(found.cause, Some(Cause::TooFewSamples));
    }
}
