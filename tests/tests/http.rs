//! The HTTP API as a client sees it.

#![expect(
    clippy::unwrap_used,
    clippy::expect_used,
    reason = "helpers of tests: a panic is a test's failure"
)]

use std::time::{Duration, Instant};

use reqwest::{Response, StatusCode};
use serde_json::{Value, json};
use tokio::{
    io::{AsyncReadExt, AsyncWriteExt},
    net::TcpStream,
};
use tts_tests::{SOON, Server, client, metric, samples, speech, voices::command, wait_until};

async fn get(server: &Server, path: &str) -> Response {
    client().get(server.url(path)).send().await.unwrap()
}

/// The error's object, with all four keys and the headers that go with it.
#[track_caller]
fn check_error(status: StatusCode, text: &str) -> Value {
    let body: Value = serde_json::from_str(text).unwrap_or_else(|_| panic!("{status}: {text}"));
    let error = body["error"].clone();
    for key in ["message", "type", "param", "code"] {
        assert!(error.get(key).is_some(), "{key} is missing in {error}");
    }
    assert!(error["message"].as_str().unwrap().len() > 20, "{error}");
    error
}

async fn error(response: Response) -> Value {
    let status = response.status();
    if status.is_client_error() && status != StatusCode::TOO_MANY_REQUESTS {
        assert_eq!(response.headers()["x-should-retry"], "false");
    }
    assert!(response.headers().contains_key("x-request-id"));
    check_error(status, &response.text().await.unwrap())
}

/// Sends bytes and reads the answer to its end or until the time is over.
async fn raw(server: &Server, request: &[u8]) -> String {
    let mut stream = TcpStream::connect(&server.address).await.unwrap();
    // A server that has heard enough closes while we still write.
    let _ = stream.write_all(request).await;
    read_to_end(stream).await
}

async fn read_to_end(mut stream: TcpStream) -> String {
    let mut answer = Vec::new();
    let read = tokio::time::timeout(SOON, async {
        let mut buffer = [0; 4096];
        while let Ok(count @ 1..) = stream.read(&mut buffer).await {
            answer.extend_from_slice(&buffer[..count]);
        }
    });
    read.await.expect("the connection was not closed");
    String::from_utf8_lossy(&answer).into_owned()
}

#[tokio::test]
async fn one_sentence_comes_whole_with_an_exact_header() {
    let server = Server::start(&[]);
    let response = speech(
        &server,
        &json!({"model": "tts-1", "voice": "alloy", "input": "Hello there, how are you?", "response_format": "wav"}),
    )
    .await;
    assert_eq!(response.status(), 200);
    let headers = response.headers().clone();
    assert_eq!(headers["content-type"], "audio/wav");
    assert!(!headers.contains_key("warnings"), "{headers:?}");
    let wav = response.bytes().await.unwrap();
    assert_eq!(headers["content-length"], wav.len().to_string());
    let (wav_samples, rate) = samples(&wav);
    assert_eq!(rate, 16_000);

    let response = speech(
        &server,
        &json!({"input": "Hello there, how are you?", "response_format": "pcm", "sample_rate": 16_000, "speed": 2}),
    )
    .await;
    assert_eq!(response.headers()["content-type"], "audio/pcm; rate=16000");
    assert!(!response.headers().contains_key("warnings"));
    let pcm = response.bytes().await.unwrap();
    // Twice the speed is about half the length.
    let shorter = f64::from(u32::try_from(pcm.len() / 2).unwrap())
        / f64::from(u32::try_from(wav_samples.len()).unwrap());
    assert!((0.4..0.7).contains(&shorter), "{shorter}");
}

#[tokio::test]
async fn several_sentences_stream_and_are_complete() {
    let server = Server::start(&[]);
    let sentence = "The birch canoe slid on the smooth planks. ";
    let long = sentence.repeat(40);
    let response = speech(&server, &json!({"input": long, "response_format": "wav"})).await;
    assert_eq!(response.status(), 200);
    assert_eq!(response.headers()["transfer-encoding"], "chunked");
    let two = speech(
        &server,
        &json!({"input": "One. Two.", "response_format": "wav"}),
    )
    .await;
    assert_eq!(two.headers()["transfer-encoding"], "chunked");
    let wav = response.bytes().await.unwrap();
    assert_eq!((&wav[4..8], &wav[40..44]), (&[0xff; 4][..], &[0xff; 4][..]));
    let one = speech(
        &server,
        &json!({"input": sentence, "response_format": "pcm", "sample_rate": 16_000}),
    )
    .await
    .bytes()
    .await
    .unwrap();
    // Forty times the sentence and thirty-nine gaps: nothing is missing.
    let expected = 40 * one.len() + 39 * 2 * 3200;
    assert_eq!(wav.len() - 44, expected);
}

