//! Labels of the objects that the operator creates.
use std::collections::BTreeMap;

use k8s_openapi::apimachinery::pkg::apis::meta::v1::{ObjectMeta, OwnerReference};
use kube::runtime::watcher;

pub const INSTANCE: &str = "app.kubernetes.io/instance";
pub const NAME: &str = "app.kubernetes.io/name";
const COMPONENT: &str = "app.kubernetes.io/component";
const MANAGED_BY: &str = "app.kubernetes.io/managed-by";

/// The role of an object.
#[derive(Clone, Copy)]
pub struct Role {
    /// Value of the name label.
    pub name: &'static str,
    /// Value of the component label.
    pub component: &'static str,
}

/// Pods that serve voices, and the objects that belong to them.
pub const SERVER: Role = Role {
    name: "tts-server",
    component: "inference-server",
};

/// Jobs that inspect a voice.
pub const INSPECTION: Role = Role {
    name: "tts-inspect",
    component: "voice-inspection",
};

/// Jobs that measure a voice.
pub const BENCHMARK: Role = Role {
    name: "tts-profile",
    component: "benchmark",
};

/// Labels that identify pods. Selectors are immutable: never add to these.
pub fn selector(role: Role, instance: &str) -> BTreeMap<String, String> {
    BTreeMap::from([
        (NAME.to_owned(), role.name.to_owned()),
        (INSTANCE.to_owned(), instance.to_owned()),
    ])
}

/// The recommended labels.
pub fn recommended(role: Role, instance: &str) -> BTreeMap<String, String> {
    let mut labels = selector(role, instance);
    labels.insert(COMPONENT.to_owned(), role.component.to_owned());
    labels.insert(MANAGED_BY.to_owned(), crate::FIELD_MANAGER.to_owned());
    labels
}

/// The label of everything that this operator creates.
pub fn managed_by() -> (String, String) {
    (MANAGED_BY.to_owned(), crate::FIELD_MANAGER.to_owned())
}

/// Metadata of a child.
pub fn metadata(
    role: Role,
    instance: &str,
    name: &str,
    namespace: &str,
    owner: &OwnerReference,
) -> ObjectMeta {
    ObjectMeta {
        name: Some(name.to_owned()),
        namespace: Some(namespace.to_owned()),
        labels: Some(recommended(role, instance)),
        owner_references: Some(vec![owner.clone()]),
        ..ObjectMeta::default()
    }
}

/// A label selector as `key=value,…`.
pub fn to_selector(labels: &BTreeMap<String, String>) -> String {
    labels
        .iter()
        .map(|(key, value)| format!("{key}={value}"))
        .collect::<Vec<_>>()
        .join(",")
}

/// Configuration of a watcher for the operator's objects with one of these roles.
pub fn watcher_config(roles: &[Role]) -> watcher::Config {
    let names: Vec<&str> = roles.iter().map(|role| role.name).collect();
    watcher::Config::default().labels(&format!(
        "{MANAGED_BY}={},{NAME} in ({})",
        crate::FIELD_MANAGER,
        names.join(",")
    ))
}
