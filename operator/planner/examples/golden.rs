//! Runs a file of golden cases: prints each value that differs by more than one in a million and
//! exits 1 if there is one.
//!
//! `cargo run -p tts-planner --example golden -- operator/planner/tests/goldens/plans.json`

use std::process::ExitCode;
use tts_planner_dev::goldens::{Goldens, comparison};

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
    let file = std::env::args().nth(1).ok_or("usage: golden FILE")?;
    let text = std::fs::read_to_string(&file).map_err(|error| format!("{file}: {error}"))?;
    let goldens = Goldens::from_json(&text).map_err(|error| format!("{file}: {error}"))?;
    let mut found = 0;
    for case in &goldens.cases {
        let differences = goldens.request(case).and_then(|request| {
            let decision = tts_planner::plan(&request).map_err(|error| error.to_string())?;
            Ok(comparison::differences(&case.expected, &decision))
        });
        // A case that cannot be planned differs as a whole.
        for difference in differences.unwrap_or_else(|error| vec![error]) {
            println!("{}: {difference}", case.name);
            found += 1;
        }
    }
    println!(
        "{} cases, {found} differences above 1e-6",
        goldens.cases.len()
    );
    Ok(found)
}
