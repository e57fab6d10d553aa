//! How a live object differs from the one that the operator wants. Pure.
//!
//! The API server adds defaults, and other clients may add labels, containers or ports, so the live
//! object may have more than the desired one, except in the parts that the operator owns entirely
//! ([`OWNED`]). Fields that are no longer desired are detected by the hash of the desired object, which
//! `children` keeps in an annotation.
use std::fmt;

use serde_json::Value;
use tts_crds::quantity;

/// Lists that server-side apply merges by key, and the fields of the key: entries of other field managers
/// are kept. The operator owns every other list as a whole. Paths are without the keys of entries.
const MERGED_LISTS: [(&str, &[&str]); 12] = [
    ("metadata.ownerReferences", &["uid"]),
    ("spec.ports", &["port", "protocol"]),
    ("spec.template.spec.containers", &["name"]),
    ("spec.template.spec.containers.env", &["name"]),
    (
        "spec.template.spec.containers.ports",
        &["containerPort", "protocol"],
    ),
    ("spec.template.spec.containers.volumeMounts", &["mountPath"]),
    ("spec.template.spec.imagePullSecrets", &["name"]),
    ("spec.template.spec.initContainers", &["name"]),
    ("spec.template.spec.initContainers.env", &["name"]),
    (
        "spec.template.spec.initContainers.volumeMounts",
        &["mountPath"],
    ),
    (
        "spec.template.spec.topologySpreadConstraints",
        &["topologyKey", "whenUnsatisfiable"],
    ),
    ("spec.template.spec.volumes", &["name"]),
];

/// Parts of children that belong to the operator alone: what others add there is removed. Everything
/// that decides who can reach the server, what runs in it and what it may use; for containers, only
/// those of the operator.
const OWNED: [(&str, &[&str]); 6] = [
    (
        "Deployment",
        &[
            "spec.minReadySeconds",
            "spec.paused",
            "spec.selector",
            "spec.strategy",
            "spec.template.spec.containers.args",
            "spec.template.spec.containers.command",
            "spec.template.spec.containers.env",
            "spec.template.spec.containers.envFrom",
            "spec.template.spec.containers.lifecycle",
            "spec.template.spec.containers.livenessProbe",
            "spec.template.spec.containers.ports",
            "spec.template.spec.containers.readinessProbe",
            "spec.template.spec.containers.resources",
            "spec.template.spec.containers.securityContext",
            "spec.template.spec.containers.startupProbe",
            "spec.template.spec.containers.workingDir",
            "spec.template.spec.hostIPC",
            "spec.template.spec.hostNetwork",
            "spec.template.spec.hostPID",
            "spec.template.spec.initContainers.args",
            "spec.template.spec.initContainers.command",
            "spec.template.spec.initContainers.env",
            "spec.template.spec.initContainers.envFrom",
            "spec.template.spec.initContainers.resources",
            "spec.template.spec.initContainers.securityContext",
            "spec.template.spec.initContainers.workingDir",
            "spec.template.spec.securityContext",
            "spec.template.spec.topologySpreadConstraints.labelSelector",
        ],
    ),
    ("HorizontalPodAutoscaler", &["spec"]),
    ("NetworkPolicy", &["spec"]),
    ("PodDisruptionBudget", &["spec"]),
    (
        "Service",
        &[
            "spec.publishNotReadyAddresses",
            "spec.selector",
            "spec.sessionAffinity",
            "spec.sessionAffinityConfig",
        ],
    ),
    ("ControllerRevision", &["data"]),
];

/// Fields that hold quantities, wherever they are.
const QUANTITIES: [&str; 3] = ["sizeLimit", "averageValue", "value"];

/// One difference.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Difference {
    /// Where, as `spec.template.spec.containers[server].args`, and what is there.
    text: String,
    steps: Vec<Step>,
    kind: Kind,
}

#[derive(Clone, Copy, Debug, PartialEq, Eq)]
enum Kind {
    /// A value that we want is missing or another one: applying ours corrects it.
    Changed,
    /// Somebody added something to a part that is ours: applying does not remove it.
    Added,
}

#[derive(Clone, Debug, PartialEq, Eq)]
enum Step {
    Key(String),
    Index(usize),
}

impl Difference {
    /// Whether server-side apply leaves this as it is.
    pub fn is_addition(&self) -> bool {
        self.kind == Kind::Added
    }
}

impl fmt::Display for Difference {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.write_str(&self.text)
    }
}

/// All differences of an object of this kind; none if `live` is as desired.
pub fn differences(kind: &str, live: &Value, desired: &Value) -> Vec<Difference> {
    let owned = OWNED
        .iter()
        .find(|(of, _)| *of == kind)
        .map_or(&[][..], |(_, paths)| paths);
    let mut comparison = Comparison {
        owned,
        found: Vec::new(),
    };
    comparison.compare(&mut Place::default(), live, desired, false);
    comparison.found
}

