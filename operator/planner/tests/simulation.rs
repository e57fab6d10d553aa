//! The closed forms and whole plans against a simulator that shares none of their assumptions.

#![expect(
    clippy::unwrap_used,
    reason = "a test's helpers may fail as the test may"
)]

use tts_planner::profile::Config;
use tts_planner::{Decision, LoadBalancing, Measurement, Peak, Plan, Request, plan};
use tts_planner_dev::goldens::{Case, Goldens};
use tts_planner_dev::samples;
use tts_planner_dev::validation::{Point, Summary, shapes, weak_shapes};
use tts_planner_simulator::{Balancing, Length, Pods, Work};

const ARRIVALS: usize = 100_000;
const SEED: u64 = 4;

#[test]
fn predictions_hold_on_the_grid() {
    let points: Vec<Point> = shapes()
        .iter()
        .flat_map(|shape| shape.points(ARRIVALS, SEED, 0.0))
        .collect();
    assert_eq!(points.len(), 90);
    let summary = Summary::of(&points);
    assert!(
        summary.mean_absolute <= 0.06,
        "mean |error| {:.3}",
        summary.mean_absolute
    );
    assert!(
        summary.lowest >= -0.05,
        "{:?}",
        points.iter().min_by(|a, b| a.error().total_cmp(&b.error()))
    );
    assert!(
        summary.highest <= 0.15,
        "{:?}",
        points.iter().max_by(|a, b| a.error().total_cmp(&b.error()))
    );
    assert!(
        summary.highest_of_mean_in_system <= 0.05,
        "{:.3}",
        summary.highest_of_mean_in_system
    );
}

#[test]
fn what_a_plan_predicts_is_never_far_too_early() {
    // Every plan derates by at least this.
    let points = weak_shapes()
        .iter()
        .flat_map(|shape| shape.points(ARRIVALS, SEED, 0.05))
        .collect::<Vec<_>>();
    let lowest = points
        .iter()
        .min_by(|a, b| a.error().total_cmp(&b.error()))
        .unwrap();
    assert!(lowest.error() >= -0.05, "{lowest:?}");
}

/// Golden plans made from profiles in good order: their pods are as fast as the profile says.
fn plans() -> Vec<(String, Request, Plan)> {
    let goldens = Goldens::from_json(include_str!("goldens/plans.json")).unwrap();
    let of = |case: &Case| {
        let request = goldens.request(case).unwrap();
        match plan(&request).unwrap() {
            Decision::Plan(plan) => Some((case.name.clone(), request, *plan)),
            Decision::Infeasible(_) => None,
        }
    };
    goldens.cases.iter().filter_map(of).collect()
}

/// The texts of a request and the pods of its plan, at the speed that was measured.
fn simulated(request: &Request, plan: &Plan, count: u32, queue: Option<u32>) -> (Work, Pods) {
    let profile = &request
        .measurements
        .iter()
        .find(|m| m.profile.id == plan.profile)
        .unwrap()
        .profile;
    let same = |config: &&Config| {
        config.cpu.total_cmp(&plan.pod.cpu).is_eq() && config.threads == plan.pod.threads.intra_op
    };
    let config = profile.configs.iter().find(same).unwrap();
    let work = Work {
        mean_audio: request.load.mean_audio,
        audio_cv: request.load.audio_cv,
        length: Length::LogNormal,
        s0: config.s0,
        s1: config.s1,
        f0: config.f0,
        f1: config.f1,
        chunk: profile
            .streaming
            .then_some((profile.corpus.chunk_audio, 0.35)),
        noise: profile.run.noise_cv,
    };
    let pods = Pods {
        count: usize::try_from(count).unwrap(),
        slowdown: (1..=plan.pod.max_concurrency)
            .map(|n| slowdown(config, n))
            .collect(),
        queue: queue.map(|queue| usize::try_from(queue).unwrap()),
        balancing: Balancing::Random,
    };
    (work, pods)
}

/// Late-or-rejected of `count` pods of a plan at its peak.
fn late_or_rejected(
    request: &Request,
    plan: &Plan,
    count: u32,
    queue: Option<u32>,
    seed: u64,
) -> f64 {
    let (work, pods) = simulated(request, plan, count, queue);
    let requests = work.arrivals(request.load.peak_rps(), ARRIVALS, seed);
    pods.run(&requests, seed)
        .late_or_rejected(request.objectives.ttfa_p95)
}

/// `n·X(1)/X(n)`, straight in X between measured levels.
fn slowdown(config: &Config, n: u32) -> f64 {
    let upper = config.levels.iter().find(|level| level.n >= n).unwrap();
    let lower = config.levels.iter().rfind(|level| level.n <= n).unwrap();
    let share = if upper.n == lower.n {
        0.0
    } else {
        f64::from(n - lower.n) / f64::from(upper.n - lower.n)
    };
    let rate = lower.audio_per_sec + share * (upper.audio_per_sec - lower.audio_per_sec);
    f64::from(n) * config.levels[0].audio_per_sec / rate
}

