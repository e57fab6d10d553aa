//! The schema of a profile: what the custom resource that holds one is checked with.

use serde_json::{Value, json};
use tts_planner::Profile;
use tts_planner_dev::samples::PROFILE;

fn schema() -> Value {
    schemars::schema_for!(Profile).to_value()
}

/// Places of the schema where a key stands.
fn places(value: &Value, key: &str, at: &str, found: &mut Vec<String>) {
    match value {
        Value::Object(fields) => {
            for (name, value) in fields {
                if name == key {
                    found.push(at.to_owned());
                }
                places(value, key, &format!("{at}/{name}"), found);
            }
        }
        Value::Array(values) => values
            .iter()
            .for_each(|value| places(value, key, at, found)),
        _ => {}
    }
}

#[test]
fn a_profile_follows_its_schema_and_a_misspelt_one_does_not() {
    let schema = jsonschema::validator_for(&schema()).unwrap();
    let profile: Value = serde_json::from_str(PROFILE).unwrap();
    assert!(schema.is_valid(&profile), "{:?}", schema.validate(&profile));
    for (pointer, value) in [
        ("/run/validity", json!("Fine")),
        ("/configs/0/levels/0/n", json!("one")),
        ("/node/fingerprint/kernel", json!(6.1)),
    ] {
        let mut wrong = profile.clone();
        *wrong.pointer_mut(pointer).unwrap() = value;
        assert!(!schema.is_valid(&wrong), "{pointer}");
    }
    let mut misspelt = profile;
    misspelt["configs"][0]["coers"] = json!(1);
    assert!(!schema.is_valid(&misspelt));
}

#[test]
fn what_is_for_reports_may_be_anything_and_nothing_else() {
    let mut found = Vec::new();
    places(
        &schema(),
        "x-kubernetes-preserve-unknown-fields",
        "",
        &mut found,
    );
    assert_eq!(found, ["/properties/report"]);
    let mut profile: Value = serde_json::from_str(PROFILE).unwrap();
    profile["report"] = json!({"spectrum": {"of": [1, 2]}, "new": true});
    let schema = jsonschema::validator_for(&schema()).unwrap();
    assert!(schema.is_valid(&profile), "{:?}", schema.validate(&profile));
    let read = Profile::from_json(&profile.to_string()).unwrap();
    let written = serde_json::to_value(&read).unwrap();
    assert_eq!(written["report"], profile["report"]);
}
