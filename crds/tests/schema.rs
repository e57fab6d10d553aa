//! The committed YAML is the API contract: it must match what the types generate, and fit.
use std::{fs, path::Path};

/// `kubectl apply` without server-side apply keeps the whole object in an annotation of at most
/// this many bytes.
const CLIENT_SIDE_APPLY_LIMIT: usize = 262_144;

#[test]
fn committed_crds_are_up_to_date() {
    for crd in tts_crds::all() {
        let name = crd.metadata.name.as_deref().expect("CRDs are named");
        let path = Path::new(env!("CARGO_MANIFEST_DIR")).join(format!("yaml/{name}.yaml"));
        let committed = fs::read_to_string(&path).unwrap_or_default();
        let generated = tts_crds::to_yaml(&crd).expect("CRDs serialize");
        assert!(
            committed == generated,
            "{} is stale, run `make crds`",
            path.display()
        );
    }
}

#[test]
fn each_crd_can_be_applied_client_side() {
    for crd in tts_crds::all() {
        let json = serde_json::to_string(&crd).expect("CRDs serialize");
        assert!(
            json.len() < CLIENT_SIDE_APPLY_LIMIT,
            "{:?} has {} bytes",
            crd.metadata.name,
            json.len()
        );
    }
}

/// Every field a person can write says what it is: `kubectl explain` has no empty page.
#[test]
fn every_field_is_described() {
    fn walk(path: &str, schema: &serde_json::Value, missing: &mut Vec<String>) {
        if schema["description"].as_str().is_none_or(str::is_empty) {
            missing.push(path.to_owned());
        }
        for (name, property) in schema["properties"].as_object().into_iter().flatten() {
            walk(&format!("{path}.{name}"), property, missing);
        }
        for (name, property) in schema["items"]["properties"]
            .as_object()
            .into_iter()
            .flatten()
        {
            walk(&format!("{path}[].{name}"), property, missing);
        }
    }
    for crd in tts_crds::all() {
        let schema = serde_json::to_value(&crd.spec.versions[0].schema).expect("a schema");
        let mut missing = Vec::new();
        walk(
            &crd.spec.names.kind,
            &schema["openAPIV3Schema"],
            &mut missing,
        );
        assert!(missing.is_empty(), "no description: {missing:?}");
    }
}

/// The API server charges CEL rules by the largest value a schema allows, so everything a person
/// writes must have a limit.
#[test]
fn every_string_list_and_map_of_the_spec_is_bounded() {
    fn walk(path: &str, schema: &serde_json::Value, unbounded: &mut Vec<String>) {
        let bounded = match schema["type"].as_str() {
            Some("string") => {
                !schema["maxLength"].is_null()
                    || !schema["enum"].is_null()
                    || !schema["format"].is_null()
            }
            Some("array") => !schema["maxItems"].is_null(),
            Some("object") if schema["properties"].is_null() => !schema["maxProperties"].is_null(),
            _ => true,
        };
        if !bounded {
            unbounded.push(path.to_owned());
        }
        for (name, property) in schema["properties"].as_object().into_iter().flatten() {
            walk(&format!("{path}.{name}"), property, unbounded);
        }
        for inner in ["items", "additionalProperties"] {
            if schema[inner].is_object() {
                walk(&format!("{path}[]"), &schema[inner], unbounded);
            }
        }
    }
    for crd in tts_crds::all() {
        let schema = serde_json::to_value(&crd.spec.versions[0].schema).expect("a schema");
        let mut unbounded = Vec::new();
        walk(
            "spec",
            &schema["openAPIV3Schema"]["properties"]["spec"],
            &mut unbounded,
        );
        walk(
            "status",
            &schema["openAPIV3Schema"]["properties"]["status"],
            &mut unbounded,
        );
        assert!(unbounded.is_empty(), "no limit: {unbounded:?}");
    }
}
