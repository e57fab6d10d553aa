//! Whether a live object still matches what was last applied. Pure.
//!
//! The API server adds defaults, and other clients may add entries to keyed lists, so the live
//! object may have more than the desired one. Fields that are no longer desired are detected by the
//! hash of the desired object, which `children` keeps in an annotation.
use serde_json::Value;
use tts_crds::quantity;

/// Lists that server-side apply merges by key: entries of other field managers are kept. The
/// operator owns every other list as a whole. Paths are without indices.
const MERGED_LISTS: [&str; 11] = [
    "metadata.ownerReferences",
    "spec.ports",
    "spec.template.spec.containers",
    "spec.template.spec.containers.env",
    "spec.template.spec.containers.ports",
    "spec.template.spec.containers.volumeMounts",
    "spec.template.spec.imagePullSecrets",
    "spec.template.spec.initContainers",
    "spec.template.spec.initContainers.env",
    "spec.template.spec.initContainers.volumeMounts",
    "spec.template.spec.volumes",
];

/// Whether `live` contains all of `desired`.
pub fn holds(live: &Value, desired: &Value) -> bool {
    holds_at("", live, desired)
}

fn holds_at(path: &str, live: &Value, desired: &Value) -> bool {
    match (live, desired) {
        (Value::Object(live), Value::Object(desired)) => desired.iter().all(|(key, desired)| {
            let path = if path.is_empty() {
                key.clone()
            } else {
                format!("{path}.{key}")
            };
            match live.get(key) {
                Some(live) => holds_at(&path, live, desired),
                // The API server drops empty maps and lists.
                None => is_empty(desired),
            }
        }),
        (Value::Array(live), Value::Array(desired)) if MERGED_LISTS.contains(&path) => desired
            .iter()
            .all(|desired| live.iter().any(|live| holds_at(path, live, desired))),
        (Value::Array(live), Value::Array(desired)) => {
            live.len() == desired.len()
                && live
                    .iter()
                    .zip(desired)
                    .all(|(live, desired)| holds_at(path, live, desired))
        }
        // The API server normalizes quantities: 1000m is returned as 1.
        (Value::String(live), Value::String(desired)) => {
            live == desired || (is_quantity(path) && quantity::same(live, desired))
        }
        (live, desired) => live == desired,
    }
}

fn is_quantity(path: &str) -> bool {
    path.contains("resources.") || path.ends_with(".sizeLimit")
}

fn is_empty(value: &Value) -> bool {
    match value {
        Value::Null => true,
        Value::Object(map) => map.is_empty(),
        Value::Array(list) => list.is_empty(),
        _ => false,
    }
}

#[cfg(test)]
mod tests {
    use serde_json::json;

    use super::*;

    #[test]
    fn defaults_and_entries_of_others_are_not_drift() {
        let desired = json!({"spec": {"template": {"spec": {"containers": [
            {"name": "server", "resources": {"requests": {"cpu": "1000m"}}},
        ]}}}});
        let live = json!({"spec": {"replicas": 1, "template": {"spec": {"containers": [
            {"name": "injected"},
            {"name": "server", "resources": {"requests": {"cpu": "1"}}, "terminationMessagePath": "/dev/termination-log"},
        ]}}}});
        assert!(holds(&live, &desired));
    }

    #[test]
    fn a_changed_or_removed_value_is_drift() {
        let desired = json!({"spec": {"replicas": 2, "type": "ClusterIP"}});
        assert!(!holds(
            &json!({"spec": {"replicas": 3, "type": "ClusterIP"}}),
            &desired
        ));
        assert!(!holds(&json!({"spec": {"replicas": 2}}), &desired));
    }

    #[test]
    fn a_rule_added_to_a_list_that_is_ours_is_drift() {
        let desired = json!({"spec": {"ingress": [{"ports": [{"port": 8000}]}]}});
        let rule_added = json!({"spec": {"ingress": [{"ports": [{"port": 8000}]}, {}]}});
        let port_added = json!({"spec": {"ingress": [{"ports": [{"port": 8000}, {"port": 22}]}]}});
        assert!(!holds(&rule_added, &desired));
        assert!(!holds(&port_added, &desired));
    }

    #[test]
    fn arguments_are_compared_in_order() {
        let args = |args: &[&str]| json!({"spec": {"args": args}});
        assert!(holds(&args(&["a", "b"]), &args(&["a", "b"])));
        assert!(!holds(&args(&["b", "a"]), &args(&["a", "b"])));
    }

    #[test]
    fn an_empty_map_that_the_server_dropped_is_not_drift() {
        assert!(holds(&json!({}), &json!({"podSelector": {}})));
        assert!(!holds(&json!({}), &json!({"replicas": 0})));
    }
}