#[tokio::test]
async fn wrong_requests_get_an_error_that_helps() {
    let server = Server::start(&[]);
    for (body, code) in [
        (json!({"input": ""}), "empty_input"),
        (json!({"input": "... !"}), "nothing_to_say"),
        (json!({"input": "🎉"}), "nothing_to_say"),
        (json!({"input": "a\u{0}b"}), "invalid_character"),
        (json!({"input": "x".repeat(100_000)}), "input_too_long"),
        (json!({"input": "Hi", "voice": "nobody"}), "voice_not_found"),
        (
            json!({"input": "Hi", "response_format": "midi"}),
            "unsupported_format",
        ),
        (json!({"input": "Hi", "speed": 0}), "invalid_speed"),
        (json!({"input": "Hi", "speed": 1e9}), "invalid_speed"),
        (
            json!({"input": "Hi", "stream_format": "sse"}),
            "unsupported_stream_format",
        ),
    ] {
        let response = speech(&server, &body).await;
        assert_eq!(response.status(), 400, "{code}");
        assert_eq!(error(response).await["code"], code);
    }
}

#[tokio::test]
async fn wrong_bodies_methods_and_paths_get_an_error_that_helps() {
    let server = Server::start(&[]);
    let url = server.url("/v1/audio/speech");
    let json_type = ("content-type", "application/json");
    for (request, status, code) in [
        (
            client()
                .post(&url)
                .header(json_type.0, json_type.1)
                .body("{"),
            400,
            "invalid_json",
        ),
        (
            client()
                .post(&url)
                .header(json_type.0, json_type.1)
                .body("{\"input\":\"\\ud800\"}"),
            400,
            "invalid_json",
        ),
        (
            client()
                .post(&url)
                .header(json_type.0, json_type.1)
                .body("{\"input\":\"Hi\",\"speed\":NaN}"),
            400,
            "invalid_json",
        ),
        (
            client()
                .post(&url)
                .header("content-type", "text/plain")
                .body("{}"),
            415,
            "unsupported_media_type",
        ),
        (
            client().post(&url).body("{}"),
            415,
            "unsupported_media_type",
        ),
        (
            client()
                .post(&url)
                .header(json_type.0, json_type.1)
                .body(vec![b' '; 128 * 1024 + 1]),
            413,
            "body_too_large",
        ),
        (
            client()
                .post(&url)
                .header(json_type.0, json_type.1)
                .body(vec![b' '; 128 * 1024]),
            400,
            "invalid_json",
        ),
        (client().get(&url), 405, "method_not_allowed"),
        (
            client().get(server.url("/v1/models/%ff")),
            400,
            "invalid_path",
        ),
        (
            client().delete(server.url("/v1/models")),
            405,
            "method_not_allowed",
        ),
        (client().get(server.url("/nope")), 404, "unknown_url"),
        (
            client().get(server.url("/v1/models/nope")),
            404,
            "model_not_found",
        ),
        (
            client()
                .post(&url)
                .json(&json!({"model": "whisper-1", "input": "Hi"})),
            404,
            "model_not_found",
        ),
    ] {
        let response = request.send().await.unwrap();
        assert_eq!(response.status(), status, "{code}");
        assert_eq!(error(response).await["code"], code);
    }
}

#[tokio::test]
async fn limits_of_text_and_audio_hold_at_their_edge() {
    let server = Server::start(&["--max-input-characters", "20", "--max-audio-seconds", "3"]);
    let at_the_edge = speech(
        &server,
        &json!({"input": format!("{:.<20}", "Hello there")}),
    )
    .await;
    assert_eq!(at_the_edge.status(), 200);
    let over = error(
        speech(
            &server,
            &json!({"input": format!("{:.<21}", "Hello there")}),
        )
        .await,
    )
    .await;
    assert_eq!(
        (over["code"].as_str(), over["param"].as_str()),
        (Some("input_too_long"), Some("input"))
    );
    let slow = error(
        speech(
            &server,
            &json!({"input": "Hello there my dear", "speed": 0.25}),
        )
        .await,
    )
    .await;
    assert_eq!(slow["code"], "audio_too_long");
}

