//! Settings that are added to the pods.
use std::collections::BTreeMap;

use kube::KubeSchema;
use serde::{Deserialize, Serialize};

/// Settings that are added to the pods.
#[derive(KubeSchema, Serialize, Deserialize, Clone, Debug, Default, PartialEq, Eq)]
#[serde(rename_all = "camelCase")]
pub struct PodSettings {
    /// Additional labels of the pods.
    #[serde(default, skip_serializing_if = "BTreeMap::is_empty")]
    #[schemars(extend("maxProperties" = 32, "additionalProperties" = {"type": "string", "maxLength": 63, "pattern": "^(([A-Za-z0-9][-A-Za-z0-9_.]*)?[A-Za-z0-9])?$"}))]
    #[x_kube(
        validation = Rule::new("self.all(key, key.size() <= 317 && key.matches('^([a-z0-9]([-a-z0-9.]*[a-z0-9])?/)?[A-Za-z0-9]([-A-Za-z0-9_.]{0,61}[A-Za-z0-9])?$'))")
            .message("pod.labels has a key that is not a valid label key; use name or prefix/name with letters, digits, '-', '_' and '.'"),
        validation = Rule::new("!self.exists(key, key.startsWith('tts-operator.dev/') || key in ['app.kubernetes.io/name', 'app.kubernetes.io/instance', 'app.kubernetes.io/component', 'app.kubernetes.io/managed-by'])")
            .message("pod.labels must not set labels of the operator (app.kubernetes.io/name, instance, component, managed-by and tts-operator.dev/*): they select the pods"),
    )]
    pub labels: BTreeMap<String, String>,

    /// Additional annotations of the pods.
    #[serde(default, skip_serializing_if = "BTreeMap::is_empty")]
    #[schemars(extend("maxProperties" = 64, "additionalProperties" = {"type": "string", "maxLength": 4096}))]
    #[x_kube(
        validation = Rule::new("self.all(key, key.size() <= 317 && key.matches('^([a-z0-9]([-a-z0-9.]*[a-z0-9])?/)?[A-Za-z0-9]([-A-Za-z0-9_.]{0,61}[A-Za-z0-9])?$'))")
            .message("pod.annotations has a key that is not a valid annotation key; use name or prefix/name with letters, digits, '-', '_' and '.'"),
        validation = Rule::new("!self.exists(key, key.startsWith('tts-operator.dev/'))")
            .message("pod.annotations must not set annotations of the operator (tts-operator.dev/*)"),
    )]
    pub annotations: BTreeMap<String, String>,

    /// Name of the `PriorityClass` of the pods.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    #[schemars(length(min = 1, max = 253))]
    pub priority_class_name: Option<String>,

    /// Names of Secrets in this namespace with credentials for the server image's registry, in
    /// addition to those that the operator was installed with.
    #[serde(default, skip_serializing_if = "Vec::is_empty")]
    #[schemars(length(max = 16), inner(length(min = 1, max = 253)))]
    #[x_kube(merge_strategy = ListMerge::Set)]
    pub image_pull_secrets: Vec<String>,
}
