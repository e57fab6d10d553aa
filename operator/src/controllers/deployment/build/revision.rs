//! The record of the accepted template.
use k8s_openapi::{api::apps::v1::ControllerRevision, apimachinery::pkg::runtime::RawExtension};

use super::{PlannedDeployment, metadata};
use crate::controllers::deployment::plan::Workload;

pub(super) fn build(planned: &PlannedDeployment, workload: &Workload) -> ControllerRevision {
    let tts = &planned.tts;
    let mut metadata = metadata(tts);
    metadata.name = Some(format!("{}-{}", tts.name, workload.revision));
    // Templates of Kubernetes and a plan of ours: always serializable.
    let data = serde_json::to_value(&workload.accepted).unwrap_or_default();
    ControllerRevision {
        metadata,
        data: Some(RawExtension(data)),
        revision: workload.revision,
    }
}
