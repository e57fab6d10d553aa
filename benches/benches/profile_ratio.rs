//! Whether `tts-server profile` measures the model and little else: how many times as fast as a medium voice the built-in
//! voice is on one core, by its profile (audio-seconds per second with one request in service), and by a loop that does
//! nothing but run the models on the same chunks on the same core. The goal is a difference of at most 15 %.
//!
//! `cargo bench -p tts-benches --bench profile_ratio`; the server is `bin/tts-server` as `make build` leaves it, or
//! `TTS_SERVER_BIN`.
#![expect(
    clippy::expect_used,
    reason = "a benchmark whose parts are missing has nothing to measure"
)]
use std::{fs, path::Path, process::Command};

use tts_benches::{Pair, compare, median, report};
use tts_planner::{Profile, profile::details::Details};
use tts_server::{
    engine::{Cancel, CpuSet, SessionOptions},
    families::{Chunk, Runner, speak},
    profile::output,
    voices::{Voice, VoiceLocation},
};
use tts_tests::{binary, medium::write_medium_voice};

const BUILTIN: &str = "builtin:rms";
/// Profiles per voice, in turn.
const PROFILES: usize = 3;
const LEVEL_SECONDS: &str = "3";
/// Rounds of the texts, of each model in turn.
const ROUNDS: usize = 30;
const GOAL: f64 = 0.15;
const TEXTS: [&str; 4] = [
    "The kettle is nearly ready now.",
    "A light rain began to fall as we reached the old mill.",
    "Every morning the baker opens the shop, sweeps the step, and lights the oven.",
    "We measured the height of the tree twice. The second number was larger, so we measured again.",
];

/// Measures a voice on one core, as a user does.
fn profile(voice: &str, folder: &Path) -> Profile {
    let (corpus, path) = (folder.join("texts"), folder.join("profile.json"));
    fs::write(&corpus, TEXTS.join("\n")).expect("the folder can be written to");
    let status = Command::new(binary())
        .args(["profile", "--allocatable", "1", "--voice", voice])
        .args(["--level-seconds", LEVEL_SECONDS, "--corpus"])
        .arg(&corpus)
        .arg("--output")
        .arg(&path)
        .status()
        .expect("the server starts");
    assert!(status.success(), "the profile of {voice}: {status}");
    output::read(&path).expect("a profile was written")
}

/// Audio-seconds per second of one core with one request in service.
fn rate(profile: &Profile) -> f64 {
    let alone = profile.configs.iter().find(|config| config.threads == 1);
    let level = alone.and_then(|config| config.levels.first());
    level.expect("one core was measured").audio_per_sec
}

/// A loaded model, with the texts as chunks of its input.
struct Bare {
    voice: Voice,
    runner: Box<dyn Runner>,
    chunks: Vec<Chunk>,
    /// Audio-seconds of each round.
    audio: Vec<f64>,
}

impl Bare {
    /// Binds this thread to the CPUs.
    fn load(location: &str, cpus: &CpuSet) -> Self {
        let voice =
            Voice::read("bare", &VoiceLocation::parse(location)).expect("the voice is there");
        let cancel = Cancel::new().expect("ONNX Runtime is there");
        let options = SessionOptions {
            cpus: Some(cpus.clone()),
            ..SessionOptions::default()
        };
        let runner = voice.load(&options, &cancel).expect("the voice loads");
        let chunks = TEXTS.iter().flat_map(|text| {
            let script = voice.family.read(text, 1.0, voice.costs.pace());
            script.expect("the texts are plain").chunks
        });
        Self {
            chunks: chunks.collect(),
            voice,
            runner,
            audio: Vec::new(),
        }
    }

    fn round(&mut self) {
        let cancel = Cancel::new().expect("ONNX Runtime is loaded");
        let mut samples = 0;
        for chunk in &self.chunks {
            let spoken = speak(self.runner.as_mut(), chunk, &cancel);
            samples += spoken.expect("the voice speaks").len();
        }
        self.audio.push(self.voice.seconds(samples));
    }
}

/// How many times as fast as the second model the first is, of each pair.
fn ratios(pairs: &[Pair], first: &Bare, second: &Bare) -> Vec<f64> {
    // The first round does not count.
    let audio = first.audio.iter().zip(&second.audio).skip(1);
    pairs
        .iter()
        .zip(audio)
        .map(|(pair, (first, second))| {
            (first / pair.a.as_secs_f64()) / (second / pair.b.as_secs_f64())
        })
        .collect()
}

fn main() {
    let folder = tempfile::tempdir().expect("there is a folder for temporary files");
    let medium = folder.path().join("medium");
    write_medium_voice(&medium);
    let medium = medium.to_string_lossy();
    let mut by_profile = Vec::new();
    let mut cpu = None;
    for _ in 0..PROFILES {
        let of_builtin = profile(BUILTIN, folder.path());
        let of_medium = profile(&medium, folder.path());
        cpu = cpu.or_else(|| Details::of(&of_medium).cores.cpus.first().copied());
        by_profile.push(rate(&of_builtin) / rate(&of_medium));
        println!(
            "profile: {:.1} and {:.2} audio-seconds per second, ratio {:.2}",
            rate(&of_builtin),
            rate(&of_medium),
            rate(&of_builtin) / rate(&of_medium)
        );
    }
    let cpus = CpuSet::new(cpu.into_iter().collect()).expect("the profile has a CPU");
    let (mut first, mut second) = (Bare::load(BUILTIN, &cpus), Bare::load(&medium, &cpus));
    let pairs = compare(ROUNDS, || first.round(), || second.round());
    report("built-in voice, bare", "medium voice, bare", &pairs);
    let (profiled, bare) = (median(by_profile), median(ratios(&pairs, &first, &second)));
    let difference = profiled / bare - 1.0;
    println!(
        "the built-in voice is {profiled:.2} times as fast by the profiler, {bare:.2} times by the bare models: {:+.1} % \
         ({}: the goal is within {:.0} %)",
        100.0 * difference,
        if difference.abs() <= GOAL {
            "met"
        } else {
            "missed"
        },
        100.0 * GOAL
    );
}
