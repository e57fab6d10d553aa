//! Whole plans against the simulator: R pods at the rate planned for keep the promise, and not many
//! fewer would.

use tts_planner_dev::cases;
use tts_planner_dev::simulation::Case;

/// Per run; there are five.
const ARRIVALS: usize = 8_000;
/// Per run of the search for fewer pods.
const SEARCHED: usize = 40_000;
/// Requests that an idle pod is tried with, per voice.
const IDLE: usize = 1_500;

/// At the planned rate at most 5 % are late or rejected, beyond the 95 % confidence interval, and in
/// an idle pod at most 5 % of each voice.
fn keep_the_promise(cases: &[Case]) {
    let mut broken = Vec::new();
    for case in cases {
        let late = case.at_planned_rate(ARRIVALS);
        let idle = case.idle(IDLE);
        if late.is_above(5.0) || idle.iter().any(|late| *late > 0.05) {
            broken.push(format!(
                "{}: {:.1} +- {:.1} % late or rejected, idle {idle:?}",
                case.name, late.mean, late.interval
            ));
        }
    }
    assert!(broken.is_empty(), "{broken:#?}");
}

/// R is at most one pod or 20 % above what is needed.
fn waste_nothing<'a>(cases: impl IntoIterator<Item = &'a Case>) {
    let wasteful = wasteful(cases);
    assert!(wasteful.is_empty(), "{wasteful:#?}");
}

fn wasteful<'a>(cases: impl IntoIterator<Item = &'a Case>) -> Vec<String> {
    cases
        .into_iter()
        .filter(|case| case.is_wasteful(SEARCHED))
        .map(|case| {
            let planned = case.plan.replicas.at_peak;
            let needed = case.needed(SEARCHED);
            format!("{}: {planned} pods planned, {needed} would do", case.name)
        })
        .collect()
}

/// A pod with one slot that is mostly idle is so sensitive to its speed that the derate of 5 %
/// alone can cost more than 20 % of the pods.
fn is_steady(case: &Case) -> bool {
    case.plan.pod.max_concurrency > 1 || case.plan.predicted.is_some_and(|p| p.utilisation >= 0.25)
}

#[test]
fn golden_plans_keep_their_promise_without_waste() {
    let cases = cases::goldens();
    assert_eq!(cases.len(), 14, "of 16 golden cases two are infeasible");
    keep_the_promise(&cases);
    // A degraded profile is not believed on purpose.
    waste_nothing(cases.iter().filter(|case| {
        let derate = case.plan.predicted.map(|predicted| predicted.derate);
        derate.is_some_and(|derate| derate <= case.request.policy.min_derate)
    }));
}

#[test]
fn mixes_of_fast_and_slow_voices_keep_their_promise_without_waste() {
    let cases = cases::mixes();
    assert!(cases.len() >= 60, "{} plans", cases.len());
    keep_the_promise(&cases);
    waste_nothing(cases.iter().filter(|case| is_steady(case)));
}

#[test]
fn pods_beside_neighbours_keep_their_promise_without_waste() {
    let cases = cases::neighbours(true);
    assert_eq!(cases.len(), 24);
    assert!(cases.iter().all(|case| case.per_node() > 1));
    keep_the_promise(&cases);
    waste_nothing(cases.iter().filter(|case| is_steady(case)));
}

#[test]
fn pods_beside_unmeasured_neighbours_keep_their_promise() {
    let cases = cases::neighbours(false);
    assert_eq!(cases.len(), 12);
    keep_the_promise(&cases);
}

#[test]
fn pods_that_share_a_gpu_keep_their_promise_without_waste() {
    let cases = cases::shared_gpus();
    assert_eq!(cases.len(), 9);
    keep_the_promise(&cases);
    // Pods of one slot each: one plan has 11 pods where 9 would do.
    let wasteful = wasteful(cases.iter().filter(|case| is_steady(case)));
    assert!(wasteful.len() <= 1, "{wasteful:#?}");
}

#[test]
fn requests_that_take_turns_keep_the_promise_with_fewer_pods() {
    let cases = cases::turns();
    assert_eq!(cases.len(), 27);
    keep_the_promise(&cases);
    let pods = |cases: &[Case]| -> u32 {
        let replicas = cases.iter().map(|case| case.plan.replicas.at_peak);
        replicas.sum()
    };
    // The same plans of profiles that do not say how many chunks there are.
    let whole = cases.iter().filter_map(|case| {
        let mut request = case.request.clone();
        for measurement in &mut request.measurements {
            measurement.profile.corpus.chunks_per_text = None;
        }
        Case::new(case.name.clone(), request)
    });
    let whole: Vec<Case> = whole.collect();
    assert!(
        pods(&cases) < pods(&whole),
        "{} pods in turns, {} without",
        pods(&cases),
        pods(&whole)
    );
    // With few texts of a second chunk the law is up to 20 % on the safe side: one plan has 20 pods where 14 would do.
    let wasteful = wasteful(&cases);
    assert!(wasteful.len() <= 3, "{wasteful:#?}");
}

#[test]
fn texts_of_other_lengths_keep_the_promise_without_waste() {
    let cases = cases::lengths();
    assert!(cases.len() >= 28, "{} plans", cases.len());
    keep_the_promise(&cases);
    // Texts shorter than the first chunk of the measured ones have their first audio sooner than
    // the profile can tell.
    waste_nothing(cases.iter().filter(|case| is_steady(case)).filter(|case| {
        let streaming = case
            .request
            .measurements
            .iter()
            .all(|m| m.profile.streaming);
        !streaming || case.request.load.mean_audio > 6.0
    }));
}

#[test]
fn sizes_between_the_measured_ones_keep_the_promise_without_waste() {
    let cases = cases::interpolated();
    assert_eq!(cases.len(), 15);
    keep_the_promise(&cases);
    waste_nothing(&cases);
}

#[test]
fn balanced_pods_keep_their_promise_at_the_rate_planned_for() {
    let cases = cases::balanced();
    assert!(cases.len() >= 250, "{} plans", cases.len());
    keep_the_promise(&cases);
}
