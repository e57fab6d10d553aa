//! What a namespace looks like in the end, without what differs from one run to the next: two runs that came to the
//! same end are equal.
use std::collections::{BTreeMap, BTreeSet};

use anyhow::{Context as _, Result};
use serde_json::Value;

use crate::{Namespace, children};

/// `Kind/name`, or what is counted, with each field and its value.
#[derive(Clone, Debug, Default, PartialEq, Eq)]
pub struct EndState(BTreeMap<String, BTreeMap<String, String>>);

/// Not compared one by one. Replica sets and pods have names of their own and are counted; the others are made of them
/// or outlive what they speak of.
const OTHERS: [&str; 6] = [
    "Endpoints",
    "EndpointSlice",
    "Event",
    "Lease",
    "Pod",
    "ReplicaSet",
];

/// Fields that the cluster chooses or that were measured, at any depth.
const DIFFERENT_EACH_TIME: [&str; 13] = [
    "clusterIP",
    "clusterIPs",
    "creationTimestamp",
    // Seals what was measured, too.
    "inspectedSource",
    "kubectl.kubernetes.io/last-applied-configuration",
    "lastTransitionTime",
    "lastUpdateTime",
    "managedFields",
    "peakMemoryBytes",
    "resourceVersion",
    "startTime",
    "completionTime",
    "uid",
];

/// The revision that the Deployment controller gives a template.
const REVISION: &str = "deployment.kubernetes.io/revision";

const LEAVING: &str = ", leaving";

impl EndState {
    pub async fn of(namespace: &Namespace) -> Result<Self> {
        let kinds = children::kinds(namespace).await?;
        let list = namespace
            .kubectl(&format!("get {} --output=json", kinds.join(",")))
            .await?
            .ok()?;
        let list: Value = serde_json::from_str(&list)?;
        let items = list["items"].as_array().context("no list")?;
        Ok(Self::from_objects(&namespace.name, items))
    }

    /// What differs, one line each.
    pub fn differences(&self, other: &Self) -> Vec<String> {
        let mut differences = Vec::new();
        for key in keys(&self.0, &other.0) {
            match (self.0.get(key), other.0.get(key)) {
                (Some(fields), Some(others)) => {
                    for field in keys(fields, others) {
                        let (one, two) = (fields.get(field), others.get(field));
                        if one != two {
                            differences.push(format!(
                                "{key} {field}: {} -> {}",
                                or_absent(one),
                                or_absent(two)
                            ));
                        }
                    }
                }
                (Some(_), None) => differences.push(format!("{key} is missing")),
                (None, _) => differences.push(format!("{key} is too much")),
            }
        }
        differences
    }

    /// The objects and what is counted.
    pub fn keys(&self) -> impl Iterator<Item = &str> {
        self.0.keys().map(String::as_str)
    }

    /// Whether a pod is on its way out, which takes longer than everything else.
    pub fn has_leaving_pods(&self) -> bool {
        self.keys().any(|key| key.ends_with(LEAVING))
    }

    pub fn is_empty(&self) -> bool {
        self.0.is_empty()
    }

    fn from_objects(namespace: &str, objects: &[Value]) -> Self {
        let mut state = Self::default();
        for object in objects {
            let kind = text(&object["kind"]);
            let key = format!("{kind}/{}", text(&object["metadata"]["name"]));
            match kind {
                "ReplicaSet" => state.count(
                    &format!(
                        "ReplicaSet of revision {}",
                        text(&object["metadata"]["annotations"][REVISION])
                    ),
                    &format!("of {}", object["spec"]["replicas"]),
                ),
                "Pod" => state.count(&pod_key(object), "pods"),
                _ if OTHERS.contains(&kind) || children::is_of_every_namespace(&key) => {}
                _ => {
                    let mut fields = BTreeMap::new();
                    let mut object = object.clone();
                    if !text(&object["apiVersion"]).starts_with("tts-operator.dev/")
                        && let Some(object) = object.as_object_mut()
                    {
                        object.remove("status");
                    }
                    flatten("", &object, namespace, &mut fields);
                    state.0.insert(key, fields);
                }
            }
        }
        state
    }

    fn count(&mut self, key: &str, what: &str) {
        let count = self
            .0
            .entry(key.to_owned())
            .or_default()
            .entry(what.to_owned())
            .or_default();
        *count = (count.parse().unwrap_or(0) + 1).to_string();
    }
}

fn pod_key(pod: &Value) -> String {
    let owner = pod["metadata"]["ownerReferences"]
        .as_array()
        .and_then(|owners| owners.first())
        .map_or("nobody", |owner| text(&owner["kind"]));
    let leaving = pod["metadata"]["deletionTimestamp"].is_string();
    let ready = pod["status"]["conditions"]
        .as_array()
        .into_iter()
        .flatten()
        .any(|condition| condition["type"] == "Ready" && condition["status"] == "True");
    format!(
        "Pod of a {owner}, {}{}{}",
        text(&pod["status"]["phase"]),
        if ready { ", ready" } else { "" },
        if leaving { LEAVING } else { "" },
    )
}

