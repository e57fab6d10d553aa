//! The identity of the pods: it has no rights and no token.
use k8s_openapi::api::core::v1::ServiceAccount;

use super::{ValidatedDeployment, metadata};

pub(super) fn build(tts: &ValidatedDeployment) -> ServiceAccount {
    ServiceAccount {
        metadata: metadata(tts),
        automount_service_account_token: Some(false),
        ..ServiceAccount::default()
    }
}
