//! Prerequisites of the controllers.
use std::time::Duration;

use http::Request;
use k8s_openapi::apiextensions_apiserver::pkg::apis::apiextensions::v1::CustomResourceDefinition;
use kube::Client;
use serde_json::Value;
use tokio::time::sleep;

use crate::{health::Health, schema};

const RETRY: Duration = Duration::from_secs(2);
/// How many missing fields a message names.
const NAMED: usize = 3;

/// Returns once the API server serves our kinds with every field that this version knows; until then
/// `health` says what is missing and what to do.
///
/// The published schemas are the same for all namespaces and readable without any right in them.
pub async fn wait_for_crds(client: &Client, health: &Health) {
    let ours = tts_crds::all();
    let mut last = String::new();
    loop {
        let awaited = match published(client).await {
            Ok(published) => ours.iter().find_map(|crd| lacks(&published, crd)),
            Err(error) => Some(format!("the API server to publish its schemas: {error}")),
        };
        let Some(awaited) = awaited else { return };
        if awaited != last {
            tracing::warn!("waiting for {awaited}");
            health.await_now(&awaited);
            last = awaited;
        }
        sleep(RETRY).await;
    }
}

/// The published schemas of our group; `Null` if the API server does not serve the group.
async fn published(client: &Client) -> kube::Result<Value> {
    let request = Request::get(schema::PATH)
        .body(Vec::new())
        .map_err(kube::Error::HttpError)?;
    match client.request::<Value>(request).await {
        // Not a Status object, so without a reason.
        Err(kube::Error::Api(status)) if status.code == 404 => Ok(Value::Null),
        result => result,
    }
}

/// What is wrong with the installed CRD, and what to do.
fn lacks(published: &Value, crd: &CustomResourceDefinition) -> Option<String> {
    let name = format!("{}.{}", crd.spec.names.plural, crd.spec.group);
    let upgrade = format!(
        "helm upgrade --install with the chart tts-operator-crds {}",
        env!("CARGO_PKG_VERSION")
    );
    match schema::missing(published, crd) {
        None => Some(format!("the CRD {name}: install the CRDs: {upgrade}")),
        Some(fields) if fields.is_empty() => None,
        Some(fields) => {
            let more = fields.len().saturating_sub(NAMED);
            let rest = if more > 0 {
                format!(" and {more} more")
            } else {
                String::new()
            };
            Some(format!(
                "a newer CRD {name}: the installed one lacks {}{rest}; update the CRDs: {upgrade}",
                fields[..fields.len() - more].join(", ")
            ))
        }
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn an_absent_and_an_old_crd_say_what_to_run() {
        let crd = &tts_crds::all()[0];
        let absent = lacks(&Value::Null, crd).unwrap();
        assert!(
            absent.contains("ttsvoices.tts-operator.dev") && absent.contains("tts-operator-crds"),
            "{absent}"
        );
        let old = serde_json::json!({"components": {"schemas": {"old": {
            "x-kubernetes-group-version-kind": [{"kind": "TtsVoice"}],
            "properties": {"spec": {"properties": {"source": {}}}},
        }}}});
        let old = lacks(&old, crd).unwrap();
        assert!(
            old.contains("lacks spec.source.builtin, spec.source.files, status;")
                && old.contains("helm upgrade"),
            "{old}"
        );
    }
}
