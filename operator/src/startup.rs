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
    use std::pin::pin;

    use http::Response;
    use kube::client::Body;
    use serde_json::json;
    use tower_test::mock;

    use super::*;

    /// What the API server publishes of our kinds.
    fn all_published() -> Value {
        let schemas: serde_json::Map<String, Value> = tts_crds::all()
            .iter()
            .map(|crd| {
                let schema = crd.spec.versions[0].schema.as_ref();
                let schema = schema.and_then(|schema| schema.open_api_v3_schema.as_ref());
                let mut schema = serde_json::to_value(schema).unwrap();
                schema["x-kubernetes-group-version-kind"] = json!([{"kind": crd.spec.names.kind}]);
                (crd.spec.names.kind.clone(), schema)
            })
            .collect();
        json!({"components": {"schemas": schemas}})
    }

    #[tokio::test(start_paused = true)]
    async fn startup_waits_for_the_api_server_then_for_the_crds_and_says_so() {
        let (service, mut requests) = mock::pair::<Request<Body>, Response<Body>>();
        let client = Client::new(service, "default");
        let health = Health::awaiting("the API server");
        let mut old = all_published();
        let deployment = &mut old["components"]["schemas"]["TtsDeployment"]["properties"]["spec"];
        deployment["properties"]
            .as_object_mut()
            .unwrap()
            .remove("scaling");
        let api = async {
            for (status, answer, awaited) in [
                (500, json!({}), "the API server"),
                (
                    404,
                    json!("page not found"),
                    "waiting for the API server to publish its schemas",
                ),
                (
                    200,
                    old,
                    "waiting for the CRD ttsvoices.tts-operator.dev: install the CRDs",
                ),
                (200, all_published(), "lacks spec.scaling; update the CRDs"),
            ] {
                let (request, send) = pin!(requests.next_request()).await.expect("a request");
                assert_eq!(request.uri().path(), schema::PATH);
                let text = health.report().text;
                assert!(text.contains(awaited), "{text}");
                let body = Body::from(serde_json::to_vec(&answer).unwrap());
                send.send_response(Response::builder().status(status).body(body).unwrap());
            }
        };
        tokio::join!(wait_for_crds(&client, &health), api);
        health.ready();
        assert!(health.report().ready);
    }

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
