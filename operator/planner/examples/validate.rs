//! The planner against the simulator. Prints
//!
//! - the closed forms' error at each point of the grid, and where they are weakest;
//! - whole plans: late or rejected with R pods at the rate planned for, and R against the pods that
//!   are needed;
//! - the autoscaler of plans: where it settles and how it follows a growing load.
//!
//! `cargo run --release -p tts-planner --example validate -- [ARRIVALS]`, 200,000 per point of the
//! grid by default: a few minutes.

use std::process::ExitCode;

use tts_planner_dev::cases;
use tts_planner_dev::scaling::{Change, runs};
use tts_planner_dev::simulation::Case;
use tts_planner_dev::validation::{Shape, Summary, shapes, weak_shapes};

fn main() -> ExitCode {
    let arrivals = match std::env::args().nth(1).map(|argument| argument.parse()) {
        None => 200_000,
        Some(Ok(arrivals)) => arrivals,
        Some(Err(error)) => {
            eprintln!("usage: validate [ARRIVALS]: {error}");
            return ExitCode::from(2);
        }
    };
    println!(
        "{:<26} {:>5} {:>10} {:>10} {:>7} {:>7}",
        "pod", "load", "predicted", "simulated", "p95", "L"
    );
    summarise("the grid", &shapes(), arrivals, 0.0);
    summarise("where it is weakest", &weak_shapes(), arrivals, 0.0);
    summarise(
        "the same, derated by 5 % as in every plan",
        &weak_shapes(),
        arrivals,
        0.05,
    );
    println!(
        "\n{:<62} {:>2} {:>5} {:>7} {:>14} {:>5} {:>6}",
        "plan", "C", "load", "speed", "late, rejected", "R", "needed"
    );
    for (title, of) in [
        ("golden plans", cases::goldens()),
        ("two voices", cases::mixes()),
        ("beside neighbours", cases::neighbours(true)),
        ("beside unmeasured neighbours", cases::neighbours(false)),
        ("pods that share a GPU", cases::shared_gpus()),
        ("other lengths", cases::lengths()),
        ("sizes that were not measured", cases::interpolated()),
        ("balancers and bursts", cases::balanced()),
    ] {
        plans(title, &of, arrivals);
    }
    settled();
    followed();
    ExitCode::SUCCESS
}

fn summarise(title: &str, shapes: &[Shape], arrivals: usize, derate: f64) {
    let mut points = Vec::new();
    for shape in shapes {
        for point in shape.points(arrivals, 4, derate) {
            println!(
                "{:<26} {:>5.2} {:>8.0}ms {:>8.0}ms {:>+6.1}% {:>+6.1}%",
                point.shape,
                point.load,
                1000.0 * point.predicted,
                1000.0 * point.simulated,
                100.0 * point.error(),
                100.0 * point.mean_error
            );
            points.push(point);
        }
    }
    let summary = Summary::of(&points);
    println!(
        "{title}, {} points: mean |p95 error| {:.1} %, from {:+.1} % to {:+.1} %; mean in system within {:.1} %",
        points.len(),
        100.0 * summary.mean_absolute,
        100.0 * summary.lowest,
        100.0 * summary.highest,
        100.0 * summary.highest_of_mean_in_system
    );
}

/// A line per plan where there are few, and a summary.
fn plans(title: &str, cases: &[Case], arrivals: usize) {
    let (mut broken, mut too_few, mut wasteful, mut latest) = (0, 0, 0, 0.0);
    let (mut planned, mut needed) = (0, 0);
    // The search for the fewest pods takes most of the time.
    let few = cases.len() < 100;
    for case in cases {
        let late = case.at_planned_rate(arrivals / 20);
        broken += u32::from(late.is_above(5.0));
        latest = f64::max(latest, late.mean);
        let Some(predicted) = case.plan.predicted.filter(|_| few) else {
            continue;
        };
        let replicas = case.plan.replicas.at_peak;
        let enough = case.needed(arrivals / 10);
        planned += replicas;
        needed += enough;
        too_few += u32::from(enough > replicas);
        wasteful += u32::from(case.is_wasteful(arrivals / 10));
        println!(
            "{:<62.62} {:>2} {:>4.0}% {:>6.0}% {:>6.2} +- {:.2}% {:>5} {:>6}",
            case.name,
            case.plan.pod.max_concurrency,
            100.0 * predicted.utilisation,
            100.0 * predicted.beside_neighbours,
            late.mean,
            late.interval,
            replicas,
            enough
        );
    }
    print!(
        "{title}, {} plans: {broken} above 5 % late or rejected, {latest:.1} % at most",
        cases.len()
    );
    if few {
        print!(
            "; {planned} pods planned, {needed} needed; {too_few} too few without a queue's limit, {wasteful} more than one pod and 20 % too many"
        );
    }
    println!();
}

fn settled() {
    println!(
        "\n{:<40} {:>6} {:>4} {:>4} {:>4} {:>9} {:>6} {:>9} {:>5} {:>6} {:>5}",
        "an hour at the peak",
        "req/s",
        "R",
        "S",
        "max",
        "tolerated",
        "mean",
        "range",
        "turns",
        "late",
        "base"
    );
    for case in cases::scaled(0.2, 30.0) {
        let replicas = case.plan.replicas;
        let (fewest, most) = case.tolerated(40_000);
        let peak = case.settled(1.0, replicas.steady, 1);
        let base = case.settled(case.request.policy.base_share, replicas.max, 1);
        println!(
            "{:<40.40} {:>6.1} {:>4} {:>4} {:>4} {:>9} {:>6.1} {:>9} {:>5} {:>5.2}% {:>5.1}",
            case.name,
            case.request.load.peak_rps(),
            replicas.at_peak,
            replicas.steady,
            replicas.max,
            format!("{fewest}-{most}"),
            peak.mean,
            format!("{}-{}", peak.lowest, peak.highest),
            peak.direction_changes,
            peak.late,
            base.mean
        );
    }
}

fn followed() {
    println!(
        "\n{:<28} {:>5} {:>6} {:>5} {:>5} {:>9} {:>12} {:>13} {:>12}",
        "a growing load",
        "ramp",
        "cold",
        "R",
        "S",
        "late",
        "above steady",
        "worst minute",
        "plans >5%"
    );
    for (name, from, change) in [
        ("x4 in 5 min, straight", 0.25, Change::Ramp(300.0)),
        ("x4 in 5 min, exponential", 0.25, Change::Exponential(300.0)),
        ("x2 at once", 0.5, Change::Ramp(0.0)),
        ("x4 at once", 0.25, Change::Ramp(0.0)),
    ] {
        for ramp in [0.2, 0.3, 0.6] {
            for cold_start in [4.0, 30.0, 90.0] {
                let (mut planned, mut steady_pods, mut broken) = (0, 0, 0);
                let (mut late, mut above, mut worst) = (0.0, 0.0, 0.0);
                for case in cases::scaled(ramp, cold_start) {
                    let found = case.reaction(from, 1.0, change, runs(&case, 6_000));
                    planned += case.plan.replicas.at_peak;
                    steady_pods += case.plan.replicas.steady;
                    broken += u32::from(found.worst_minute > 5.0);
                    late = f64::max(late, found.late);
                    above = f64::max(above, found.late - case.late_at_steady(20_000));
                    worst = f64::max(worst, found.worst_minute);
                }
                println!(
                    "{name:<28} {ramp:>5} {cold_start:>5}s {planned:>5} {steady_pods:>5} {late:>8.2}% {above:>11.2}% {worst:>12.1}% {broken:>12}"
                );
            }
        }
    }
}
