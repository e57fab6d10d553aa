//! From samples to a profile.
use tts_planner::profile::details::{Anchor, Cores, Details};

use super::*;
use crate::{
    machine::{
        fingerprint::Identity,
        gpu::{Facts, sharing::Hints},
    },
    profile::{
        grid::{Grid, Sweep},
        protocol::{LevelSamples, Sample},
        state::{Measured, MeasuredMemory, Surroundings},
    },
};

const TEXTS: usize = 4;

pub(crate) fn shape(cpu: f64, threads: u32) -> Shape {
    Shape { cpu, threads }
}

/// A level in which a text of `a` audio-seconds takes `0.01 + 0.1 · a` seconds at speed 1.
pub(crate) fn level(shape: Shape, n: u32, pass: u32, speed: f64) -> Measured {
    let samples: Vec<Sample> = (0..24)
        .map(|index| {
            let text = index % TEXTS;
            let audio = 2.0 * float(text + 1);
            Sample {
                text,
                first: (0.01 + 0.1 * 2.0) / speed,
                service: (0.01 + 0.1 * audio) / speed,
                audio,
            }
        })
        .collect();
    let audio: f64 = samples.iter().map(|sample| sample.audio).sum();
    let window = samples.iter().map(|sample| sample.service).sum::<f64>() / f64::from(n);
    Measured {
        shape,
        n,
        pass,
        samples: LevelSamples {
            window,
            audio,
            cpu: 0.5 * window,
            cpu_in_all: 0.5 * window,
            stages: vec![("model".to_owned(), 3.0), ("codec".to_owned(), 1.0)],
            samples,
            ..LevelSamples::default()
        },
    }
}

pub(crate) fn measurement() -> Measurement {
    let mut levels = Vec::new();
    for pass in 0..3 {
        levels.push(level(shape(1.0, 1), 1, pass, 1.0));
        levels.push(level(shape(2.0, 1), 1, pass, 1.0));
        levels.push(level(shape(2.0, 1), 2, pass, 1.0));
    }
    let verified = (0..TEXTS).map(|text| Verified {
        audio: 2.0 * float(text + 1),
        chunk_audio: 2.0,
        longest_chunk: 2.0,
        chunks: text + 1,
        phonemes: 24 * (text + 1),
        peak: 0.5,
    });
    Measurement {
        started: "2024-05-01T10:00:00Z".to_owned(),
        verified: verified.collect(),
        levels,
        memory: vec![MeasuredMemory {
            gpu: Vec::new(),
            shape: shape(1.0, 1),
            process_mib: 40.0,
            loaded_mib: 100.0,
            points: [(0.0, 100.0), (2.0, 104.0)]
                .map(
                    |(inflight_audio_s, mib)| tts_planner::profile::details::MemoryPoint {
                        cpu: 1.0,
                        threads: 1,
                        n: 1,
                        inflight_audio_s,
                        mib,
                    },
                )
                .to_vec(),
        }],
        anchors: vec![
            Anchor {
                at_s: 0.0,
                requests: 20,
                median_s: 0.5,
                cv: 0.02,
            };
            4
        ],
        cold_starts: vec![0.5, 0.6, 0.7],
        surroundings: Surroundings {
            busy: 10.0,
            own: 9.8,
            cpu: 20.0,
            ..Surroundings::default()
        },
        ..Measurement::default()
    }
}

fn of(measurement: &Measurement) -> Profile {
    on(None, measurement)
}

/// On a GPU, if there is one.
pub(crate) fn on(gpu: Option<(Facts, Hints)>, measurement: &Measurement) -> Profile {
    let texts: Vec<String> = (0..TEXTS).map(|_| "x".repeat(30)).collect();
    let grid = Grid::new(Sweep::Quick, 4.0);
    let context = Context {
        voice: "amy",
        model_digest: "sha256:aa".to_owned(),
        config_digest: "sha256:bb".to_owned(),
        image: String::new(),
        class: "stage".to_owned(),
        identity: Identity {
            arch: "amd64".to_owned(),
            cpu_model: "Example 3000".to_owned(),
            features: Vec::new(),
            governor: Some("performance".to_owned()),
            kernel: "6.1".to_owned(),
        },
        threads_per_core: 1,
        gpu,
        sweep: "quick".to_owned(),
        node: String::new(),
        corpus_id: "texts".to_owned(),
        load_texts: &texts,
        cores: Cores {
            allocatable: 4.0,
            ..Cores::default()
        },
        grid: &grid,
        co_tenants: 0,
        notes: Vec::new(),
    };
    super::profile(measurement, &context)
}

pub(crate) fn profile() -> Profile {
    of(&measurement())
}

