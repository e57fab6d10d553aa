//! Downloads by `fetch` and `inspect`: what they fetch, verify and refuse. Each test has a web server of its own on
//! loopback.

use std::{fs, time::Duration};

use serde_json::json;
use tts_tests::{
    Server, client,
    voices::{command, inspect, one_file, sha256, voice_answers, voice_file, voice_source},
    web::{Web, ok, redirect, status},
};

#[tokio::test]
async fn a_voice_over_https_is_inspected_fetched_and_served() {
    let web = Web::tls(voice_answers()).await;
    let folder = tempfile::tempdir().unwrap();
    let source = voice_source(&web);
    let ca = web.ca_pem.as_deref();
    let (code, report) = inspect(folder.path(), &source, &[], ca).await;
    assert_eq!(
        (code, report["ok"].as_bool()),
        (Some(0), Some(true)),
        "{report}"
    );
    assert_eq!(
        (report["family"].as_str(), report["sampleRateHz"].as_u64()),
        (Some("VITS"), Some(16_000))
    );
    assert_eq!(
        (&report["languages"], &report["speakers"]),
        (
            &json!(["en-US"]),
            &json!({"count": 1, "names": ["default"]})
        )
    );
    assert_eq!(
        report["sizeBytes"].as_u64(),
        Some((voice_file("voice.onnx").len() + voice_file("voice.onnx.json").len()) as u64)
    );
    let lines = format!(
        "{}  en/en.onnx\n{}  en/en.onnx.json\n",
        sha256(&voice_file("voice.onnx")),
        sha256(&voice_file("voice.onnx.json"))
    );
    assert_eq!(
        report["digest"],
        format!("sha256:{}", sha256(lines.as_bytes()))
    );
    assert!(report["peakMemoryBytes"].as_u64().unwrap() > 30_000_000);

    let voices = folder.path().join("voices");
    let fetch = || async {
        let mut command = command(&[
            "fetch",
            "--to",
            voices.to_str().unwrap(),
            "--voice",
            &source,
        ]);
        command
            .env("TTS_CA_PEM", ca.unwrap())
            .output()
            .await
            .unwrap()
    };
    assert!(fetch().await.status.success());
    assert_eq!(
        fs::read(voices.join("anna/en/en.onnx")).unwrap(),
        voice_file("voice.onnx")
    );
    let before = web.requests();
    assert!(fetch().await.status.success());
    assert_eq!(web.requests(), before, "what was there was fetched again");
    // A file that was changed is fetched again.
    fs::write(voices.join("anna/en/en.onnx.json"), "{}").unwrap();
    assert!(fetch().await.status.success());
    assert_eq!(
        fs::read(voices.join("anna/en/en.onnx.json")).unwrap(),
        voice_file("voice.onnx.json")
    );
    assert_eq!(
        fs::read_dir(voices.join("anna/en")).unwrap().count(),
        2,
        "something was left behind"
    );

    let server = Server::start(&[
        "--voice",
        &format!("anna={}", voices.join("anna").display()),
    ]);
    let body = json!({"voice": "anna", "input": "Hello."});
    assert_eq!(
        client()
            .post(server.url("/v1/audio/speech"))
            .json(&body)
            .send()
            .await
            .unwrap()
            .status(),
        200
    );
}

#[tokio::test]
async fn an_unknown_authority_is_told_with_the_setting_that_helps() {
    let web = Web::tls(voice_answers()).await;
    let folder = tempfile::tempdir().unwrap();
    let (code, report) = inspect(folder.path(), &voice_source(&web), &[], None).await;
    assert_eq!(
        (code, report["reason"].as_str()),
        (Some(3), Some("Unreachable"))
    );
    assert!(
        report["message"].as_str().unwrap().contains("TTS_CA_PEM"),
        "{report}"
    );
}

