//! Reading profiles: what is right is read, what is wrong is named, and nothing brings the reader
//! down.

#![expect(
    clippy::unwrap_used,
    reason = "a test's helpers may fail as the test may"
)]

use proptest::prelude::*;
use serde_json::{Value, json};
use tts_planner::profile::{Accelerator, SCHEMA};
use tts_planner::{Decision, Measurement, Profile, ProfileError, plan};
use tts_planner_dev::samples::{PROFILE, request};

fn profile() -> Value {
    serde_json::from_str(PROFILE).unwrap()
}

/// The error of the good profile with one value replaced, or removed.
fn with(pointer: &str, value: Option<Value>) -> ProfileError {
    let mut changed = profile();
    let (parent, name) = pointer.rsplit_once('/').unwrap();
    let parent = changed.pointer_mut(parent).unwrap();
    match (parent, value) {
        (Value::Object(map), Some(value)) => {
            map.insert(name.to_owned(), value);
        }
        (Value::Object(map), None) => {
            map.remove(name).unwrap();
        }
        (Value::Array(list), Some(value)) => list[name.parse::<usize>().unwrap()] = value,
        (other, value) => panic!("{pointer}: {other} {value:?}"),
    }
    Profile::from_json(&changed.to_string()).unwrap_err()
}

#[test]
fn every_field_is_read_and_written_back() {
    let read = Profile::from_json(PROFILE).unwrap();
    assert_eq!(read.accelerator(), Accelerator::Gpu);
    assert_eq!(read.node.fingerprint.kernel, "6.1");
    let written = serde_json::to_string(&read).unwrap();
    assert_eq!(Profile::from_json(&written).unwrap(), read);
}

#[test]
fn missing_and_unknown_fields_are_named() {
    let missing = |pointer, field: &str| {
        assert_eq!(
            with(pointer, None),
            ProfileError::Missing {
                field: field.to_owned()
            }
        );
    };
    missing("/schema", "schema");
    missing("/run/noiseCv", "run.noiseCv");
    missing("/run/validity", "run.validity");
    missing(
        "/configs/0/levels/1/audioPerSec",
        "configs[0].levels[1].audioPerSec",
    );
    let unknown = with("/configs/0/thread", Some(json!(2)));
    assert_eq!(
        unknown,
        ProfileError::UnknownField {
            field: "configs[0].thread".to_owned()
        }
    );
}

#[test]
fn a_verdict_that_was_not_reached_is_no_verdict() {
    for value in [json!(null), json!(""), json!("NotAssessed"), json!("valid")] {
        let error = with("/run/validity", Some(value)).to_string();
        assert!(error.starts_with("run.validity: "), "{error}");
    }
}

#[test]
fn other_versions_are_refused_before_their_fields() {
    let newer = json!({"schema": "tts.profile/v2", "everything": "else"});
    let found = "tts.profile/v2".to_owned();
    let error = Profile::from_json(&newer.to_string()).unwrap_err();
    assert_eq!(error, ProfileError::UnknownSchema { found });
    assert!(error.to_string().contains(SCHEMA));
}

#[test]
fn what_is_no_number_is_named() {
    let field = || "configs[0].s1".to_owned();
    for word in ["NaN", "Infinity", "-Infinity", "1e999", "-1e999"] {
        let text = PROFILE.replace("\"s1\": 0.0750", &format!("\"s1\": {word}"));
        assert_eq!(
            Profile::from_json(&text).unwrap_err(),
            ProfileError::NotFinite { field: field() },
            "{word}"
        );
    }
    let error = with("/configs/0/s1", Some(json!("fast")));
    assert!(matches!(error, ProfileError::WrongType { field: found, .. } if found == field()));
    let error = with("/configs/0/s1", Some(json!(null)));
    assert!(matches!(error, ProfileError::WrongType { field: found, .. } if found == field()));
    // A program can put one together all the same.
    let mut built = Profile::from_json(PROFILE).unwrap();
    built.configs[0].s1 = f64::NAN;
    assert_eq!(
        built.check().unwrap_err(),
        ProfileError::NotFinite { field: field() }
    );
}

