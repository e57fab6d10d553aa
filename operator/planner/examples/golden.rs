//! Runs a file of golden cases: prints each value that differs by more than one in a million and
//! exits 1 if there is one.
//!
//! `cargo run -p tts-planner --example golden -- FILE`; with `--found` it prints what it found
//! instead, by case and in the form of the file; with `--request CASE` the request of the case whose
//! name begins so, for the example `plan`.

use std::process::ExitCode;

use serde_json::{Map, Value};
use tts_planner_dev::goldens::{Case, Goldens, comparison};

fn main() -> ExitCode {
    match run() {
        Ok(0) => ExitCode::SUCCESS,
        Ok(_) => ExitCode::from(1),
        Err(message) => {
            eprintln!("{message}");
            ExitCode::from(2)
        }
    }
}

/// How many values differ.
fn run() -> Result<usize, String> {
    let arguments: Vec<String> = std::env::args().skip(1).collect();
    let arguments: Vec<&str> = arguments.iter().map(String::as_str).collect();
    let (file, rest) = arguments
        .split_first()
        .ok_or("usage: golden FILE [--found | --request CASE]")?;
    let text = std::fs::read_to_string(file).map_err(|error| format!("{file}: {error}"))?;
    let goldens = Goldens::from_json(&text).map_err(|error| format!("{file}: {error}"))?;
    match rest {
        [] => Ok(differences(&goldens)),
        ["--found"] => found(&goldens).map(|()| 0),
        ["--request", case] => request(&goldens, case).map(|()| 0),
        other => Err(format!("unknown: {}", other.join(" "))),
    }
}

fn differences(goldens: &Goldens) -> usize {
    let mut count = 0;
    for case in &goldens.cases {
        let differences = goldens.request(case).and_then(|request| {
            let decision = tts_planner::plan(&request).map_err(|error| error.to_string())?;
            Ok(comparison::differences(&case.expected, &decision))
        });
        // A case that cannot be planned differs as a whole.
        for difference in differences.unwrap_or_else(|error| vec![error]) {
            println!("{}: {difference}", case.name);
            count += 1;
        }
    }
    println!(
        "{} cases, {count} differences above 1e-6",
        goldens.cases.len()
    );
    count
}

fn found(goldens: &Goldens) -> Result<(), String> {
    let mut cases = Map::new();
    for case in &goldens.cases {
        let decision =
            tts_planner::plan(&goldens.request(case)?).map_err(|error| error.to_string())?;
        cases.insert(case.name.clone(), comparison::short(&decision).into());
    }
    print(&cases.into())
}

fn request(goldens: &Goldens, name: &str) -> Result<(), String> {
    // "P1" is the first case, not the eleventh too.
    let first = |case: &&Case| case.name.split(' ').next() == Some(name);
    let case = goldens
        .cases
        .iter()
        .find(first)
        .or_else(|| {
            goldens
                .cases
                .iter()
                .find(|case| case.name.starts_with(name))
        })
        .ok_or_else(|| format!("no case {name:?}"))?;
    let request = serde_json::to_value(goldens.request(case)?);
    print(&request.map_err(|error| error.to_string())?)
}

fn print(value: &Value) -> Result<(), String> {
    let text = serde_json::to_string_pretty(value).map_err(|error| error.to_string())?;
    println!("{text}");
    Ok(())
}
