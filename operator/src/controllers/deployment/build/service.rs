//! The endpoint: one port in front of the pods.
use k8s_openapi::{
    api::core::v1::{Service, ServicePort, ServiceSpec},
    apimachinery::pkg::util::intstr::IntOrString,
};
use tts_crds::v1alpha1::ServiceType;

use super::{PlannedDeployment, metadata, selector};
use crate::controllers::deployment::template::PORT_NAME;

/// Port of the Service.
const SERVICE_PORT: i32 = 80;

pub(super) fn build(planned: &PlannedDeployment) -> Service {
    let mut metadata = metadata(planned);
    if !planned.tts.service.annotations.is_empty() {
        metadata.annotations = Some(planned.tts.service.annotations.clone());
    }
    Service {
        metadata,
        spec: Some(ServiceSpec {
            type_: Some(
                match planned.tts.service.r#type {
                    ServiceType::ClusterIP => "ClusterIP",
                    ServiceType::NodePort => "NodePort",
                    ServiceType::LoadBalancer => "LoadBalancer",
                }
                .to_owned(),
            ),
            selector: Some(selector(planned)),
            ports: Some(vec![ServicePort {
                name: Some(PORT_NAME.to_owned()),
                port: SERVICE_PORT,
                // Explicit, because it is part of the key that server-side apply merges on.
                protocol: Some("TCP".to_owned()),
                app_protocol: Some("http".to_owned()),
                target_port: Some(IntOrString::String(PORT_NAME.to_owned())),
                ..ServicePort::default()
            }]),
            ..ServiceSpec::default()
        }),
        status: None,
    }
}