#[tokio::test]
async fn slow_bodies_and_slow_heads_are_cut_off() {
    let server = Server::start(&["--body-timeout", "300ms", "--header-timeout", "1s"]);
    let started = Instant::now();
    let head = b"POST /v1/audio/speech HTTP/1.1\r\nhost: x\r\ncontent-type: application/json\r\ncontent-length: 100\r\n\r\n{";
    let answer = raw(&server, head).await;
    assert!(answer.starts_with("HTTP/1.1 408"), "{answer}");
    assert_eq!(
        check_error(
            StatusCode::REQUEST_TIMEOUT,
            answer.split("\r\n\r\n").nth(1).unwrap()
        )["code"],
        "body_timeout"
    );

    assert_eq!(
        raw(&server, b"POST /v1/audio").await,
        "",
        "half a head gets no answer"
    );
    assert_eq!(raw(&server, b"").await, "", "nor does none");
    assert!(
        started.elapsed() >= Duration::from_secs(2),
        "cut off too soon"
    );

    // Between requests a connection may be quiet for longer than a head may take.
    let mut kept = TcpStream::connect(&server.address).await.unwrap();
    let request = b"GET /livez HTTP/1.1\r\nhost: x\r\n\r\n";
    let mut buffer = [0; 4096];
    for pause in [1500, 0] {
        kept.write_all(request).await.unwrap();
        let count = kept.read(&mut buffer).await.unwrap();
        assert!(buffer[..count].starts_with(b"HTTP/1.1 200"));
        let quiet =
            tokio::time::timeout(Duration::from_millis(pause), kept.read(&mut buffer)).await;
        assert!(quiet.is_err(), "the connection was closed while idle");
    }
}

#[tokio::test]
async fn too_many_and_too_long_headers_are_refused() {
    let server = Server::start(&[]);
    let many = "x-a: b\r\n".repeat(200);
    let answer = raw(
        &server,
        format!("GET /livez HTTP/1.1\r\nhost: x\r\n{many}\r\n").as_bytes(),
    )
    .await;
    assert!(answer.starts_with("HTTP/1.1 431"), "{answer}");
    let long = format!("x-a: {}\r\n", "b".repeat(70_000));
    let answer = raw(
        &server,
        format!("GET /livez HTTP/1.1\r\nhost: x\r\n{long}\r\n").as_bytes(),
    )
    .await;
    assert!(answer.starts_with("HTTP/1.1 431"), "{answer}");
}

#[tokio::test]
async fn what_is_ignored_is_named_and_counted() {
    let server = Server::start(&[]);
    let body = json!({"input": "Hi.", "response_format": "wav", "instructions": "Whisper.", "seed": 1, "temperature": 0.5});
    let response = speech(&server, &body).await;
    assert_eq!(response.status(), 200);
    let warnings = response.headers()["warnings"].to_str().unwrap().to_owned();
    assert!(
        warnings.contains("instructions") && warnings.contains("seed, temperature"),
        "{warnings}"
    );
    let metrics = get(&server, "/metrics").await.text().await.unwrap();
    assert!((metric(&metrics, "tts_ignored_fields_total") - 2.0).abs() < f64::EPSILON);
    assert!((metric(&metrics, "tts_requests_total{code=\"200\"}") - 1.0).abs() < f64::EPSILON);
    assert!((metric(&metrics, "tts_cancelled_total")).abs() < f64::EPSILON);
}

#[tokio::test]
async fn request_ids_are_echoed_or_made() {
    let server = Server::start(&[]);
    let sent = client()
        .get(server.url("/v1/models"))
        .header("x-request-id", "mine-1")
        .send()
        .await
        .unwrap();
    assert_eq!(sent.headers()["x-request-id"], "mine-1");
    wait_until("the request in the log", || server.log().contains("mine-1"));
    let made = get(&server, "/v1/models").await;
    assert!(
        made.headers()["x-request-id"]
            .to_str()
            .unwrap()
            .starts_with("req_")
    );
}