#[tokio::test]
async fn wrong_digests_leave_nothing() {
    let web = Web::plain(|_| voice_answers()).await;
    let folder = tempfile::tempdir().unwrap();
    let (code, report) = inspect(
        folder.path(),
        &one_file(&web.url("/en.onnx"), &"0".repeat(64)),
        &["--allow-http"],
        None,
    )
    .await;
    assert_eq!(
        (code, report["reason"].as_str()),
        (Some(2), Some("DigestMismatch"))
    );
    let message = report["message"].as_str().unwrap();
    assert!(
        message.contains("a.onnx") && message.contains(&"0".repeat(64)),
        "{message}"
    );
    // An address that only the cluster reaches must not be read out through the status.
    assert!(
        !message.contains(&sha256(&voice_file("voice.onnx"))),
        "{message}"
    );
    assert_eq!(
        fs::read_dir(folder.path().join("work/anna"))
            .unwrap()
            .count(),
        0
    );
}

#[tokio::test]
async fn a_download_that_was_killed_leaves_nothing_for_ever() {
    let web = Web::plain(|_| voice_answers()).await;
    let folder = tempfile::tempdir().unwrap();
    let voice = folder.path().join("work/anna/en");
    fs::create_dir_all(&voice).unwrap();
    let made = |name: &str, age: Duration| {
        let path = voice.join(name);
        let file = fs::File::create(&path).unwrap();
        file.set_modified(std::time::SystemTime::now() - age)
            .unwrap();
        path
    };
    let killed = made(".tts-fetch-abc", Duration::from_secs(61));
    // Another download may be at work.
    let at_work = made(".tts-fetch-def", Duration::ZERO);
    let (code, report) = inspect(folder.path(), &voice_source(&web), &["--allow-http"], None).await;
    assert_eq!(code, Some(0), "{report}");
    assert!(!killed.exists() && at_work.exists());
}

#[tokio::test]
async fn plain_http_is_refused_also_behind_a_redirect() {
    let plain = Web::plain(|_| voice_answers()).await;
    let folder = tempfile::tempdir().unwrap();
    let digest = sha256(&voice_file("voice.onnx"));
    let (code, report) = inspect(
        folder.path(),
        &one_file(&plain.url("/en.onnx"), &digest),
        &[],
        None,
    )
    .await;
    assert_eq!(
        (code, report["reason"].as_str()),
        (Some(2), Some("InvalidSource")),
        "{report}"
    );
    let target = plain.url("/en.onnx");
    let web = Web::tls([("/a".to_owned(), redirect(&target))].into()).await;
    let source = one_file(&web.url("/a"), &digest);
    let (code, report) = inspect(folder.path(), &source, &[], web.ca_pem.as_deref()).await;
    assert_eq!(
        (code, report["reason"].as_str()),
        (Some(2), Some("InvalidSource")),
        "{report}"
    );
    assert!(
        report["message"].as_str().unwrap().contains("plain http"),
        "{report}"
    );
    assert_eq!(plain.requests(), 0, "the redirect was followed");
    // With the operator's leave it is followed.
    let (_, report) = inspect(
        folder.path(),
        &source,
        &["--allow-http"],
        web.ca_pem.as_deref(),
    )
    .await;
    assert!(
        report["message"]
            .as_str()
            .unwrap()
            .contains("a.onnx.json is missing"),
        "{report}"
    );
}

#[tokio::test]
async fn redirects_end_somewhere() {
    let web = Web::plain(|port| {
        [(
            "/loop".to_owned(),
            redirect(&format!("http://127.0.0.1:{port}/loop")),
        )]
        .into()
    })
    .await;
    let folder = tempfile::tempdir().unwrap();
    let (code, report) = inspect(
        folder.path(),
        &one_file(&web.url("/loop"), &"0".repeat(64)),
        &["--allow-http"],
        None,
    )
    .await;
    assert_eq!(
        (code, report["reason"].as_str()),
        (Some(2), Some("InvalidSource")),
        "{report}"
    );
    assert_eq!(web.requests(), 11);
}

