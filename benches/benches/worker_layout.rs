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
    engine::{Cancel, SessionOptions},
    families::{Chunk, Runner, speak},
    voices::{Voice, VoiceLocation},
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

fn load(voice: &Voice, intra_threads: usize) -> Box<dyn Runner> {
    let options = SessionOptions {
        intra_threads,
        ..SessionOptions::default()
    };
    let cancel = Cancel::new().expect("ONNX Runtime is there");
    voice
        .load(&options, &cancel)
        .expect("the builtin voice loads")
}

fn speak_all(runner: &mut dyn Runner, chunks: &[Chunk]) {
    let cancel = Cancel::new().expect("ONNX Runtime is loaded");
    for chunk in chunks {
        speak(runner, chunk, &cancel).expect("the voice speaks");
    }
}

fn main() {
    let voice = Voice::read("rms", &VoiceLocation::Builtin("rms".to_owned()))
        .expect("the builtin voice is there");
    let (mut left, mut right) = (load(&voice, 1), load(&voice, 1));
    let mut wide = load(&voice, 2);
    let chunks: Vec<Chunk> = SENTENCES
        .iter()
        .flat_map(|sentence| {
            let script = voice.family.read(sentence, 1.0, voice.costs.pace());
            script.expect("the sentences are plain").chunks
        })
        .collect();
    let (first, second) = chunks.split_at(chunks.len() / 2);
    let pairs = compare(
        ROUNDS,
        || {
            thread::scope(|scope| {
                scope.spawn(|| speak_all(left.as_mut(), first));
                speak_all(right.as_mut(), second);
            });
        },
        || speak_all(wide.as_mut(), &chunks),
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
