//! How the endpoint is exposed.
use std::collections::BTreeMap;

use kube::KubeSchema;
use schemars::JsonSchema;
use serde::{Deserialize, Serialize};

/// How the endpoint is exposed.
#[derive(JsonSchema, Serialize, Deserialize, Clone, Debug, Default, PartialEq, Eq)]
#[serde(rename_all = "camelCase")]
pub struct Expose {
    /// The Service in front of the pods; it has the deployment's name and port 80.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub service: Option<ServiceSettings>,

    /// What spreads requests over the pods, so that the plan counts with it: `Random` (without it), what a Service does with
    /// connections; `RoundRobin` or `LeastRequest` of a proxy in front of it.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub load_balancing: Option<LoadBalancing>,
}

/// The Service in front of the pods.
#[derive(KubeSchema, Serialize, Deserialize, Clone, Debug, Default, PartialEq, Eq)]
#[serde(rename_all = "camelCase")]
pub struct ServiceSettings {
    /// Type of the Service.
    #[serde(default)]
    #[schemars(rename = "type")]
    pub r#type: ServiceType,

    /// Annotations of the Service, for example for a cloud load balancer.
    #[serde(default, skip_serializing_if = "BTreeMap::is_empty")]
    #[schemars(extend("maxProperties" = 64, "additionalProperties" = {"type": "string", "maxLength": 4096}))]
    #[x_kube(
        validation = Rule::new("self.all(key, key.size() <= 317 && key.matches('^([a-z0-9]([-a-z0-9.]*[a-z0-9])?/)?[A-Za-z0-9]([-A-Za-z0-9_.]{0,61}[A-Za-z0-9])?$'))")
            .message("service.annotations has a key that is not a valid annotation key; use name or prefix/name with letters, digits, '-', '_' and '.'"),
        validation = Rule::new("!self.exists(key, key.startsWith('tts-operator.dev/'))")
            .message("service.annotations must not set annotations of the operator (tts-operator.dev/*)"),
    )]
    pub annotations: BTreeMap<String, String>,
}

/// Type of the Service, as in the core API.
#[derive(JsonSchema, Serialize, Deserialize, Clone, Copy, Debug, Default, PartialEq, Eq)]
pub enum ServiceType {
    #[default]
    ClusterIP,
    NodePort,
    LoadBalancer,
}

/// What spreads requests over the pods.
#[derive(JsonSchema, Serialize, Deserialize, Clone, Copy, Debug, Default, PartialEq, Eq)]
pub enum LoadBalancing {
    #[default]
    Random,
    RoundRobin,
    LeastRequest,
}