#[test]
fn a_quiet_measurement_is_a_valid_profile_with_its_laws() {
    let profile = profile();
    profile.check().unwrap();
    assert_eq!(
        profile.run.validity,
        Validity::Valid,
        "{:?}",
        assess(&profile, None).findings
    );
    let config = &profile.configs[0];
    assert!((config.s0 - 0.01).abs() < 1e-6 && (config.s1 - 0.1).abs() < 1e-6);
    // All first chunks are equal: the law is the constant.
    assert!((config.f0 - 0.21).abs() < 1e-6, "{}", config.f0);
    assert!(
        (config.mem.base - 100.0).abs() < 1e-6
            && (config.mem.per_inflight_audio - 2.0).abs() < 1e-6
    );
    assert_eq!(config.levels[0].requests, 72);
    assert!((config.levels[0].stages[0].share - 0.75).abs() < 1e-9);
    assert_eq!(profile.configs[1].levels.len(), 2);
    assert!((profile.cold_start - 0.68).abs() < 1e-6);
    assert!((profile.corpus.phonemes_per_audio.unwrap() - 12.0).abs() < 1e-6);
    assert_eq!(profile.corpus.chunks_per_text, Some(2.5));
    assert!((profile.run.others_cpu - 0.01).abs() < 1e-6);
    assert_eq!(Details::of(&profile).bottleneck.unwrap().stage, "model");
    assert!(profile.id.starts_with("amy.stage."));
}

#[test]
fn it_survives_its_file() {
    let profile = profile();
    let folder = tempfile::tempdir().unwrap();
    for name in ["p.json", "p.yaml"] {
        let path = folder.path().join(name);
        crate::profile::output::write(&profile, Some(&path)).unwrap();
        assert_eq!(
            crate::profile::output::read(&path).unwrap(),
            profile,
            "{name}"
        );
    }
    let (lines, message) = crate::profile::output::log_lines(&profile).unwrap();
    let text: String = lines
        .iter()
        .filter_map(|line| line.strip_prefix("tts-profile-data "))
        .collect();
    assert_eq!(Profile::from_json(&text).unwrap(), profile);
    assert_eq!(message["profile"]["bytes"], text.len());
    assert_eq!(
        lines[0].split(' ').nth(2),
        message["profile"]["sha256"].as_str()
    );
    assert!(lines.iter().all(|line| line.len() < 4100));
}

#[test]
fn passes_that_differ_are_unstable() {
    let mut measurement = measurement();
    measurement.levels[3] = level(shape(1.0, 1), 1, 1, 1.3);
    let profile = of(&measurement);
    assert_eq!(profile.run.unstable, ["1 cpu x 1 thread(s), 1 in service"]);
    assert_eq!(profile.run.validity, Validity::Degraded);
    assert!(profile.run.throughput_rel_ci > 0.1);
}

#[test]
fn fast_nonsense_silence_and_errors_are_no_result() {
    let validity = |change: fn(&mut Measurement)| {
        let mut measurement = measurement();
        change(&mut measurement);
        of(&measurement).run.validity
    };
    let invalid = Validity::Invalid;
    assert_eq!(
        validity(|measurement| measurement.verified[2].peak = 0.0),
        invalid
    );
    assert_eq!(
        validity(|measurement| measurement.verified[0].phonemes = 1000),
        invalid
    );
    assert_eq!(
        validity(|measurement| measurement.levels[0].samples.errors.push("no".to_owned())),
        invalid
    );
    assert_eq!(
        validity(|measurement| measurement.anchors[3].median_s = 0.7),
        invalid
    );
    assert_eq!(
        validity(|measurement| measurement.anchors[3].median_s = 0.6),
        Validity::Degraded
    );
    assert_eq!(
        validity(|measurement| measurement.surroundings.own = 5.0),
        Validity::Degraded
    );
}

#[test]
fn a_fifth_pass_replaces_the_first_two() {
    let mut measurement = measurement();
    measurement
        .levels
        .insert(0, level(shape(1.0, 1), 1, 4, 1.0));
    measurement.levels[1] = level(shape(1.0, 1), 1, 0, 9.0);
    measurement.levels.push(level(shape(1.0, 1), 1, 3, 1.0));
    let profile = of(&measurement);
    assert!(
        profile.run.unstable.is_empty(),
        "{:?}",
        profile.run.unstable
    );
    assert_eq!(profile.configs[0].levels[0].requests, 72);
}

#[test]
fn numbers_have_six_digits() {
    assert!((round(0.123_456_789) - 0.123_457).abs() < 1e-12);
    assert!((round(123_456_789.0) - 123_457_000.0).abs() < 1e-6);
    assert!(round(0.0).abs() < 1e-12);
}

#[test]
fn small_nodes_name_the_parts_of_a_core_that_were_not_measured() {
    let measurement = measurement();
    let texts = Vec::new();
    let grid = Grid::new(Sweep::Quick, 2.0);
    let mut profile = of(&measurement);
    assert!(profile.run.dropped.is_empty());
    let context = Context {
        cores: Cores {
            allocatable: 2.0,
            ..Cores::default()
        },
        grid: &grid,
        load_texts: &texts,
        voice: "amy",
        model_digest: String::new(),
        config_digest: String::new(),
        image: String::new(),
        class: "stage".to_owned(),
        identity: Identity {
            arch: String::new(),
            cpu_model: String::new(),
            features: Vec::new(),
            governor: None,
            kernel: String::new(),
        },
        threads_per_core: 1,
        gpu: None,
        sweep: "quick".to_owned(),
        node: String::new(),
        corpus_id: String::new(),
        co_tenants: 0,
        notes: Vec::new(),
    };
    profile.run = run(&measurement, &context, &shapes(&measurement));
    assert_eq!(
        profile.run.dropped,
        ["0.25 cpu x 1 thread(s)", "0.5 cpu x 1 thread(s)"]
    );
}
