//! The identity of the pods, without permissions and without a token.
use k8s_openapi::api::core::v1::ServiceAccount;

use super::{PlannedDeployment, metadata};

pub(super) fn build(planned: &PlannedDeployment) -> ServiceAccount {
    ServiceAccount {
        metadata: metadata(planned),
        automount_service_account_token: Some(false),
        ..ServiceAccount::default()
    }
}
