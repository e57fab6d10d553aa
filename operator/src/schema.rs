//! Whether the CRDs in the cluster have everything that this version of the operator reads and writes.
use k8s_openapi::apiextensions_apiserver::pkg::apis::apiextensions::v1::CustomResourceDefinition;
use serde_json::Value;

/// Where the API server publishes the schemas of our group; every authenticated user may read it.
pub const PATH: &str = "/openapi/v3/apis/tts-operator.dev/v1alpha1";

/// The first few fields of our schema of `crd` that the published document lacks, as `spec.voices.name`;
/// `None` if it has no such kind at all.
pub fn missing(published: &Value, crd: &CustomResourceDefinition) -> Option<Vec<String>> {
    let kind = &crd.spec.names.kind;
    let served = published["components"]["schemas"]
        .as_object()?
        .values()
        .find(|schema| {
            schema["x-kubernetes-group-version-kind"]
                .as_array()
                .is_some_and(|kinds| kinds.iter().any(|of| of["kind"] == kind.as_str()))
        })?;
    let mut fields = Vec::new();
    for version in &crd.spec.versions {
        let schema = version
            .schema
            .as_ref()
            .and_then(|schema| schema.open_api_v3_schema.as_ref());
        // Serialized before, when the CRD was installed; a schema is always an object.
        let ours = serde_json::to_value(schema).unwrap_or_default();
        for part in ["spec", "status"] {
            compare(
                part,
                &served["properties"][part],
                &ours["properties"][part],
                &mut fields,
            );
        }
    }
    Some(fields)
}

/// Adds the paths of properties that `ours` has and `served` has not. More than ours is no problem: a
/// newer version of the CRD only adds.
fn compare(path: &str, served: &Value, ours: &Value, fields: &mut Vec<String>) {
    if ours.is_null() {
        return;
    }
    // The API server publishes a nested schema that has a default as the only part of an `allOf`.
    let served = match served["allOf"].as_array().map(Vec::as_slice) {
        Some([only]) if served.get("properties").is_none() => only,
        _ => served,
    };
    if served.is_null() {
        fields.push(path.to_owned());
        return;
    }
    for (name, ours) in ours["properties"].as_object().into_iter().flatten() {
        compare(
            &format!("{path}.{name}"),
            &served["properties"][name],
            ours,
            fields,
        );
    }
    if ours["items"].is_object() {
        compare(path, &served["items"], &ours["items"], fields);
    }
}

#[cfg(test)]
mod tests {
    use serde_json::json;

    use super::*;

    /// What the API server publishes, as far as it matters here: the kind's own schema.
    fn published(crd: &CustomResourceDefinition) -> Value {
        let mut schema = serde_json::to_value(
            crd.spec.versions[0]
                .schema
                .as_ref()
                .and_then(|schema| schema.open_api_v3_schema.as_ref()),
        )
        .unwrap();
        schema["x-kubernetes-group-version-kind"] =
            json!([{"group": "tts-operator.dev", "kind": crd.spec.names.kind}]);
        json!({"components": {"schemas": {"dev.tts-operator.v1alpha1.Any": schema}}})
    }

    #[test]
    fn our_own_schemas_lack_nothing() {
        for crd in tts_crds::all() {
            assert_eq!(missing(&published(&crd), &crd), Some(vec![]));
        }
    }

    #[test]
    fn a_field_of_an_older_schema_is_named_at_any_depth() {
        for crd in tts_crds::all() {
            let mut older = published(&crd);
            let schema = &mut older["components"]["schemas"]["dev.tts-operator.v1alpha1.Any"];
            let status = schema["properties"]["status"]["properties"]
                .as_object_mut()
                .unwrap();
            status.remove("observedGeneration");
            status["conditions"]["items"]["properties"]
                .as_object_mut()
                .unwrap()
                .remove("reason");
            assert_eq!(
                missing(&older, &crd).unwrap(),
                ["status.conditions.reason", "status.observedGeneration"]
            );
        }
    }

    #[test]
    fn an_absent_kind_is_told_from_an_old_one() {
        for crd in tts_crds::all() {
            assert_eq!(missing(&json!({}), &crd), None);
        }
    }

    #[test]
    fn a_newer_schema_is_good_enough() {
        for crd in tts_crds::all() {
            let mut newer = published(&crd);
            newer["components"]["schemas"]["dev.tts-operator.v1alpha1.Any"]["properties"]["spec"]
                ["properties"]["later"] = json!({"type": "string"});
            assert_eq!(missing(&newer, &crd), Some(vec![]));
        }
    }
}
