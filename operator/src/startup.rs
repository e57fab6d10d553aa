//! Prerequisites of the controllers.
use std::time::Duration;

use kube::{Api, Client, api::ListParams, core::DynamicObject, discovery::ApiResource};
use tokio::time::sleep;
use tts_crds::v1alpha1::{TtsDeployment, TtsVoice};

use crate::webserver::Readiness;

const RETRY: Duration = Duration::from_secs(2);

/// Returns once the API server serves our kinds; until then `readiness` says what is missing.
///
/// `namespaces` are those the operator may read; empty for all.
pub async fn wait_for_crds(client: &Client, namespaces: &[String], readiness: &Readiness) {
    for kind in [
        ApiResource::erase::<TtsVoice>(&()),
        ApiResource::erase::<TtsDeployment>(&()),
    ] {
        let api: Api<DynamicObject> = match namespaces.first() {
            Some(namespace) => Api::namespaced_with(client.clone(), namespace, &kind),
            None => Api::all_with(client.clone(), &kind),
        };
        let crd = format!("{}.{}", kind.plural, kind.group);
        let mut last = String::new();
        while let Err(error) = api.list(&ListParams::default().limit(1)).await {
            let awaited = match &error {
                kube::Error::Api(status) if status.is_not_found() => {
                    format!("the CRD {crd}: install the CRDs (charts/tts-operator-crds)")
                }
                error => format!("the API server to list {crd}: {error}"),
            };
            if awaited != last {
                tracing::warn!("waiting for {awaited}");
                readiness.await_now(&awaited);
                last = awaited;
            }
            sleep(RETRY).await;
        }
    }
}
