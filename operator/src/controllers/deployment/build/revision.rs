//! The record of the accepted template.
use k8s_openapi::{api::apps::v1::ControllerRevision, apimachinery::pkg::runtime::RawExtension};

use super::{PlannedWorkload, metadata};

pub(super) fn build(planned: &PlannedWorkload<'_>) -> ControllerRevision {
    let mut metadata = metadata(planned.deployment);
    let name = &planned.deployment.tts.name;
    metadata.name = Some(format!("{name}-{}", planned.revision));
    // Templates of Kubernetes and a plan of ours: always serializable.
    let data = serde_json::to_value(planned.accepted).unwrap_or_default();
    ControllerRevision {
        metadata,
        data: Some(RawExtension(data)),
        revision: planned.revision,
    }
}
