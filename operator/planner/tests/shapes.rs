//! Pod sizes that were not measured: what is said of them and how much is taken off.

#![expect(
    clippy::unwrap_used,
    reason = "a test's helpers may fail as the test may"
)]

use tts_planner::fits::Usl;
use tts_planner::{AcceptedPlan, Profile, Request, plan};
use tts_planner_dev::samples::{PIPER, changed, decide, on_cpu, request};

/// A request for a voice measured on pods of the given cores, on nodes of `node` cores.
fn on(measured: &[u32], node: f64) -> Request {
    let mut request = request();
    request.measurements.truncate(1);
    request.classes.truncate(1);
    request.measurements[0].profile = on_cpu("cpu", PIPER, measured);
    request.classes[0].allocatable_cpu = node;
    request.objectives.ttfa_p95 = 0.6;
    request
}

fn planned(request: &Request) -> AcceptedPlan {
    plan(request).unwrap().plan().unwrap().clone()
}

fn said(plan: &AcceptedPlan) -> String {
    plan.reason("Interpolated").unwrap().to_string()
}

/// Every level n of the profile's one-thread pods, with its throughput changed by `factor`.
fn scale(profile: &mut Profile, n: u32, factor: f64) {
    for level in profile
        .configs
        .iter_mut()
        .filter(|config| config.threads == 1)
        .flat_map(|config| &mut config.levels)
        .filter(|level| level.n == n)
    {
        level.audio_per_sec *= factor;
    }
}

#[test]
fn only_a_size_between_measured_ones_is_said_to_lie_between() {
    let between = planned(&on(&[1, 4], 3.2));
    assert_eq!(between.pod.cpu.to_bits(), 3.0_f64.to_bits());
    assert!(
        said(&between).contains("lies between"),
        "{}",
        said(&between)
    );
    let above = planned(&on(&[2], 4.2));
    assert_eq!(above.pod.cpu.to_bits(), 4.0_f64.to_bits());
    assert!(!said(&above).contains("between"), "{}", said(&above));
    assert!(said(&above).contains("up to twice"), "{}", said(&above));
    let below = planned(&on(&[4], 2.2));
    assert_eq!(below.pod.cpu.to_bits(), 2.0_f64.to_bits());
    assert!(!said(&below).contains("between"), "{}", said(&below));
    assert!(said(&below).contains("below"), "{}", said(&below));
}

#[test]
fn more_at_once_than_was_measured_is_above_whatever_the_cores() {
    let mut request = on(&[1, 4], 3.2);
    for config in &mut request.measurements[0].profile.configs {
        config.levels.retain(|level| level.n <= 2);
    }
    let plan = planned(&request);
    assert_eq!(plan.pod.cpu.to_bits(), 3.0_f64.to_bits());
    assert!(said(&plan).contains("lies above"), "{}", said(&plan));
}

#[test]
fn a_size_whose_levels_were_all_measured_owes_nothing_to_the_law() {
    let mut request = on(&[4], 2.2);
    let profile = &mut request.measurements[0].profile;
    profile.configs.retain(|config| config.threads == 1);
    scale(profile, 2, 0.8);
    let plan = planned(&request);
    assert_eq!(plan.pod.cpu.to_bits(), 2.0_f64.to_bits());
    assert!((plan.predicted.unwrap().derate - 0.05).abs() < 1e-12);
    assert!(!said(&plan).contains("law"), "{}", said(&plan));
}

#[test]
fn a_law_that_misses_the_measurements_takes_at_least_as_much_off() {
    let mut request = on(&[1, 4], 3.2);
    scale(&mut request.measurements[0].profile, 2, 0.8);
    let four = request.measurements[0]
        .profile
        .configs
        .iter()
        .find(|config| config.cpu >= 4.0 && config.threads == 1);
    let points: Vec<(f64, f64)> = four
        .unwrap()
        .levels
        .iter()
        .map(|level| (f64::from(level.n), level.audio_per_sec))
        .collect();
    let residual = Usl::fit(&points).unwrap().max_residual;
    assert!(residual > 0.06, "{residual}: more than the policy's floor");
    let plan = planned(&request);
    assert!(plan.pod.interpolated);
    assert!(
        plan.predicted.unwrap().derate >= residual - 1e-12,
        "{} < {residual}",
        plan.predicted.unwrap().derate
    );
    let wanted = format!(
        "misses measured throughput by up to {:.0} %",
        100.0 * residual
    );
    assert!(said(&plan).contains(&wanted), "{}", said(&plan));
}

#[test]
fn a_law_that_fits_takes_no_more_off_than_the_policy() {
    let plan = planned(&on(&[1, 4], 3.2));
    assert!(plan.pod.interpolated);
    assert!((plan.predicted.unwrap().derate - 0.05).abs() < 1e-12);
}

#[test]
fn sizes_between_measured_ones_are_flagged() {
    let request = on(&[1, 4], 6.4);
    let plan = planned(&request);
    let sizes: Vec<f64> = decide(&request)
        .alternatives
        .candidates
        .iter()
        .filter(|c| c.interpolated)
        .map(|c| c.cpu)
        .collect();
    assert!(sizes.contains(&6.0) && sizes.contains(&3.0), "{sizes:?}");
    assert!(!sizes.contains(&1.0) && !sizes.contains(&4.0), "{sizes:?}");
    assert!(plan.pod.interpolated);
    assert!(plan.reason("Interpolated").is_some());
    let measured = decide(&changed(&request, |r| r.policy.interpolate_sizes = false));
    assert!(
        !measured.plan().unwrap().pod.interpolated
            && measured
                .alternatives
                .candidates
                .iter()
                .all(|candidate| !candidate.interpolated)
    );
}

#[test]
fn no_size_is_more_than_one_doubling_away() {
    let candidates = decide(&on(&[2], 64.0)).alternatives.candidates;
    let largest = candidates.iter().map(|candidate| candidate.cpu);
    assert!(
        (largest.fold(0.0, f64::max) - 4.0).abs() < 1e-9,
        "{candidates:?}"
    );
}