/// YAML reads an unquoted `6.10` as 6.1, which is another kernel.
#[test]
fn a_version_that_is_a_number_is_not_taken_for_one() {
    for (number, expected) in [
        (json!(6.10), "6.1 (a number; quote versions)"),
        (json!(570), "570.? (a number; quote versions)"),
    ] {
        let mut changed: Value = serde_json::from_str(PROFILE).unwrap();
        *changed.pointer_mut("/node/fingerprint/kernel").unwrap() = number;
        let profile = Profile::from_json(&changed.to_string()).unwrap();
        assert_eq!(profile.node.fingerprint.kernel, expected);
        let again = Profile::from_json(&serde_json::to_string(&profile).unwrap()).unwrap();
        assert_eq!(again, profile);
    }
    let error = with("/node/fingerprint/kernel", Some(json!(null)));
    assert!(
        matches!(error, ProfileError::WrongType { field, .. } if field == "node.fingerprint.kernel")
    );
}

#[test]
fn values_out_of_range_are_named() {
    let negative = with("/configs/0/mem/base", Some(json!(-1)));
    assert_eq!(
        negative,
        ProfileError::Negative {
            field: "configs[0].mem.base".to_owned(),
            value: -1.0
        }
    );
    let zero = with("/configs/0/levels/0/audioPerSec", Some(json!(0)));
    assert_eq!(
        zero,
        ProfileError::NotPositive {
            field: "configs[0].levels[0].audioPerSec".to_owned(),
            value: 0.0
        }
    );
    let large = with("/coldStartS", Some(json!(1e12)));
    assert!(matches!(large, ProfileError::TooLarge { field, .. } if field == "coldStartS"));
    let share = with("/run/throughputRelCi", Some(json!(1.5)));
    assert!(
        matches!(share, ProfileError::TooLarge { field, .. } if field == "run.throughputRelCi")
    );
    assert_eq!(
        with("/node/class", Some(json!(""))),
        ProfileError::Empty {
            field: "node.class".to_owned()
        }
    );
}

#[test]
fn levels_start_at_one_and_go_up() {
    let levels = |field: &str| format!("configs[0].levels{field}");
    assert_eq!(
        with("/configs/0/levels", Some(json!([]))),
        ProfileError::Empty { field: levels("") }
    );
    assert_eq!(
        with("/configs/0/levels/0/n", Some(json!(2))),
        ProfileError::MissingFirstLevel {
            field: levels("[0].n"),
            found: 2
        }
    );
    assert_eq!(
        with("/configs/0/levels/1/n", Some(json!(1))),
        ProfileError::UnsortedLevels {
            field: levels("[1].n"),
            n: 1,
            previous: 1
        }
    );
    let mut level = profile()["configs"][0]["levels"][0].clone();
    level["ttfaQ"].as_array_mut().unwrap().pop();
    assert_eq!(
        with("/configs/0/levels/0", Some(level)),
        ProfileError::QuantileCount {
            field: levels("[0].ttfaQ"),
            found: 22
        }
    );
    assert_eq!(
        with("/configs/0/levels/0/ttfaQ/3", Some(json!(0.01))),
        ProfileError::UnsortedQuantiles {
            field: levels("[0].ttfaQ[3]"),
            value: 0.01,
            previous: 0.13
        }
    );
    let error = with("/configs/0/levels/1/n", Some(json!(100_000)));
    assert!(matches!(error, ProfileError::TooLarge { field, .. } if field == levels("[1].n")));
}

#[test]
fn shapes_must_be_possible() {
    assert_eq!(
        with("/configs/0/threads", Some(json!(5))),
        ProfileError::TooManyThreads {
            field: "configs[0].threads".to_owned(),
            threads: 5,
            cpu: 4.0
        }
    );
    let config = profile()["configs"][0].clone();
    assert_eq!(
        with("/configs", Some(json!([config, config]))),
        ProfileError::DuplicateConfig {
            field: "configs[1]".to_owned(),
            cpu: 4.0,
            threads: 1
        }
    );
    assert_eq!(
        with("/node/fingerprint/gpu", Some(json!(null))),
        ProfileError::MissingGpu
    );
    let mut cpu = Profile::from_json(PROFILE).unwrap();
    cpu.server.ep = tts_planner::profile::ExecutionProvider::Cpu;
    cpu.configs[0].threads = 2;
    let error = cpu.check().unwrap_err();
    assert!(
        matches!(
            error,
            ProfileError::LevelAboveWorkers {
                n: 4,
                workers: 2,
                ..
            }
        ),
        "{error}"
    );
}

