//! Prints why a case of a file of golden cases is planned as it is: reasons, candidates, rejected
//! alternatives.
//!
//! `cargo run -p tts-planner --example explain -- operator/planner/tests/goldens/plans.json P3`;
//! without a case, all.

use std::process::ExitCode;

use tts_planner::{Decision, Infeasible, Plan, plan};
use tts_planner_dev::goldens::Goldens;

/// Candidates and rejections beyond this are counted only.
const SHOWN: usize = 8;

fn main() -> ExitCode {
    match run() {
        Ok(()) => ExitCode::SUCCESS,
        Err(message) => {
            eprintln!("{message}");
            ExitCode::from(2)
        }
    }
}

fn run() -> Result<(), String> {
    let mut arguments = std::env::args().skip(1);
    let file = arguments.next().ok_or("usage: explain FILE [CASE]")?;
    let wanted = arguments.next().unwrap_or_default();
    let text = std::fs::read_to_string(&file).map_err(|error| format!("{file}: {error}"))?;
    let goldens = Goldens::from_json(&text).map_err(|error| format!("{file}: {error}"))?;
    // "P1" is the first case, not the eleventh too.
    let exact = goldens
        .cases
        .iter()
        .any(|case| first_word(&case.name) == wanted);
    let chosen = |name: &str| {
        if exact {
            first_word(name) == wanted
        } else {
            name.contains(&wanted)
        }
    };
    let mut found = false;
    for case in goldens.cases.iter().filter(|case| chosen(&case.name)) {
        found = true;
        println!("{}\n", case.name);
        match plan(&goldens.request(case)?).map_err(|error| error.to_string())? {
            Decision::Plan(plan) => explain(&plan),
            Decision::Infeasible(infeasible) => explain_infeasible(&infeasible),
        }
    }
    if found {
        Ok(())
    } else {
        Err(format!("{file}: no case {wanted:?}"))
    }
}

fn first_word(name: &str) -> &str {
    name.split(' ').next().unwrap_or_default()
}

fn explain(plan: &Plan) {
    println!(
        "  {} pod(s) on {}: {} cpu and {:.0} MiB each, {} thread(s) per request, {} at once, {} waiting\n",
        plan.replicas.at_peak,
        plan.node_class,
        plan.pod.resources.cpu_request,
        plan.pod.resources.memory,
        plan.pod.threads.intra_op,
        plan.pod.max_concurrency,
        plan.pod.queue,
    );
    for reason in &plan.reasons {
        println!("  {:<22} {reason}", reason.code());
    }
    list("candidates, best first", &plan.candidates);
    list("rejected", &plan.rejected);
}

fn explain_infeasible(infeasible: &Infeasible) {
    println!("  {}: {}", infeasible.condition, infeasible.reason);
    if let Some(plan) = &infeasible.best_effort {
        println!("\n  nearest:");
        for reason in &plan.reasons {
            println!("  {:<22} {reason}", reason.code());
        }
    }
    if let Some(fill) = &infeasible.together {
        println!(
            "\n  over several classes: {:.3} an hour, {:.2} req/s uncovered",
            fill.cost_per_hour, fill.uncovered
        );
        for share in &fill.shares {
            println!(
                "    {} pod(s), {:.2} req/s: {}",
                share.replicas, share.rate, share.alternative
            );
        }
    }
    list("rejected", &infeasible.rejected);
}

fn list<T: std::fmt::Display>(title: &str, entries: &[T]) {
    if entries.is_empty() {
        return;
    }
    println!("\n  {title}:");
    for entry in entries.iter().take(SHOWN) {
        println!("    {entry}");
    }
    if entries.len() > SHOWN {
        println!("    and {} more", entries.len() - SHOWN);
    }
    println!();
}
