//! Whether a spec has only what the CRD knows, as strict field validation of the API server sees it.
use k8s_openapi::apiextensions_apiserver::pkg::apis::apiextensions::v1::{
    JSONSchemaProps, JSONSchemaPropsOrArray, JSONSchemaPropsOrBool,
};
use serde_json::Value;

/// The first field that the schema of `TtsDeployment` does not know, or a number or list out of bounds, as a sentence.
pub fn problem(spec: &Value) -> Option<String> {
    let crd = tts_crds::all()
        .into_iter()
        .find(|crd| crd.spec.names.kind == "TtsDeployment")?;
    let version = crd.spec.versions.into_iter().next()?;
    let mut root = version.schema?.open_api_v3_schema?;
    let schema = root.properties.as_mut()?.remove("spec")?;
    within("spec", spec, &schema)
}

/// Writes `1e6` and `2.0` as integers, as kubectl does.
pub fn whole_numbers(value: &mut Value) {
    match value {
        Value::Object(fields) => fields.values_mut().for_each(whole_numbers),
        Value::Array(items) => items.iter_mut().for_each(whole_numbers),
        Value::Number(number) if number.is_f64() => {
            let whole = format!("{:.0}", number.as_f64().unwrap_or_default());
            if let Ok(whole) = whole.parse::<i64>()
                && serde_json::Number::from(whole).as_f64() == number.as_f64()
            {
                *value = whole.into();
            }
        }
        _ => {}
    }
}

fn within(path: &str, value: &Value, schema: &JSONSchemaProps) -> Option<String> {
    match value {
        Value::Object(fields) => fields
            .iter()
            .find_map(|(name, value)| field(path, name, value, schema)),
        Value::Array(items) => {
            let count = i64::try_from(items.len()).unwrap_or(i64::MAX);
            let out = schema.min_items.is_some_and(|min| count < min)
                || schema.max_items.is_some_and(|max| count > max);
            if out {
                return Some(format!(
                    "{path} has {count} entries{}",
                    bounds(
                        schema.min_items.as_ref().map(ToString::to_string),
                        schema.max_items.as_ref().map(ToString::to_string)
                    )
                ));
            }
            let Some(JSONSchemaPropsOrArray::Schema(of)) = &schema.items else {
                return None;
            };
            let mut items = items.iter().enumerate();
            items.find_map(|(index, item)| within(&format!("{path}[{index}]"), item, of))
        }
        Value::Number(number) => {
            if schema.x_kubernetes_int_or_string == Some(true) && number.is_f64() {
                return Some(format!(
                    "{path} is {number}; write it in quotes: \"{number}\""
                ));
            }
            let number = number.as_f64()?;
            let out = schema.minimum.is_some_and(|min| number < min)
                || schema.maximum.is_some_and(|max| number > max);
            out.then(|| {
                let bound = |bound: Option<f64>| bound.map(|bound| bound.to_string());
                format!(
                    "{path} is {number}{}",
                    bounds(bound(schema.minimum), bound(schema.maximum))
                )
            })
        }
        Value::Null | Value::Bool(_) | Value::String(_) => None,
    }
}

fn bounds(min: Option<String>, max: Option<String>) -> String {
    match (min, max) {
        (Some(min), Some(max)) => format!("; write {min} to {max}"),
        (Some(min), None) => format!("; write at least {min}"),
        (None, Some(max)) => format!("; write at most {max}"),
        (None, None) => String::new(),
    }
}

fn field(path: &str, name: &str, value: &Value, schema: &JSONSchemaProps) -> Option<String> {
    let path = format!("{path}.{name}");
    if let Some(of) = schema.properties.as_ref().and_then(|all| all.get(name)) {
        return within(&path, value, of);
    }
    match &schema.additional_properties {
        Some(JSONSchemaPropsOrBool::Schema(of)) => return within(&path, value, of),
        Some(JSONSchemaPropsOrBool::Bool(true)) => return None,
        Some(JSONSchemaPropsOrBool::Bool(false)) | None => {}
    }
    if schema.x_kubernetes_preserve_unknown_fields == Some(true) {
        return None;
    }
    let known: Vec<&str> = schema
        .properties
        .iter()
        .flatten()
        .map(|(name, _)| name.as_str())
        .collect();
    let known = if known.is_empty() {
        String::new()
    } else {
        format!("; known here: {}", known.join(", "))
    };
    Some(format!("{path}: unknown field{known}"))
}

#[cfg(test)]
mod tests {
    use serde_json::json;

    use super::*;

    #[test]
    fn whole_numbers_are_integers() {
        let mut value = json!({"a": [1e6, 2.0, 0.5, 1e300, "3.0"]});
        whole_numbers(&mut value);
        assert_eq!(value, json!({"a": [1_000_000, 2, 0.5, 1e300, "3.0"]}));
    }

    #[test]
    fn what_the_crd_does_not_know_is_named() {
        let good = json!({
            "voices": [{"name": "rms", "weight": "0.5"}],
            "load": {"peakRequestsPerSecond": 5},
            "placement": {"nodeSelector": {"a": "b"}},
        });
        assert_eq!(problem(&good), None);
        for (spec, message) in [
            (json!({"voice": []}), "spec.voice: unknown field"),
            (
                json!({"load": {"peak": 5}}),
                "spec.load.peak: unknown field; known here: audioVariation, base",
            ),
            (
                json!({"voices": [{"name": "a"}, {"Name": "b"}]}),
                "spec.voices[1].Name: unknown field",
            ),
            (
                json!({"voices": []}),
                "spec.voices has 0 entries; write 1 to 32",
            ),
            (
                json!({"load": {"peakRequestsPerSecond": 0.5}}),
                "spec.load.peakRequestsPerSecond is 0.5; write it in quotes: \"0.5\"",
            ),
            (
                json!({"load": {"listeners": 0}}),
                "spec.load.listeners is 0; write 1 to 1000000",
            ),
        ] {
            let found = problem(&spec).unwrap();
            assert!(found.starts_with(message), "{found}");
        }
    }
}
