//! Network access of the pods: all ingress to the endpoint, no egress unless the pods download
//! voices at startup.
use k8s_openapi::{
    api::networking::v1::{
        NetworkPolicy, NetworkPolicyEgressRule, NetworkPolicyIngressRule, NetworkPolicyPort,
        NetworkPolicySpec,
    },
    apimachinery::pkg::{apis::meta::v1::LabelSelector, util::intstr::IntOrString},
};

use super::{ValidatedDeployment, metadata, selector};
use crate::controllers::deployment::{accepted::Accepted, template::CONTAINER_PORT};

pub(super) fn build(tts: &ValidatedDeployment, accepted: &Accepted) -> NetworkPolicy {
    NetworkPolicy {
        metadata: metadata(tts),
        spec: Some(NetworkPolicySpec {
            pod_selector: Some(LabelSelector {
                match_labels: Some(selector(tts)),
                ..LabelSelector::default()
            }),
            policy_types: Some(vec!["Ingress".to_owned(), "Egress".to_owned()]),
            ingress: Some(vec![NetworkPolicyIngressRule {
                ports: Some(vec![NetworkPolicyPort {
                    port: Some(IntOrString::Int(CONTAINER_PORT)),
                    protocol: Some("TCP".to_owned()),
                    ..NetworkPolicyPort::default()
                }]),
                ..NetworkPolicyIngressRule::default()
            }]),
            // URLs and proxies may name any host and port, so the rule cannot be narrower.
            egress: accepted
                .downloads
                .then(|| vec![NetworkPolicyEgressRule::default()]),
        }),
    }
}