#[test]
fn golden_plans_keep_their_promise_without_waste() {
    let mut checked = 0;
    for (name, request, plan) in plans() {
        let planned = plan.replicas.at_peak;
        let late = late_or_rejected(&request, &plan, planned, Some(plan.pod.queue), 1);
        assert!(
            late <= 0.05,
            "{name}: {planned} pods are too few: {late:.4} late or rejected"
        );
        // Enough is what serves everybody, in each of three runs: a pod that keeps its promise to
        // those it does not refuse keeps another promise.
        let enough = |count| {
            (1..=3).all(|seed| late_or_rejected(&request, &plan, count, None, seed) <= 0.05)
        };
        let mut smallest = planned;
        while smallest > 1 && enough(smallest - 1) {
            smallest -= 1;
        }
        println!(
            "{name}: {planned} pods planned, {smallest} would do, {:.1} % late or rejected",
            100.0 * late
        );
        // A degraded profile is not believed on purpose.
        if plan.predicted.derate <= request.policy.min_derate {
            let allowed = f64::from(smallest) + f64::max(1.0, 0.2 * f64::from(smallest));
            assert!(
                f64::from(planned) <= allowed,
                "{name}: {planned} pods planned, {smallest} would do"
            );
            checked += 1;
        }
    }
    assert_eq!(
        checked, 13,
        "of 16 golden cases two are infeasible and one is degraded"
    );
}

/// Plans for balanced pods: burstiness, spread of the lengths, objective and peak vary.
fn balanced_plans() -> Vec<(Request, Plan)> {
    let mut plans = Vec::new();
    for workers in [1, 4] {
        for audio_cv in [0.0, 0.6, 1.5] {
            for burstiness in [0.5, 1.0, 3.0] {
                for (ttfa_p95, rate) in [
                    (0.45, 1.0),
                    (0.45, 8.0),
                    (0.6, 3.0),
                    (0.6, 13.0),
                    (0.6, 40.0),
                    (1.2, 5.0),
                    (1.2, 14.0),
                    (4.0, 2.0),
                    (4.0, 30.0),
                ] {
                    let mut request = samples::request();
                    let mut profile = samples::on_cpu("cpu", samples::PIPER, &[workers]);
                    profile.configs.retain(|config| config.threads == 1);
                    request.measurements = vec![Measurement::as_recorded(profile)];
                    request.classes = vec![samples::node("cpu", 15.5, 100, 0.3, 0)];
                    request.objectives.ttfa_p95 = ttfa_p95;
                    request.load.peak = Peak::RequestsPerSecond(rate);
                    request.load.audio_cv = audio_cv;
                    request.load.burstiness = burstiness;
                    request.policy.interpolate_sizes = false;
                    for balancing in [LoadBalancing::RoundRobin, LoadBalancing::LeastRequest] {
                        request.policy.load_balancing = balancing;
                        if let Decision::Plan(plan) = plan(&request).unwrap() {
                            plans.push((request.clone(), *plan));
                        }
                    }
                }
            }
        }
    }
    plans
}

#[test]
fn balanced_pods_keep_their_promise_at_the_rate_planned_for() {
    const RUNS: u32 = 5;
    // Student's t for four degrees of freedom.
    const T95: f64 = 2.776;
    let plans = balanced_plans();
    assert!(plans.len() >= 200, "{} plans", plans.len());
    let mut broken = Vec::new();
    for (request, plan) in &plans {
        let replicas = plan.replicas.at_peak;
        let (work, mut pods) = simulated(request, plan, replicas, Some(plan.pod.queue));
        pods.balancing = match request.policy.load_balancing {
            LoadBalancing::Random => Balancing::Random,
            LoadBalancing::RoundRobin => Balancing::RoundRobin,
            LoadBalancing::LeastRequest => Balancing::LeastInFlight,
        };
        let rate = plan.predicted.rate * f64::from(replicas);
        let burstiness = request.load.burstiness;
        let late: Vec<f64> = (1..=RUNS)
            .map(|seed| {
                let seed = u64::from(seed);
                let requests = work.renewal_arrivals(rate, burstiness, ARRIVALS / 10, seed);
                pods.run(&requests, seed)
                    .late_or_rejected(request.objectives.ttfa_p95)
            })
            .collect();
        let runs = f64::from(RUNS);
        let mean = late.iter().sum::<f64>() / runs;
        let variance = late.iter().map(|late| (late - mean).powi(2)).sum::<f64>() / (runs - 1.0);
        let interval = T95 * (variance / runs).sqrt();
        let case = format!(
            "{}: {replicas} pods of {} slots, burstiness {burstiness}, lengths vary by {}, {} s: {:.1} % late or rejected, +-{:.1} %",
            request.policy.load_balancing,
            plan.pod.max_concurrency,
            request.load.audio_cv,
            request.objectives.ttfa_p95,
            100.0 * mean,
            100.0 * interval,
        );
        println!("{case}");
        if mean > 0.05 + interval {
            broken.push(case);
        }
    }
    assert!(broken.is_empty(), "{broken:#?}");
}
