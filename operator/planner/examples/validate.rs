//! The planner's closed forms against the simulator: prints the error of each point of the grid and
//! a summary.
//!
//! `cargo run --release -p tts-planner --example validate -- [ARRIVALS]`, a million by default:
//! about two minutes.

use std::process::ExitCode;
use tts_planner_dev::validation::{Shape, Summary, shapes, weak_shapes};

fn main() -> ExitCode {
    let arrivals = match std::env::args().nth(1).map(|argument| argument.parse()) {
        None => 1_000_000,
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
