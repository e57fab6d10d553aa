//! Results that do not fit into a termination message, which has at most 4 KiB: the message has a short form of the
//! result and the digest of the whole, which is a line of the log.
use k8s_openapi::api::core::v1::Pod;
use kube::{Api, Client, ResourceExt as _, api::LogParams};
use serde::Deserialize;
use sha2::{Digest as _, Sha256};

use crate::children::hex;

/// The result is among the last lines that a Job writes.
const LINES: i64 = 100;
/// Most that is read, in bytes.
const MOST: i64 = 4 << 20;

/// The part of a message that says where the whole is.
#[derive(Deserialize)]
struct Short {
    full: Full,
}

#[derive(Deserialize)]
struct Full {
    sha256: String,
}

/// The whole of a result of which `message` is the short form; `None` if it is whole already, or if the log does not
/// have it any more, and then the short form has to do.
///
/// # Errors
/// If the log cannot be read.
pub async fn whole_message(
    client: &Client,
    pod: &Pod,
    container: &str,
    message: &str,
) -> kube::Result<Option<String>> {
    let Ok(Short { full }) = serde_json::from_str(message) else {
        return Ok(None);
    };
    let pods = Api::<Pod>::namespaced(client.clone(), &pod.namespace().unwrap_or_default());
    let params = LogParams {
        container: Some(container.to_owned()),
        tail_lines: Some(LINES),
        limit_bytes: Some(MOST),
        ..LogParams::default()
    };
    let log = pods.logs(&pod.name_any(), &params).await?;
    Ok(find(&log, &full.sha256))
}

fn find(log: &str, sha256: &str) -> Option<String> {
    log.lines()
        .find(|line| hex(&Sha256::digest(line)) == sha256)
        .map(str::to_owned)
}

#[cfg(test)]
mod tests {
    use std::pin::pin;

    use http::{Request, Response};
    use kube::client::Body;
    use serde_json::json;
    use tower_test::mock;

    use super::*;

    const WHOLE: &str = r#"{"names":["a","b"]}"#;

    #[test]
    fn the_line_with_the_digest_is_the_result() {
        let digest = hex(&Sha256::digest(WHOLE));
        let log = format!("{{\"level\":\"INFO\"}}\n{WHOLE}\ngoodbye\n");
        assert_eq!(find(&log, &digest).as_deref(), Some(WHOLE));
        assert_eq!(find("rotated away\n", &digest), None);
    }

    #[tokio::test]
    async fn only_a_short_form_asks_for_the_log() {
        let (service, mut requests) = mock::pair::<Request<Body>, Response<Body>>();
        let client = Client::new(service, "stage");
        let pod: Pod =
            serde_json::from_value(json!({"metadata": {"name": "p", "namespace": "stage"}}))
                .unwrap();
        let whole = whole_message(&client, &pod, "inspect", WHOLE).await;
        assert_eq!(whole.unwrap(), None);
        assert_eq!(
            whole_message(&client, &pod, "inspect", "Killed")
                .await
                .unwrap(),
            None
        );

        let short = json!({"names": [], "full": {"sha256": hex(&Sha256::digest(WHOLE))}});
        let api = async {
            let (request, send) = pin!(requests.next_request()).await.unwrap();
            let uri = request.uri().to_string();
            assert!(
                uri.starts_with("/api/v1/namespaces/stage/pods/p/log?"),
                "{uri}"
            );
            assert!(uri.contains("container=inspect"), "{uri}");
            send.send_response(Response::new(Body::from(format!("{WHOLE}\n").into_bytes())));
        };
        let short = short.to_string();
        let (whole, ()) = tokio::join!(whole_message(&client, &pod, "inspect", &short), api);
        assert_eq!(whole.unwrap().as_deref(), Some(WHOLE));
    }
}
