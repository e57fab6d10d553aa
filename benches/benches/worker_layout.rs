//! Why a pod has one worker a CPU with one thread each, rather than one worker with many threads:
//! the same sentences, spoken by two workers of one thread and by one worker of two threads.
//!
//! `cargo bench -p tts-benches --bench worker_layout`, on a machine with at least two cores.
#![expect(
    clippy::expect_used,
    reason = "a benchmark whose parts are missing has nothing to measure"
)]
use std::thread;

use tts_benches::{compare, report};
use tts_server::{
    engine::session::{Cancel, SessionOptions},
    text::{self, MAX_RUN_SYMBOLS, Run},
    voices::{Speaker, Voice, VoiceLocation},
};

const ROUNDS: usize = 15;
const SENTENCES: [&str; 8] = [
    "The birch canoe slid on the smooth planks.",
    "Glue the sheet to the dark blue background.",
    "It is easy to tell the depth of a well.",
    "These days a chicken leg is a rare dish.",
    "Rice is often served in round bowls.",
    "The juice of lemons makes fine punch.",
    "The box was thrown beside the parked truck.",
    "The hogs were fed chopped corn and garbage.",
];

fn speaker(intra_threads: usize) -> Speaker {
    let voice = Voice::read("rms", &VoiceLocation::Builtin("rms".to_owned()))
        .expect("the builtin voice is there");
    Speaker::load(&voice, SessionOptions { intra_threads }).expect("the builtin voice loads")
}

fn speak(speaker: &mut Speaker, runs: &[Run]) {
    let cancel = Cancel::new().expect("ONNX Runtime is loaded");
    for run in runs {
        let samples = speaker
            .speak(&run.symbols, 1.0, &cancel)
            .expect("the voice speaks");
        assert!(!samples.is_empty());
    }
}

fn main() {
    let runs: Vec<Run> = SENTENCES
        .iter()
        .flat_map(|sentence| {
            text::read(sentence, MAX_RUN_SYMBOLS)
                .expect("the sentences are plain")
                .runs
        })
        .collect();
    let (first, second) = runs.split_at(runs.len() / 2);
    let (mut left, mut right) = (speaker(1), speaker(1));
    let mut wide = speaker(2);
    let pairs = compare(
        ROUNDS,
        || {
            thread::scope(|scope| {
                scope.spawn(|| speak(&mut left, first));
                speak(&mut right, second);
            });
        },
        || speak(&mut wide, &runs),
    );
    println!(
        "{} sentences, {} CPUs",
        SENTENCES.len(),
        thread::available_parallelism().map_or(0, usize::from)
    );
    report(
        "two workers of one thread",
        "one worker of two threads",
        &pairs,
    );
}
