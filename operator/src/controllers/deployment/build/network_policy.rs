//! Network access of the pods: all ingress to the endpoint, no egress unless the pods download
//! voices at startup.
use k8s_openapi::{
    api::networking::v1::{
        NetworkPolicy, NetworkPolicyEgressRule, NetworkPolicyIngressRule, NetworkPolicyPort,
        NetworkPolicySpec,
    },
    apimachinery::pkg::{apis::meta::v1::LabelSelector, util::intstr::IntOrString},
};

use super::{PlannedWorkload, metadata, selector};
use crate::controllers::deployment::template::CONTAINER_PORT;

pub(super) fn build(planned: &PlannedWorkload<'_>) -> NetworkPolicy {
    NetworkPolicy {
        metadata: metadata(planned.deployment),
        spec: Some(NetworkPolicySpec {
            pod_selector: Some(LabelSelector {
                match_labels: Some(selector(planned.deployment)),
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
            egress: planned
                .accepted
                .downloads
                .then(|| vec![NetworkPolicyEgressRule::default()]),
        }),
    }
}