#[test]
fn broken_text_says_where() {
    let cut = &PROFILE[..PROFILE.len() / 2];
    assert!(matches!(
        Profile::from_json(cut).unwrap_err(),
        ProfileError::Syntax { .. }
    ));
    assert!(matches!(
        Profile::from_json("").unwrap_err(),
        ProfileError::Syntax { .. }
    ));
    let twice = format!("{PROFILE} {{}}");
    assert!(matches!(
        Profile::from_json(&twice).unwrap_err(),
        ProfileError::Syntax { .. }
    ));
}

/// What the fuzz target does, on a stable compiler: whatever the bytes, a profile or an error; and
/// what is read can be written, read again and planned with.
fn never_fails(bytes: &[u8]) {
    let Ok(text) = std::str::from_utf8(bytes) else {
        return;
    };
    let Ok(profile) = Profile::from_json(text) else {
        return;
    };
    let written = serde_json::to_string(&profile).unwrap();
    assert_eq!(Profile::from_json(&written).unwrap(), profile);
    let mut request = request();
    request.classes[0].name.clone_from(&profile.node.class);
    request.measurements = vec![Measurement::as_recorded(profile)];
    let decision = plan(&request).unwrap();
    let text = serde_json::to_string(&decision).unwrap();
    assert_eq!(serde_json::from_str::<Decision>(&text).unwrap(), decision);
}

/// Every place in a JSON text that holds a number.
fn numbers(value: &Value, path: &str, found: &mut Vec<String>) {
    match value {
        Value::Number(_) => found.push(path.to_owned()),
        Value::Array(list) => list
            .iter()
            .enumerate()
            .for_each(|(i, v)| numbers(v, &format!("{path}/{i}"), found)),
        Value::Object(map) => map
            .iter()
            .for_each(|(k, v)| numbers(v, &format!("{path}/{k}"), found)),
        _ => {}
    }
}

proptest! {
    #![proptest_config(ProptestConfig::with_cases(400))]

    #[test]
    fn random_bytes_never_fail(bytes in prop::collection::vec(any::<u8>(), 0..200)) {
        never_fails(&bytes);
    }

    #[test]
    fn damaged_profiles_never_fail(at in 0..PROFILE.len(), bytes in prop::collection::vec(any::<u8>(), 0..8), cut in 0..8_usize) {
        let mut text = PROFILE.as_bytes().to_vec();
        let end = (at + cut).min(text.len());
        text.splice(at..end, bytes);
        never_fails(&text);
    }

    #[test]
    fn odd_numbers_never_fail(
        changes in prop::collection::vec((any::<prop::sample::Index>(), odd_number()), 1..4)
    ) {
        let mut value = profile();
        let mut places = Vec::new();
        numbers(&value, "", &mut places);
        for (place, number) in changes {
            *value.pointer_mut(place.get(places.as_slice()).as_str()).unwrap() = number;
        }
        never_fails(value.to_string().as_bytes());
    }
}

fn odd_number() -> impl Strategy<Value = Value> {
    prop_oneof![
        any::<f64>().prop_map(Value::from),
        any::<i64>().prop_map(Value::from),
        (0..300_u32).prop_map(Value::from),
        (-12.0..12.0_f64).prop_map(|exponent| Value::from(10.0_f64.powf(exponent))),
        prop::sample::select(vec![0.0, 1e-9, 1.0, 4.0, 1e9, 5e-324, 1e308]).prop_map(Value::from),
    ]
}

#[test]
fn a_process_is_a_part_of_the_memory_and_a_full_node_has_requests() {
    let error = with("/configs/0/mem/process", Some(json!(211)));
    assert!(
        matches!(&error, ProfileError::TooLarge { field, .. } if field == "configs[0].mem.process"),
        "{error}"
    );
    let error = with("/fullNode/0/workers", Some(json!(0)));
    assert!(
        matches!(&error, ProfileError::NotPositive { field, .. } if field == "fullNode[0].workers"),
        "{error}"
    );
    let error = with("/encoding/0/format", Some(json!("")));
    assert!(
        matches!(&error, ProfileError::Empty { field } if field == "encoding[0].format"),
        "{error}"
    );
}