#[tokio::test]
async fn what_can_pass_is_tried_again_and_what_cannot_is_not() {
    let web =
        Web::plain(|_| [("/busy".to_owned(), status("503 Service Unavailable"))].into()).await;
    let folder = tempfile::tempdir().unwrap();
    for (path, attempts, wanted) in [("/gone", 1, "404"), ("/busy", 4, "503")] {
        let before = web.requests();
        let source = one_file(&web.url(path), &"0".repeat(64));
        let (code, report) = inspect(folder.path(), &source, &["--allow-http"], None).await;
        assert_eq!(
            (code, report["reason"].as_str()),
            (Some(3), Some("Unreachable"))
        );
        assert!(
            report["message"].as_str().unwrap().contains(wanted),
            "{report}"
        );
        assert_eq!(web.requests() - before, attempts, "{path}");
    }
    let (code, report) = inspect(
        folder.path(),
        &one_file("https://127.0.0.1:1/a", &"0".repeat(64)),
        &[],
        None,
    )
    .await;
    assert_eq!(
        (code, report["reason"].as_str()),
        (Some(3), Some("Unreachable"))
    );
    assert!(
        report["message"].as_str().unwrap().contains("refused"),
        "{report}"
    );
}

#[tokio::test]
async fn an_interrupted_transfer_and_too_many_bytes_are_told() {
    let cut = b"HTTP/1.1 200 OK\r\ncontent-length: 1000\r\nconnection: close\r\n\r\nshort".to_vec();
    let endless = b"HTTP/1.1 200 OK\r\nconnection: close\r\n\r\n"
        .iter()
        .copied()
        .chain([7; 5000])
        .collect();
    let web = Web::plain(|_| {
        [
            ("/cut".to_owned(), cut),
            ("/endless".to_owned(), endless),
            ("/big".to_owned(), ok(&[7; 5000])),
        ]
        .into()
    })
    .await;
    let folder = tempfile::tempdir().unwrap();
    let (code, report) = inspect(
        folder.path(),
        &one_file(&web.url("/cut"), &"0".repeat(64)),
        &["--allow-http"],
        None,
    )
    .await;
    assert_eq!(
        (code, report["reason"].as_str()),
        (Some(3), Some("Unreachable")),
        "{report}"
    );
    for path in ["/endless", "/big"] {
        let source = one_file(&web.url(path), &sha256(&[7; 5000]));
        let limits = ["--allow-http", "--max-voice-bytes", "4999"];
        let (code, report) = inspect(folder.path(), &source, &limits, None).await;
        assert_eq!(
            (code, report["reason"].as_str()),
            (Some(2), Some("TooLarge")),
            "{report}"
        );
        // At the edge it is fetched; that it is no voice is found out later.
        let (_, report) = inspect(
            folder.path(),
            &source,
            &["--allow-http", "--max-voice-bytes", "5000"],
            None,
        )
        .await;
        assert_eq!(report["reason"], "InvalidSource", "{report}");
        fs::remove_file(folder.path().join("work/anna/a.onnx")).unwrap();
    }
}

#[tokio::test]
async fn a_builtin_voice_is_not_fetched() {
    let output = command(&[
        "fetch",
        "--to",
        "x",
        "--voice",
        r#"rms={"builtin":{"name":"rms"}}"#,
    ])
    .output()
    .await
    .unwrap();
    assert!(!output.status.success());
    assert!(String::from_utf8_lossy(&output.stderr).contains("rms is builtin"));
}
#[tokio::test]
async fn proxies_of_the_environment_are_used() {
    // A proxy for plain http is asked for the whole url.
    let proxy =
        Web::plain(|_| [("http://voices.invalid/a.onnx".to_owned(), ok(b"x"))].into()).await;
    let folder = tempfile::tempdir().unwrap();
    let source = one_file("http://voices.invalid/a.onnx", &sha256(b"x"));
    let to = folder.path().to_str().unwrap();
    let output = command(&["fetch", "--to", to, "--allow-http", "--voice", &source])
        .env("HTTP_PROXY", proxy.url(""))
        .output()
        .await
        .unwrap();
    assert!(
        output.status.success(),
        "{}",
        String::from_utf8_lossy(&output.stderr)
    );
    assert_eq!(fs::read(folder.path().join("anna/a.onnx")).unwrap(), b"x");
}
