//! `/openapi.json`: it is valid, complete, and says what the server answers.

#![expect(
    clippy::unwrap_used,
    reason = "helpers of tests: a panic is a test's failure"
)]

use reqwest::Method;
use serde_json::{Value, json};
use tts_tests::{Server, client, speech, workspace};

async fn document(server: &Server) -> Value {
    let response = client()
        .get(server.url("/openapi.json"))
        .send()
        .await
        .unwrap();
    assert_eq!(response.headers()["content-type"], "application/json");
    response.json().await.unwrap()
}

fn complaints(schema: &Value, instance: &Value) -> Vec<String> {
    let validator = jsonschema::draft202012::new(schema).unwrap();
    let errors = validator.iter_errors(instance);
    errors
        .map(|error| format!("{}: {error}", error.instance_path()))
        .collect()
}

/// A schema of the document, with the others beside it.
fn schema(document: &Value, name: &str) -> Value {
    json!({
        "$ref": format!("#/components/schemas/{name}"),
        "components": document["components"],
    })
}

/// The schema's origin: <https://spec.openapis.org/oas/3.1/schema/2022-10-07>.
#[tokio::test]
async fn the_document_is_valid_and_names_every_path() {
    let server = Server::start(&[]);
    let document = document(&server).await;
    let file = workspace().join("tests/data/openapi/schema-3.1.json");
    let specification: Value = serde_json::from_slice(&std::fs::read(file).unwrap()).unwrap();
    assert_eq!(complaints(&specification, &document), [""; 0]);
    let paths: Vec<_> = document["paths"].as_object().unwrap().keys().collect();
    assert_eq!(
        paths,
        [
            "/info",
            "/livez",
            "/metrics",
            "/openapi.json",
            "/readyz",
            "/startupz",
            "/v1/audio/speech",
            "/v1/audio/voices",
            "/v1/models",
            "/v1/models/{id}",
        ]
    );
    // What the document names is there.
    for path in paths {
        let path = path.replace("{id}", "tts-1");
        let method = if path.ends_with("speech") {
            Method::POST
        } else {
            Method::GET
        };
        let request = client().request(method, server.url(&path));
        let status = request.send().await.unwrap().status();
        assert!(status != 404 && status != 405, "{path}: {status}");
    }
}

#[tokio::test]
async fn responses_are_as_the_document_says() {
    let server = Server::start(&[]);
    let document = document(&server).await;
    for (path, name) in [
        ("/info", "Info"),
        ("/v1/audio/voices", "VoiceList"),
        ("/v1/models", "ModelList"),
        ("/v1/models/rms", "Model"),
        ("/v1/models/nobody", "ErrorBody"),
        ("/nowhere", "ErrorBody"),
    ] {
        let response = client().get(server.url(path)).send().await.unwrap();
        let body: Value = response.json().await.unwrap();
        let found = complaints(&schema(&document, name), &body);
        assert_eq!(found, [""; 0], "{path}: {body}");
        // The schema says more than that it is an object.
        let other = complaints(&schema(&document, name), &json!({"x": 1}));
        assert!(!other.is_empty(), "{name} accepts everything");
    }
}

#[tokio::test]
async fn what_the_document_refuses_the_server_refuses() {
    let server = Server::start(&[]);
    let document = document(&server).await;
    let schema = schema(&document, "SpeechBody");
    for (body, accepted) in [
        (json!({"input": "Hi"}), true),
        (
            json!({"input": "Hi", "model": "tts-1", "voice": {"id": "rms"}, "speed": 4, "response_format": "flac"}),
            true,
        ),
        (json!({"input": "Hi", "speed": null, "voice": null}), true),
        (json!({"model": "tts-1"}), false),
        (json!({"input": 5}), false),
        (json!({"input": "Hi", "voice": 7}), false),
        (json!({"input": "Hi", "speed": 4.5}), false),
        (json!({"input": "Hi", "response_format": "midi"}), false),
        (json!({"input": "Hi", "sample_rate": "x"}), false),
        (json!(["Hi"]), false),
    ] {
        let status = speech(&server, &body).await.status();
        let found = complaints(&schema, &body);
        assert_eq!(
            (found.is_empty(), status.as_u16()),
            (accepted, if accepted { 200 } else { 400 }),
            "{body}: {found:?}"
        );
    }
}