#[tokio::test]
async fn probes_lists_and_info() {
    let server = Server::start(&[
        "--voice",
        "anna=builtin:rms",
        "--voice",
        "bert=builtin:rms",
        "--default-voice",
        "bert",
    ]);
    for path in ["/livez", "/readyz", "/startupz"] {
        assert_eq!(get(&server, path).await.status(), 200, "{path}");
    }
    let models: Value = get(&server, "/v1/models").await.json().await.unwrap();
    let ids: Vec<_> = models["data"]
        .as_array()
        .unwrap()
        .iter()
        .map(|model| model["id"].as_str().unwrap())
        .collect();
    assert_eq!(
        ids,
        ["tts-1", "tts-1-hd", "gpt-4o-mini-tts", "anna", "bert"]
    );
    assert_eq!(get(&server, "/v1/models/anna").await.status(), 200);
    let voices: Value = get(&server, "/v1/audio/voices").await.json().await.unwrap();
    let defaults: Vec<_> = voices["voices"]
        .as_array()
        .unwrap()
        .iter()
        .map(|voice| (voice["id"].as_str(), voice["default"].as_bool()))
        .collect();
    assert_eq!(
        defaults,
        [(Some("anna"), Some(false)), (Some("bert"), Some(true))]
    );
    let info: Value = get(&server, "/info").await.json().await.unwrap();
    assert_eq!(
        (
            info["stage"].as_str(),
            info["voices"].as_array().unwrap().len()
        ),
        (Some("ready"), 2)
    );
}

#[tokio::test]
async fn probe_speaks_through_an_endpoint() {
    let server = Server::start(&[]);
    let url = server.url("/");
    let output = command(&["probe", "--url", &url, "--timeout", "20s"])
        .output()
        .await
        .unwrap();
    let said = String::from_utf8_lossy(&output.stdout).into_owned();
    assert!(
        output.status.success() && said.starts_with("spoke 3."),
        "{said}{}",
        String::from_utf8_lossy(&output.stderr)
    );
    let output = command(&["probe", "--url", &url, "--voice", "nobody"])
        .output()
        .await
        .unwrap();
    assert!(!output.status.success() && String::from_utf8_lossy(&output.stderr).contains("nobody"));
    let output = command(&["probe", "--url", "http://127.0.0.1:1", "--timeout", "1s"])
        .output()
        .await
        .unwrap();
    assert!(
        !output.status.success() && String::from_utf8_lossy(&output.stderr).contains("refused")
    );
}

#[tokio::test]
async fn metrics_are_as_prometheus_wants_them() {
    let server = Server::start(&[]);
    assert_eq!(
        speech(&server, &json!({"input": "Hello."})).await.status(),
        200
    );
    let metrics = get(&server, "/metrics").await.text().await.unwrap();
    for name in [
        "tts_time_to_first_audio_seconds_count",
        "tts_queue_wait_seconds_count",
        "tts_real_time_factor_count",
    ] {
        assert!(
            (metric(&metrics, name) - 1.0).abs() < f64::EPSILON,
            "{name}"
        );
    }
    assert!(metric(&metrics, "tts_audio_seconds_total") > 0.3);
    assert!((metric(&metrics, "tts_voice_loaded{voice=\"rms\"}") - 1.0).abs() < f64::EPSILON);
    let mut child = std::process::Command::new(tts_tests::promtool())
        .args(["check", "metrics"])
        .stdin(std::process::Stdio::piped())
        .stdout(std::process::Stdio::piped())
        .stderr(std::process::Stdio::piped())
        .spawn()
        .unwrap();
    std::io::Write::write_all(&mut child.stdin.take().unwrap(), metrics.as_bytes()).unwrap();
    let output = child.wait_with_output().unwrap();
    let said = String::from_utf8_lossy(&output.stdout).into_owned()
        + &String::from_utf8_lossy(&output.stderr);
    assert!(output.status.success() && said.trim().is_empty(), "{said}");
}

#[tokio::test]
async fn the_openai_package_works() {
    let server = Server::start(&[]);
    let output = tokio::process::Command::new(tts_tests::python())
        .arg(tts_tests::workspace().join("tests/openai_client.py"))
        .arg(server.url("/v1"))
        .output()
        .await
        .unwrap();
    let said = String::from_utf8_lossy(&output.stdout).into_owned()
        + &String::from_utf8_lossy(&output.stderr);
    assert!(output.status.success(), "{said}");
}
