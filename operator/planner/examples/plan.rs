//! Plans the requests of a file and prints the decisions as JSON: an object gives an object, an
//! array an array.
//!
//! `cargo run --release -p tts-planner --example plan -- [--explain] REQUEST.json`; `-` reads
//! standard input, `--explain` prints text.
//!
//! A request that cannot be planned gives `{"error": "…"}`. A single one then ends with status 1;
//! in an array each has its own answer, and the status is 0. Status 2: the file cannot be read.
//! A profile that cannot be read does not end its request: it is reported as rejected.

use std::io::{Read, Write};
use std::process::ExitCode;

use serde_json::{Value, json};
use tts_planner::{
    AcceptedPlan, Alternatives, Decision, Infeasible, Outcome, Profile, Request, Unreadable, plan,
};

fn main() -> ExitCode {
    match run() {
        Ok(true) => ExitCode::SUCCESS,
        Ok(false) => ExitCode::from(1),
        Err(message) => {
            eprintln!("{message}");
            ExitCode::from(2)
        }
    }
}

/// Whether all went well, as far as the status tells.
fn run() -> Result<bool, String> {
    const USAGE: &str = "usage: plan [--explain] REQUEST.json, or - for standard input";
    let (options, files): (Vec<String>, Vec<String>) = std::env::args()
        .skip(1)
        .partition(|argument| argument.starts_with("--"));
    let ([file], true) = (
        files.as_slice(),
        options.iter().all(|option| option == "--explain"),
    ) else {
        return Err(USAGE.to_owned());
    };
    let text = if file == "-" {
        let mut text = String::new();
        let read = std::io::stdin().read_to_string(&mut text);
        read.map(|_| text)
    } else {
        std::fs::read_to_string(file)
    }
    .map_err(|error| format!("{file}: {error}"))?;
    let asked: Value = serde_json::from_str(&text).map_err(|error| format!("{file}: {error}"))?;
    let explain = !options.is_empty();
    let mut out = std::io::stdout().lock();
    let (answer, good) = match asked {
        Value::Array(requests) => {
            let answers = requests
                .into_iter()
                .map(|request| decide(request, explain).unwrap_or_else(|message| error(&message)));
            (answers.collect(), true)
        }
        request => match decide(request, explain) {
            Ok(decision) => (decision, true),
            Err(message) => (error(&message), false),
        },
    };
    let written = match (&answer, explain) {
        (Value::String(text), _) => write!(out, "{text}"),
        (Value::Array(texts), true) => texts.iter().enumerate().try_for_each(|(index, text)| {
            let text = text
                .as_str()
                .map_or_else(|| text.to_string(), str::to_owned);
            writeln!(out, "Request {}\n\n{text}", index + 1)
        }),
        _ => serde_json::to_writer_pretty(&mut out, &answer)
            .map_err(Into::into)
            .and_then(|()| writeln!(out)),
    };
    written.map_err(|error| error.to_string())?;
    Ok(good)
}

fn error(message: &str) -> Value {
    json!({ "error": message })
}

/// The decision as JSON, or as a text.
fn decide(request: Value, explain: bool) -> Result<Value, String> {
    let decision = plan(&read(request)?).map_err(|error| error.to_string())?;
    if explain {
        return Ok(explained(&decision).into());
    }
    serde_json::to_value(&decision).map_err(|error| error.to_string())
}

/// A request without the profiles that cannot be read, which are named.
fn read(mut request: Value) -> Result<Request, String> {
    let mut unreadable = Vec::new();
    if let Some(Value::Array(measurements)) = request.get_mut("measurements") {
        measurements.retain(|measurement| {
            let Some(profile) = measurement.get("profile") else {
                return true;
            };
            let Err(error) = Profile::from_json(&profile.to_string()) else {
                return true;
            };
            let id = profile.get("id").and_then(Value::as_str);
            unreadable.push(Unreadable {
                id: id.unwrap_or("a profile without an id").to_owned(),
                message: error.to_string(),
            });
            false
        });
    }
    let mut request: Request =
        serde_path_to_error::deserialize(request).map_err(|error| error.to_string())?;
    request.unreadable.extend(unreadable);
    Ok(request)
}

fn explained(decision: &Decision) -> String {
    let mut lines = match &decision.outcome {
        Outcome::Plan(plan) => plan_lines(plan),
        Outcome::Infeasible(infeasible) => infeasible_lines(infeasible),
    };
    lines.extend(alternative_lines(&decision.alternatives));
    lines.push(String::new());
    lines.join("\n")
}

fn plan_lines(plan: &AcceptedPlan) -> Vec<String> {
    let reasons = plan.reasons.iter();
    reasons
        .map(|reason| format!("{:<14} {reason}", reason.code))
        .collect()
}

fn infeasible_lines(infeasible: &Infeasible) -> Vec<String> {
    let mut lines = vec![format!("{}: {}", infeasible.condition, infeasible.message)];
    if let Some(plan) = &infeasible.best_effort {
        lines.push("\nWhat comes nearest:".to_owned());
        lines.extend(plan_lines(plan));
    }
    if let Some(fill) = &infeasible.together {
        lines.push(format!(
            "\nOver several classes: {:.3} an hour, {:.2} requests/s without a pod",
            fill.cost_per_hour, fill.uncovered
        ));
        for share in &fill.shares {
            lines.push(format!(
                "  {} pod(s), {:.2} requests/s: {}",
                share.replicas, share.rate, share.alternative
            ));
        }
    }
    lines
}

fn alternative_lines(alternatives: &Alternatives) -> Vec<String> {
    let mut lines = Vec::new();
    if !alternatives.candidates.is_empty() {
        lines.push("\nWhat keeps the objectives, best first:".to_owned());
        lines.extend(
            alternatives
                .candidates
                .iter()
                .map(|candidate| format!("  {candidate}")),
        );
    }
    if alternatives.omitted_candidates > 0 {
        lines.push(format!("  and {} more", alternatives.omitted_candidates));
    }
    if !alternatives.rejected.is_empty() {
        lines.push("\nWhat does not:".to_owned());
        lines.extend(
            alternatives
                .rejected
                .iter()
                .map(|rejection| format!("  {rejection}")),
        );
    }
    if alternatives.omitted_rejected > 0 {
        lines.push(format!("  and {} more", alternatives.omitted_rejected));
    }
    lines
}
