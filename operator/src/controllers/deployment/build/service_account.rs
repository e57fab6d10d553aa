//! The identity of the pods, without permissions and without a token.
use k8s_openapi::api::core::v1::ServiceAccount;

use super::{ValidatedDeployment, metadata};

pub(super) fn build(tts: &ValidatedDeployment) -> ServiceAccount {
    ServiceAccount {
        metadata: metadata(tts),
        automount_service_account_token: Some(false),
        ..ServiceAccount::default()
    }
}
