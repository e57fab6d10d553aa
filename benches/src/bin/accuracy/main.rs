//! How well the planner predicts: p95 of the time to first audio by a profile (closed loop) against what clients of a server
//! measure (open loop), at 0.3, 0.5 and 0.7 of its capacity. Writes docs/accuracy.md.
//!
//! `make accuracy` runs it; the server is `bin/tts-server`, or `TTS_SERVER_BIN`. It measures, it does not judge: a large error
//! is on the page, and the exit status is 0.

mod measuring;
mod page;
mod prediction;
mod replay;
mod verdict;

use std::{path::PathBuf, process::ExitCode, time::Duration};

use clap::Parser as _;
use tts_server::machine::Machine;

use measuring::{Measuring, Result, Times};
use page::Facts;

#[derive(clap::Parser)]
#[command(about = "Compare predicted with measured time to first audio")]
struct Arguments {
    /// Stop after so many tries, kept or void.
    #[arg(long, default_value_t = 12, value_parser = clap::value_parser!(u32).range(1..))]
    tries: u32,
    /// Stop when so many tries are kept.
    #[arg(long, default_value_t = 3, value_parser = clap::value_parser!(u32).range(1..))]
    keep: u32,
    /// How long requests are sent at each load.
    #[arg(long, default_value = "40s", value_parser = humantime::parse_duration)]
    load_time: Duration,
    /// How long each anchor takes.
    #[arg(long, default_value = "5s", value_parser = humantime::parse_duration)]
    anchor_time: Duration,
    /// `--level-seconds` of the profile.
    #[arg(long, default_value_t = 7.0)]
    level_seconds: f64,
    /// What is measured, for the record: a commit.
    #[arg(long, default_value = "unknown")]
    revision: String,
    /// The page; written after each try.
    #[arg(short, long, value_name = "FILE")]
    output: PathBuf,
}

fn main() -> ExitCode {
    match run(&Arguments::parse()) {
        Ok(()) => ExitCode::SUCCESS,
        Err(error) => {
            eprintln!("accuracy: not measured: {error}");
            ExitCode::FAILURE
        }
    }
}

fn run(arguments: &Arguments) -> Result<()> {
    let measuring = Measuring::new(Times {
        anchor: arguments.anchor_time,
        load: arguments.load_time,
        level: arguments.level_seconds,
    })?;
    let keep = usize::try_from(arguments.keep)?;
    let facts = facts(arguments, keep, &measuring);
    println!(
        "server and profile on CPU {}, client on {}",
        measuring.server, measuring.clients
    );
    let mut attempts = Vec::new();
    for number in 1..=arguments.tries {
        println!("try {number} of at most {}", arguments.tries);
        let attempt = measuring.attempt(number)?;
        println!("  {}", attempt.void.as_deref().unwrap_or("kept"));
        attempts.push(attempt);
        std::fs::write(&arguments.output, page::page(&facts, &attempts))
            .map_err(|error| format!("cannot write {}: {error}", arguments.output.display()))?;
        if verdict::kept(&attempts).count() >= keep {
            break;
        }
    }
    Ok(())
}

fn facts(arguments: &Arguments, keep: usize, measuring: &Measuring) -> Facts {
    let cpu = measuring.server.cpus().first().copied().unwrap_or(0);
    Facts {
        date: jiff::Timestamp::now().strftime("%Y-%m-%d").to_string(),
        revision: arguments.revision.clone(),
        cpu: Machine::default().identity(cpu).cpu_model,
        cpus: std::thread::available_parallelism().map_or(0, usize::from),
        wanted: keep,
        most: arguments.tries,
        load_seconds: arguments.load_time.as_secs_f64(),
        anchor_seconds: arguments.anchor_time.as_secs_f64(),
    }
}