/// `live` without what [`differences`] found to be added.
pub fn without_additions(mut live: Value, differences: &[Difference]) -> Value {
    // From the last one, so that the positions of entries before it stay right.
    for difference in differences.iter().rev().filter(|d| d.is_addition()) {
        remove(&mut live, &difference.steps);
    }
    live
}

fn remove(value: &mut Value, steps: &[Step]) {
    match (value, steps) {
        (Value::Object(map), [Step::Key(key)]) => {
            map.remove(key);
        }
        (Value::Array(list), [Step::Index(index)]) if *index < list.len() => {
            list.remove(*index);
        }
        (Value::Object(map), [Step::Key(key), rest @ ..]) => {
            if let Some(value) = map.get_mut(key) {
                remove(value, rest);
            }
        }
        (Value::Array(list), [Step::Index(index), rest @ ..]) => {
            if let Some(value) = list.get_mut(*index) {
                remove(value, rest);
            }
        }
        _ => {}
    }
}

/// Where in the object the comparison is.
#[derive(Clone, Default)]
struct Place {
    /// Names of fields alone: `spec.ports.protocol`.
    path: String,
    /// With the keys of entries: `spec.ports[80/TCP].protocol`.
    shown: String,
    steps: Vec<Step>,
}

impl Place {
    fn field(&self, name: &str) -> Self {
        let join = |parent: &str| match parent {
            "" => name.to_owned(),
            parent => format!("{parent}.{name}"),
        };
        let mut steps = self.steps.clone();
        steps.push(Step::Key(name.to_owned()));
        Self {
            path: join(&self.path),
            shown: join(&self.shown),
            steps,
        }
    }

    fn entry(&self, index: usize, key: &str) -> Self {
        let mut steps = self.steps.clone();
        steps.push(Step::Index(index));
        Self {
            path: self.path.clone(),
            shown: format!("{}[{key}]", self.shown),
            steps,
        }
    }
}

struct Comparison<'a> {
    owned: &'a [&'a str],
    found: Vec<Difference>,
}

impl Comparison<'_> {
    fn add(&mut self, kind: Kind, place: &Place, live: &Value) {
        let text = match live {
            Value::Null => format!("{} is missing", place.shown),
            value => format!("{} is {value}", place.shown),
        };
        self.found.push(Difference {
            text,
            steps: place.steps.clone(),
            kind,
        });
    }

    /// `owned`: nothing but the desired value may be here.
    fn compare(&mut self, place: &mut Place, live: &Value, desired: &Value, owned: bool) {
        match (live, desired) {
            (Value::Object(live), Value::Object(desired)) => {
                for (name, desired) in desired {
                    let mut place = place.field(name);
                    let owned = owned || self.owned.contains(&place.path.as_str());
                    match live.get(name) {
                        Some(live) => self.compare(&mut place, live, desired, owned),
                        // The API server drops empty maps and lists.
                        None if is_empty(desired) => {}
                        None => self.add(Kind::Changed, &place, &Value::Null),
                    }
                }
                for (name, live) in live {
                    let place = place.field(name);
                    let ours = owned || self.owned.contains(&place.path.as_str());
                    if ours && !desired.contains_key(name) && !is_empty(live) {
                        self.add(Kind::Added, &place, live);
                    }
                }
            }
            (Value::Array(live), Value::Array(desired)) => {
                match MERGED_LISTS.iter().find(|(path, _)| *path == place.path) {
                    Some((_, key)) => self.compare_merged(place, live, desired, key, owned),
                    None => self.compare_whole(place, live, desired),
                }
            }
            (live, desired) => {
                if !same(&place.path, live, desired) {
                    self.add(Kind::Changed, place, live);
                }
            }
        }
    }

    fn compare_merged(
        &mut self,
        place: &Place,
        live: &[Value],
        desired: &[Value],
        key: &[&str],
        owned: bool,
    ) {
        for entry in desired {
            let id = id(entry, key);
            match live.iter().position(|live| self::id(live, key) == id) {
                Some(index) => {
                    let mut place = place.entry(index, &id);
                    self.compare(&mut place, &live[index], entry, owned);
                }
                None => self.add(Kind::Changed, &place.entry(live.len(), &id), &Value::Null),
            }
        }
        for (index, entry) in live.iter().enumerate() {
            let id = id(entry, key);
            if owned && !desired.iter().any(|entry| self::id(entry, key) == id) {
                self.add(Kind::Added, &place.entry(index, &id), entry);
            }
        }
    }

    /// A list that server-side apply treats as one value is ours to the last field of its entries.
    fn compare_whole(&mut self, place: &Place, live: &[Value], desired: &[Value]) {
        let mut inside = Comparison {
            owned: self.owned,
            found: Vec::new(),
        };
        for (index, (live, desired)) in live.iter().zip(desired).enumerate() {
            inside.compare(
                &mut place.entry(index, &index.to_string()),
                live,
                desired,
                true,
            );
        }
        if live.len() != desired.len() || !inside.found.is_empty() {
            self.add(Kind::Changed, place, &Value::Array(live.to_vec()));
        }
    }
}