/// The leaves of `value` by their paths.
fn flatten(path: &str, value: &Value, namespace: &str, fields: &mut BTreeMap<String, String>) {
    match value {
        Value::Object(map) => {
            for (key, value) in map {
                if !DIFFERENT_EACH_TIME.contains(&key.as_str()) {
                    flatten(&format!("{path}.{key}"), value, namespace, fields);
                }
            }
        }
        Value::Array(list) => {
            for (index, value) in list.iter().enumerate() {
                flatten(&format!("{path}[{index}]"), value, namespace, fields);
            }
        }
        // The hash is of an object that names its owner by uid.
        Value::String(_) if path.ends_with("-hash") => {}
        Value::String(text) => {
            fields.insert(path.to_owned(), text.replace(namespace, "NAMESPACE"));
        }
        other => {
            fields.insert(path.to_owned(), other.to_string());
        }
    }
}

fn text(value: &Value) -> &str {
    value.as_str().unwrap_or_default()
}

fn keys<'a, V>(
    one: &'a BTreeMap<String, V>,
    other: &'a BTreeMap<String, V>,
) -> BTreeSet<&'a String> {
    one.keys().chain(other.keys()).collect()
}

fn or_absent(value: Option<&String>) -> &str {
    value.map_or("absent", String::as_str)
}

#[cfg(test)]
mod tests {
    use serde_json::json;

    use super::*;

    fn deployment(namespace: &str, replicas: i64, revision: &str) -> Value {
        json!({
            "apiVersion": "apps/v1",
            "kind": "Deployment",
            "metadata": {
                "name": "greeter",
                "namespace": namespace,
                "uid": format!("of {namespace}"),
                "resourceVersion": namespace,
                "annotations": {REVISION: revision, "tts-operator.dev/applied-hash": namespace},
                "ownerReferences": [{"kind": "TtsDeployment", "name": "greeter", "uid": namespace}],
            },
            "spec": {"replicas": replicas},
            "status": {"readyReplicas": namespace},
        })
    }

    #[test]
    fn runs_in_different_namespaces_are_equal() {
        let one = EndState::from_objects("speech-1", &[deployment("speech-1", 1, "1")]);
        let two = EndState::from_objects("speech-2", &[deployment("speech-2", 1, "1")]);
        assert_eq!(one, two);
        assert!(one.differences(&two).is_empty());
    }

    #[test]
    fn a_change_an_extra_rollout_and_an_orphan_are_differences() {
        let expected = EndState::from_objects("speech", &[deployment("speech", 1, "1")]);
        let orphan = json!({"apiVersion": "v1", "kind": "Service", "metadata": {"name": "old"}});
        let state = EndState::from_objects("speech", &[deployment("speech", 2, "2"), orphan]);
        assert_eq!(
            expected.differences(&state),
            [
                "Deployment/greeter .metadata.annotations.deployment.kubernetes.io/revision: 1 -> 2",
                "Deployment/greeter .spec.replicas: 1 -> 2",
                "Service/old is too much",
            ]
        );
        let empty = EndState::default();
        assert_eq!(
            expected.differences(&empty),
            ["Deployment/greeter is missing"]
        );
    }

    #[test]
    fn pods_and_replica_sets_are_counted() {
        let pod = |name: &str, ready: &str| {
            json!({
                "kind": "Pod",
                "metadata": {"name": name, "ownerReferences": [{"kind": "ReplicaSet"}]},
                "status": {"phase": "Running", "conditions": [{"type": "Ready", "status": ready}]},
            })
        };
        let replica_set = json!({
            "kind": "ReplicaSet",
            "metadata": {"name": "greeter-5f", "annotations": {REVISION: "2"}},
            "spec": {"replicas": 2},
        });
        let event = json!({"kind": "Event", "metadata": {"name": "seen"}});
        let state = EndState::from_objects(
            "speech",
            &[
                pod("a", "True"),
                pod("b", "True"),
                pod("c", "False"),
                replica_set,
                event,
            ],
        );
        assert_eq!(
            state.keys().collect::<Vec<_>>(),
            [
                "Pod of a ReplicaSet, Running",
                "Pod of a ReplicaSet, Running, ready",
                "ReplicaSet of revision 2",
            ]
        );
        assert_eq!(state.0["Pod of a ReplicaSet, Running, ready"]["pods"], "2");
        assert_eq!(state.0["ReplicaSet of revision 2"]["of 2"], "1");
    }
}
