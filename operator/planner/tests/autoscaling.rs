//! The autoscaler of a plan in the simulator: where it settles, and how it follows a load that
//! grows fourfold.

use tts_planner_dev::cases;
use tts_planner_dev::scaling::{Change, runs};
use tts_planner_dev::simulation::Case;

/// Pods whose metric is the mean of enough requests: 30 s of 16 requests per second. With fewer, the
/// metric itself varies by more than the autoscaler's tolerance.
fn busy() -> impl Iterator<Item = Case> {
    let cases = cases::scaled(0.2, 30.0).into_iter();
    cases.filter(|case| case.request.load.peak_rps() >= 16.0)
}

#[test]
fn settles_where_its_metric_is_within_the_tolerance() {
    let mut checked = 0;
    for case in busy() {
        let (fewest, most) = case.tolerated(30_000);
        let steady = case.settled(1.0, case.plan.replicas.steady, 1);
        // The target is that of pods as slow as the derate makes them: S is at the upper end.
        let planned = f64::from(case.plan.replicas.steady);
        let highest = f64::from(most) + f64::max(1.0, 0.2 * f64::from(most));
        assert!(
            (f64::from(fewest)..=highest).contains(&planned),
            "{}: {planned} planned, {fewest} to {most}",
            case.name
        );
        let most = f64::from(most) + f64::max(1.0, 0.1 * f64::from(most));
        let context = format!("{}: {fewest} to {most:.1} pods: {steady:?}", case.name);
        assert!(
            (f64::from(fewest)..=most).contains(&steady.mean),
            "{context}"
        );
        assert!(steady.highest < case.plan.replicas.max, "{context}");
        assert!(steady.direction_changes <= 5, "{context}");
        assert!(steady.late <= 5.0, "{context}");
        checked += 1;
    }
    assert_eq!(checked, 10);
}

#[test]
fn scales_down_to_the_base_load() {
    for case in busy() {
        let share = case.request.policy.base_share;
        let steady = case.settled(share, case.plan.replicas.max, 1);
        let expected = case.at_share(share);
        let context = format!("{}: {expected} pods at the target: {steady:?}", case.name);
        assert!(steady.lowest >= case.plan.replicas.min, "{context}");
        assert!(steady.mean <= f64::from(expected) + 0.5, "{context}");
        assert!(steady.direction_changes <= 3, "{context}");
        assert!(steady.late <= 5.0, "{context}");
    }
}

/// A load that grows to the fourfold in five minutes grows by 32 % per minute on average, in a
/// straight line by 60 % in the first minute: 0.3 is enough for both.
#[test]
fn a_ramp_to_the_fourfold_costs_one_percent_and_keeps_the_promise_each_minute() {
    for (ramp, change) in [
        (0.3, Change::Exponential(300.0)),
        (0.3, Change::Ramp(300.0)),
    ] {
        for cold_start in [4.0, 30.0, 90.0] {
            for case in cases::scaled(ramp, cold_start) {
                let found = case.reaction(0.25, 1.0, change, runs(&case, 4_000));
                // What the promise itself allows at a steady peak is not the ramp's.
                let steady = case.late_at_steady(20_000);
                let context = format!(
                    "{}, {change:?} planned with {ramp}, cold start {cold_start} s: {found:?}, {steady:.2} % at a steady peak",
                    case.name
                );
                assert!(found.late <= steady + 1.0, "{context}");
                assert!(found.worst_minute <= 5.0, "{context}");
            }
        }
    }
}