/// The key of an entry, as `80/TCP`.
fn id(entry: &Value, key: &[&str]) -> String {
    key.iter()
        .map(|field| match &entry[*field] {
            Value::String(text) => text.clone(),
            value => value.to_string(),
        })
        .collect::<Vec<_>>()
        .join("/")
}

fn same(path: &str, live: &Value, desired: &Value) -> bool {
    match (live, desired) {
        // The API server normalizes quantities: 1000m is returned as 1.
        (Value::String(live), Value::String(desired)) => {
            live == desired || (is_quantity(path) && quantity::same(live, desired))
        }
        // It also returns 160 for 160.0.
        (Value::Number(live), Value::Number(desired)) => live.as_f64() == desired.as_f64(),
        (live, desired) => live == desired,
    }
}

fn is_quantity(path: &str) -> bool {
    let field = path.rsplit('.').next().unwrap_or_default();
    path.contains(".resources.") || QUANTITIES.contains(&field)
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

    fn shown(kind: &str, live: &Value, desired: &Value) -> Vec<String> {
        differences(kind, live, desired)
            .iter()
            .map(ToString::to_string)
            .collect()
    }

    fn holds(kind: &str, live: &Value, desired: &Value) -> bool {
        differences(kind, live, desired).is_empty()
    }

    fn container(container: &Value) -> Value {
        json!({"spec": {"template": {"spec": {"containers": [container]}}}})
    }

    #[test]
    fn defaults_and_entries_of_others_are_not_drift() {
        let desired =
            container(&json!({"name": "server", "resources": {"requests": {"cpu": "1000m"}}}));
        let live = json!({"spec": {"replicas": 1, "template": {"spec": {"nodeSelector": {"disk": "fast"}, "containers": [
            {"name": "injected", "command": ["sh"], "env": [{"name": "A"}]},
            {"name": "server", "resources": {"requests": {"cpu": "1"}}, "terminationMessagePath": "/dev/termination-log"},
        ]}}}});
        assert!(holds("Deployment", &live, &desired));
    }

    #[test]
    fn a_changed_or_removed_value_is_drift() {
        let desired = json!({"spec": {"replicas": 2, "type": "ClusterIP"}});
        let live = json!({"spec": {"replicas": 3}});
        assert_eq!(
            shown("Service", &live, &desired),
            ["spec.replicas is 3", "spec.type is missing"]
        );
    }

    #[test]
    fn rules_and_fields_added_to_a_network_policy_are_drift() {
        let desired = json!({"spec": {"podSelector": {}, "ingress": [{"ports": [{"port": 8000, "protocol": "TCP"}]}]}});
        for (addition, live) in [
            (
                "a rule",
                json!({"podSelector": {}, "ingress": [{"ports": [{"port": 8000, "protocol": "TCP"}]}, {}]}),
            ),
            (
                "a port",
                json!({"podSelector": {}, "ingress": [{"ports": [{"port": 8000, "protocol": "TCP"}, {"port": 22}]}]}),
            ),
            (
                "a peer",
                json!({"podSelector": {}, "ingress": [{"from": [{"podSelector": {}}], "ports": [{"port": 8000, "protocol": "TCP"}]}]}),
            ),
            (
                "a field of a port",
                json!({"podSelector": {}, "ingress": [{"ports": [{"port": 8000, "endPort": 9000, "protocol": "TCP"}]}]}),
            ),
        ] {
            let live = json!({"spec": live});
            let found = differences("NetworkPolicy", &live, &desired);
            assert_eq!(found.len(), 1, "{addition}: {found:?}");
            assert!(!found[0].is_addition(), "{addition}: the list is one value");
        }
        let egress = json!({"spec": {"podSelector": {"matchLabels": {"a": "b"}}, "egress": [{}], "ingress": [{"ports": [{"port": 8000, "protocol": "TCP"}]}]}});
        let found = differences("NetworkPolicy", &egress, &desired);
        assert!(found.iter().all(Difference::is_addition), "{found:?}");
        let corrected = without_additions(egress, &found);
        assert!(holds("NetworkPolicy", &corrected, &desired), "{corrected}");
    }

    #[test]
    fn what_is_added_to_the_servers_container_is_removed_and_the_rest_stays() {
        let desired = container(&json!({
            "name": "server", "args": ["serve"], "env": [{"name": "OURS", "value": "1"}],
            "livenessProbe": {"httpGet": {"path": "/livez"}},
        }));
        let live = json!({"spec": {"template": {"spec": {"containers": [
            {"name": "sidecar", "command": ["proxy"]},
            {
                "name": "server", "args": ["serve"], "command": ["sh"], "volumeMounts": [{"mountPath": "/x", "name": "x"}],
                "env": [{"name": "FIRST"}, {"name": "OURS", "value": "1"}, {"name": "LAST"}],
                "livenessProbe": {"httpGet": {"path": "/livez"}, "initialDelaySeconds": 600},
                "securityContext": {"privileged": true},
            },
        ]}}}});
        let found = differences("Deployment", &live, &desired);
        let texts: Vec<String> = found.iter().map(ToString::to_string).collect();
        let server = "spec.template.spec.containers[server]";
        assert_eq!(
            texts,
            [
                format!(r#"{server}.env[FIRST] is {{"name":"FIRST"}}"#),
                format!(r#"{server}.env[LAST] is {{"name":"LAST"}}"#),
                format!("{server}.livenessProbe.initialDelaySeconds is 600"),
                format!(r#"{server}.command is ["sh"]"#),
                format!(r#"{server}.securityContext is {{"privileged":true}}"#),
            ]
        );
        let corrected = without_additions(live, &found);
        let containers = &corrected["spec"]["template"]["spec"]["containers"];
        assert_eq!(containers[0]["command"], json!(["proxy"]));
        assert_eq!(
            containers[1]["env"],
            json!([{"name": "OURS", "value": "1"}])
        );
        assert_eq!(containers[1]["volumeMounts"][0]["name"], "x");
        assert!(holds("Deployment", &corrected, &desired), "{corrected}");
    }

    #[test]
    fn a_label_added_to_the_selector_of_the_service_is_drift_and_a_port_is_not() {
        let desired =
            json!({"spec": {"selector": {"app": "x"}, "ports": [{"port": 80, "protocol": "TCP"}]}});
        let live = json!({"spec": {"selector": {"app": "x", "more": "y"}, "ports": [
            {"port": 443, "protocol": "TCP"}, {"port": 80, "protocol": "TCP", "nodePort": 30000},
        ]}});
        assert_eq!(
            shown("Service", &live, &desired),
            [r#"spec.selector.more is "y""#]
        );
    }

    #[test]
    fn spread_constraints_of_others_are_kept() {
        let constraint = |key: &str| json!({"topologyKey": key, "whenUnsatisfiable": "ScheduleAnyway", "maxSkew": 1});
        let pod = |constraints: Value| json!({"spec": {"template": {"spec": {"topologySpreadConstraints": constraints}}}});
        let desired = pod(json!([constraint("zone"), constraint("host")]));
        let live = pod(json!([
            constraint("rack"),
            constraint("host"),
            constraint("zone")
        ]));
        assert!(holds("Deployment", &live, &desired));
    }

    #[test]
    fn arguments_are_compared_in_order() {
        let args = |args: &[&str]| container(&json!({"name": "server", "args": args}));
        assert!(holds("Deployment", &args(&["a", "b"]), &args(&["a", "b"])));
        assert!(!holds("Deployment", &args(&["b", "a"]), &args(&["a", "b"])));
    }

    #[test]
    fn quantities_and_numbers_are_compared_by_value_everywhere() {
        let metric = |value: &str| json!({"spec": {"metrics": [{"resource": {"target": {"averageValue": value}}}]}});
        assert!(holds(
            "HorizontalPodAutoscaler",
            &metric("500m"),
            &metric("0.5")
        ));
        assert!(!holds(
            "HorizontalPodAutoscaler",
            &metric("501m"),
            &metric("0.5")
        ));
        let revision = |number: Value| json!({"data": {"memory": number}});
        assert!(holds(
            "ControllerRevision",
            &revision(json!(160)),
            &revision(json!(160.0))
        ));
        assert!(!holds(
            "ControllerRevision",
            &revision(json!(161)),
            &revision(json!(160.0))
        ));
        let volume = |size: &str| json!({"spec": {"template": {"spec": {"volumes": [{"name": "v", "emptyDir": {"sizeLimit": size}}]}}}});
        assert!(holds("Deployment", &volume("1Gi"), &volume("1024Mi")));
        let named = |name: &str| json!({"metadata": {"labels": {"size": name}}});
        assert!(
            !holds("Service", &named("1"), &named("1000m")),
            "a label is no quantity"
        );
    }

    #[test]
    fn an_empty_map_that_the_server_dropped_is_not_drift() {
        assert!(holds(
            "NetworkPolicy",
            &json!({}),
            &json!({"podSelector": {}})
        ));
        assert!(!holds("NetworkPolicy", &json!({}), &json!({"replicas": 0})));
    }
}
