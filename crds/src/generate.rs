//! The CRDs as the API server receives them: the output of the derive macro, plus what it has no attribute for.
use std::collections::BTreeMap;

use k8s_openapi::apiextensions_apiserver::pkg::apis::apiextensions::v1::{
    CustomResourceDefinition, JSON, JSONSchemaProps, JSONSchemaPropsOrArray,
};
use kube::CustomResourceExt as _;
use serde_json::json;

use crate::v1alpha1::{TtsBenchmark, TtsDeployment, TtsProfile, TtsVoice};

/// Every CRD this operator installs, in the order in which they are applied.
pub fn all() -> Vec<CustomResourceDefinition> {
    [
        TtsVoice::crd(),
        TtsDeployment::crd(),
        TtsBenchmark::crd(),
        TtsProfile::crd(),
    ]
    .into_iter()
    .map(finish)
    .collect()
}

/// One CRD as a YAML document, as committed in `crds/yaml`.
///
/// # Errors
/// Only if the YAML writer fails, which it does for no CRD of [`all`].
pub fn to_yaml(crd: &CustomResourceDefinition) -> Result<String, serde_saphyr::ser::Error> {
    serde_saphyr::to_string(crd)
}

fn finish(mut crd: CustomResourceDefinition) -> CustomResourceDefinition {
    for version in &mut crd.spec.versions {
        let Some(schema) = version
            .schema
            .as_mut()
            .and_then(|schema| schema.open_api_v3_schema.as_mut())
        else {
            continue;
        };
        // `kubectl explain` prints the root's description; the title only repeats the kind.
        schema.title = None;
        tidy(schema);
        if crd.spec.names.kind == "TtsProfile"
            && let Some(spec) = property(schema, "spec")
        {
            bound_measurement(spec);
        }
        if let Some(status) = property(schema, "status") {
            // Until the operator has seen an object its status must not look up to date:
            // -1 differs from every generation, so kstatus says InProgress.
            status.default = Some(JSON(json!({"observedGeneration": -1})));
            bound_conditions(status);
        }
    }
    crd
}

/// Adapts a schema node and its children to what the API server and `kubectl explain` expect.
fn tidy(schema: &mut JSONSchemaProps) {
    // An explicit null means "absent" to people, and without `nullable` the API server prunes it;
    // with it, CEL's `has()` would see a value.
    schema.nullable = None;
    // A doc comment is wrapped for the source file; `kubectl explain` wraps for the terminal.
    schema.description = schema.description.take().map(|text| {
        text.split("\n\n")
            // Rustdoc's links mean nothing there.
            .map(|paragraph| {
                paragraph
                    .replace('\n', " ")
                    .replace("[`", "`")
                    .replace("`]", "`")
            })
            .collect::<Vec<_>>()
            .join("\n\n")
    });
    for property in schema.properties.iter_mut().flat_map(BTreeMap::values_mut) {
        tidy(property);
    }
    if let Some(items) = items(schema) {
        tidy(items);
    }
}

/// Limits of a measurement, which the planner's types do not have: its own check is stricter and names the field.
fn bound_measurement(schema: &mut JSONSchemaProps) {
    // The API server charges the rule of immutability by the largest measurement that the schema allows.
    const LONGEST_TEXT: i64 = 256;
    const LONGEST_LIST: i64 = 64;
    // The API server warns about formats that it does not know, such as `uint32`.
    if schema.type_.as_deref() == Some("integer") {
        schema.format = Some("int64".to_owned());
    }
    if schema.type_.as_deref() == Some("string") && schema.enum_.is_none() {
        schema.max_length.get_or_insert(LONGEST_TEXT);
    }
    if schema.type_.as_deref() == Some("array") {
        schema.max_items.get_or_insert(LONGEST_LIST);
    }
    // It may hold anything, which is not the same as any values of one type.
    if schema.x_kubernetes_preserve_unknown_fields == Some(true) {
        schema.additional_properties = None;
        schema.max_properties = Some(LONGEST_LIST);
    }
    for (name, property) in schema.properties.iter_mut().flatten() {
        // 23 quantiles, always.
        if name == "ttfaQ" || name == "totalQ" {
            property.min_items = Some(23);
            property.max_items = Some(23);
        }
        match name.as_str() {
            "image" | "url" => property.max_length = Some(1_024),
            "stages" => property.max_items = Some(16),
            "levels" => property.max_items = Some(32),
            "flags" => property.max_items = Some(128),
            _ => {}
        }
        if property.type_.as_deref() == Some("number") && name != "error" {
            property.minimum = Some(0.0);
        }
        bound_measurement(property);
    }
    if let Some(items) = items(schema) {
        bound_measurement(items);
    }
}

/// The limits that Kubernetes' own CRDs give conditions (metav1.Condition's validation markers).
fn bound_conditions(status: &mut JSONSchemaProps) {
    let Some(conditions) = property(status, "conditions") else {
        return;
    };
    conditions.max_items = Some(16);
    let Some(condition) = items(conditions) else {
        return;
    };
    let limit = |condition: &mut JSONSchemaProps, name: &str, max: i64, pattern: Option<&str>| {
        if let Some(schema) = property(condition, name) {
            schema.max_length = Some(max);
            schema.pattern = pattern.map(str::to_owned);
        }
    };
    limit(condition, "message", 32_768, None);
    limit(
        condition,
        "reason",
        1_024,
        Some("^[A-Za-z]([A-Za-z0-9_,:]*[A-Za-z0-9_])?$"),
    );
    limit(condition, "type", 316, None);
    if let Some(schema) = property(condition, "status") {
        schema.enum_ = Some(
            ["True", "False", "Unknown"]
                .map(|value| JSON(json!(value)))
                .to_vec(),
        );
    }
}

fn property<'a>(schema: &'a mut JSONSchemaProps, name: &str) -> Option<&'a mut JSONSchemaProps> {
    schema.properties.as_mut()?.get_mut(name)
}

fn items(schema: &mut JSONSchemaProps) -> Option<&mut JSONSchemaProps> {
    match schema.items.as_mut()? {
        JSONSchemaPropsOrArray::Schema(schema) => Some(schema),
        JSONSchemaPropsOrArray::Schemas(_) => None,
    }
}
