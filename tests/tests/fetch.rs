//! `fetch` and `inspect`: what they fetch, verify and refuse. Each test has a web server of its own on loopback.

#![expect(
    clippy::unwrap_used,
    reason = "helpers of tests: a panic is a test's failure"
)]

use std::{
    collections::HashMap,
    fs,
    path::Path,
    process::Output,
    sync::{
        Arc,
        atomic::{AtomicUsize, Ordering},
    },
    time::Duration,
};

use serde_json::{Value, json};
use sha2::{Digest, Sha256};
use tokio::{
    io::{AsyncRead, AsyncReadExt, AsyncWrite, AsyncWriteExt},
    net::TcpListener,
    process::Command,
};
use tts_tests::{Server, binary, client, install_tls, workspace};

/// What a path answers: a whole HTTP/1.1 answer, after which the connection is closed.
type Answers = HashMap<String, Vec<u8>>;

fn ok(body: &[u8]) -> Vec<u8> {
    let mut answer = format!(
        "HTTP/1.1 200 OK\r\ncontent-length: {}\r\nconnection: close\r\n\r\n",
        body.len()
    )
    .into_bytes();
    answer.extend_from_slice(body);
    answer
}

fn redirect(target: &str) -> Vec<u8> {
    format!(
        "HTTP/1.1 302 Found\r\nlocation: {target}\r\ncontent-length: 0\r\nconnection: close\r\n\r\n"
    )
    .into_bytes()
}

fn status(line: &str) -> Vec<u8> {
    format!("HTTP/1.1 {line}\r\ncontent-length: 0\r\nconnection: close\r\n\r\n").into_bytes()
}

/// A web server; it ends with the test's runtime.
struct Web {
    port: u16,
    requests: Arc<AtomicUsize>,
    /// The authority that signed its certificate; none for plain http.
    ca_pem: Option<String>,
}

async fn answer(mut stream: impl AsyncRead + AsyncWrite + Unpin, answers: &Answers) {
    let mut request = Vec::new();
    let mut buffer = [0; 1024];
    while !request.windows(4).any(|window| window == b"\r\n\r\n") {
        match stream.read(&mut buffer).await {
            Ok(count @ 1..) => request.extend_from_slice(&buffer[..count]),
            _ => return,
        }
    }
    let request = String::from_utf8_lossy(&request).into_owned();
    let path = request.split(' ').nth(1).unwrap_or_default();
    let missing = status("404 Not Found");
    let _ = stream
        .write_all(answers.get(path).unwrap_or(&missing))
        .await;
    let _ = stream.shutdown().await;
}

impl Web {
    async fn plain(answers: impl FnOnce(u16) -> Answers) -> Self {
        let listener = TcpListener::bind("127.0.0.1:0").await.unwrap();
        let port = listener.local_addr().unwrap().port();
        let (answers, requests) = (Arc::new(answers(port)), Arc::new(AtomicUsize::new(0)));
        let count = Arc::clone(&requests);
        tokio::spawn(async move {
            while let Ok((stream, _)) = listener.accept().await {
                count.fetch_add(1, Ordering::SeqCst);
                let answers = Arc::clone(&answers);
                tokio::spawn(async move { answer(stream, &answers).await });
            }
        });
        Self {
            port,
            requests,
            ca_pem: None,
        }
    }

    async fn tls(answers: Answers) -> Self {
        install_tls();
        let ca_key = rcgen::KeyPair::generate().unwrap();
        let mut ca = rcgen::CertificateParams::new(Vec::new()).unwrap();
        ca.is_ca = rcgen::IsCa::Ca(rcgen::BasicConstraints::Unconstrained);
        let ca_certificate = ca.self_signed(&ca_key).unwrap();
        let issuer = rcgen::Issuer::new(ca, ca_key);
        let key = rcgen::KeyPair::generate().unwrap();
        let certificate = rcgen::CertificateParams::new(vec!["127.0.0.1".to_owned()])
            .unwrap()
            .signed_by(&key, &issuer)
            .unwrap();
        let config = rustls::ServerConfig::builder()
            .with_no_client_auth()
            .with_single_cert(
                vec![certificate.der().clone()],
                key.serialize_der().try_into().unwrap(),
            )
            .unwrap();
        let acceptor = tokio_rustls::TlsAcceptor::from(Arc::new(config));
        let listener = TcpListener::bind("127.0.0.1:0").await.unwrap();
        let port = listener.local_addr().unwrap().port();
        let (answers, requests) = (Arc::new(answers), Arc::new(AtomicUsize::new(0)));
        let count = Arc::clone(&requests);
        tokio::spawn(async move {
            while let Ok((stream, _)) = listener.accept().await {
                count.fetch_add(1, Ordering::SeqCst);
                let (answers, acceptor) = (Arc::clone(&answers), acceptor.clone());
                tokio::spawn(async move {
                    if let Ok(stream) = acceptor.accept(stream).await {
                        answer(stream, &answers).await;
                    }
                });
            }
        });
        Self {
            port,
            requests,
            ca_pem: Some(ca_certificate.pem()),
        }
    }

    fn url(&self, path: &str) -> String {
        let scheme = if self.ca_pem.is_some() {
            "https"
        } else {
            "http"
        };
        format!("{scheme}://127.0.0.1:{}{path}", self.port)
    }
}

fn sha256(bytes: &[u8]) -> String {
    use std::fmt::Write as _;
    Sha256::digest(bytes)
        .iter()
        .fold(String::new(), |mut text, byte| {
            write!(text, "{byte:02x}").unwrap();
            text
        })
}

fn voice_file(name: &str) -> Vec<u8> {
    fs::read(workspace().join("inference-server/voices/rms").join(name)).unwrap()
}

/// The builtin voice's files under other names.
fn voice_answers() -> Answers {
    [
        ("/en.onnx", "voice.onnx"),
        ("/en.onnx.json", "voice.onnx.json"),
    ]
    .map(|(path, file)| (path.to_owned(), ok(&voice_file(file))))
    .into()
}

fn voice_source(web: &Web) -> String {
    let file = |path: &str, name: &str| json!({"path": format!("en/{path}"), "url": web.url(&format!("/{path}")), "sha256": sha256(&voice_file(name))});
    format!(
        "anna={}",
        json!({"files": [file("en.onnx", "voice.onnx"), file("en.onnx.json", "voice.onnx.json")]})
    )
}

fn one_file(url: &str, sha256: &str) -> String {
    format!(
        "anna={}",
        json!({"files": [{"path": "a.onnx", "url": url, "sha256": sha256}]})
    )
}

/// Runs the binary with no proxy and no authority of the environment.
fn command(arguments: &[&str]) -> Command {
    let mut command = Command::new(binary());
    command.args(arguments);
    for name in [
        "HTTPS_PROXY",
        "HTTP_PROXY",
        "NO_PROXY",
        "https_proxy",
        "http_proxy",
        "no_proxy",
        "TTS_CA_PEM",
    ] {
        command.env_remove(name);
    }
    command
}

async fn inspect(
    folder: &Path,
    voice: &str,
    more: &[&str],
    ca_pem: Option<&str>,
) -> (Option<i32>, Value) {
    let report = folder.join("report.json");
    let (work, report_path) = (folder.join("work"), report.to_str().unwrap());
    let mut command = command(&[
        "inspect",
        "--voice",
        voice,
        "--work-dir",
        work.to_str().unwrap(),
        "--report",
        report_path,
    ]);
    command.args(more);
    if let Some(pem) = ca_pem {
        command.env("TTS_CA_PEM", pem);
    }
    let Output {
        status,
        stdout,
        stderr,
    } = command.output().await.unwrap();
    let text = String::from_utf8(stdout).unwrap();
    let written = fs::read_to_string(&report).unwrap_or_default();
    assert_eq!(text.trim(), written, "{}", String::from_utf8_lossy(&stderr));
    assert!(written.len() <= 4000);
    (status.code(), serde_json::from_str(&written).unwrap())
}

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
        (Some("Piper"), Some(16_000))
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
    let before = web.requests.load(Ordering::SeqCst);
    assert!(fetch().await.status.success());
    assert_eq!(
        web.requests.load(Ordering::SeqCst),
        before,
        "what was there was fetched again"
    );
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
    assert_eq!(
        plain.requests.load(Ordering::SeqCst),
        0,
        "the redirect was followed"
    );
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
    assert_eq!(web.requests.load(Ordering::SeqCst), 11);
}

#[tokio::test]
async fn what_can_pass_is_tried_again_and_what_cannot_is_not() {
    let web =
        Web::plain(|_| [("/busy".to_owned(), status("503 Service Unavailable"))].into()).await;
    let folder = tempfile::tempdir().unwrap();
    for (path, attempts, wanted) in [("/gone", 1, "404"), ("/busy", 4, "503")] {
        let before = web.requests.load(Ordering::SeqCst);
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
        assert_eq!(
            web.requests.load(Ordering::SeqCst) - before,
            attempts,
            "{path}"
        );
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

/// Inspects a voice of these two files, served by a web server.
async fn inspect_voice(model: &[u8], config: &[u8]) -> (Option<i32>, Value) {
    let answers = [
        ("/m.onnx".to_owned(), ok(model)),
        ("/m.onnx.json".to_owned(), ok(config)),
    ]
    .into();
    let web = Web::plain(|_| answers).await;
    let file = |path: &str, bytes: &[u8]| json!({"path": path, "url": web.url(&format!("/{path}")), "sha256": sha256(bytes)});
    let source = format!(
        "anna={}",
        json!({"files": [file("m.onnx", model), file("m.onnx.json", config)]})
    );
    let folder = tempfile::tempdir().unwrap();
    inspect(folder.path(), &source, &["--allow-http"], None).await
}

/// The sound is that of other phones; what counts is that the ids of Piper's alphabet are understood.
#[tokio::test]
async fn an_english_voice_with_pipers_own_alphabet_is_usable() {
    let model = voice_file("voice.onnx");
    let mut config: Value = serde_json::from_slice(&voice_file("voice.onnx.json")).unwrap();
    let characters = "_^$ ,abdefhijklmnopstuvwzæðŋɑɔəɚɛɜɡɪɹʃʊʌʒˈːθ";
    let map: serde_json::Map<String, Value> = characters
        .chars()
        .enumerate()
        .map(|(id, character)| (character.to_string(), json!([id])))
        .collect();
    config["phoneme_type"] = json!("espeak");
    config["espeak"] = json!({"voice": "en-us"});
    config["phoneme_id_map"] = map.into();
    let config = config.to_string().into_bytes();
    let (code, report) = inspect_voice(&model, &config).await;
    assert_eq!(code, Some(0), "{report}");
    assert_eq!(report["languages"], json!(["en-US"]));
}

#[tokio::test]
async fn broken_voices_get_the_reason_that_fits() {
    let (model, config) = (voice_file("voice.onnx"), voice_file("voice.onnx.json"));
    let changed = |change: &dyn Fn(&mut Value)| {
        let mut config: Value = serde_json::from_slice(&config).unwrap();
        change(&mut config);
        config.to_string().into_bytes()
    };
    let espeak = changed(&|config| {
        config["phoneme_type"] = json!("espeak");
        config["phoneme_id_map"] = json!({"_": [0], "^": [1], "$": [2], "ə": [3]});
    });
    let cases: [(&[u8], Vec<u8>, &str, &str); 9] = [
        (
            &model[..model.len() / 2],
            config.clone(),
            "CorruptModel",
            "complete",
        ),
        (b"hello", config.clone(), "CorruptModel", "ONNX"),
        (b"", config.clone(), "CorruptModel", "ONNX"),
        (&model, b"{".to_vec(), "InvalidConfig", "JSON"),
        (
            &model,
            changed(&|config| drop(config.as_object_mut().unwrap().remove("audio"))),
            "InvalidConfig",
            "audio",
        ),
        (
            &model,
            changed(&|config| config["inference"]["length_scale"] = json!(1e9)),
            "InvalidConfig",
            "length_scale",
        ),
        (
            &model,
            changed(&|config| config["phoneme_id_map"]["zh"] = json!([60000])),
            "InvalidConfig",
            "num_symbols",
        ),
        (
            &model,
            changed(&|config| {
                config["phoneme_id_map"]["zh"] = json!([60000]);
                config["num_symbols"] = json!(65536);
            }),
            "CorruptModel",
            "run failed",
        ),
        (&model, espeak, "UnsupportedVoice", "phoneme_type"),
    ];
    for (number, (model, config, reason, wanted)) in cases.into_iter().enumerate() {
        let (code, report) = inspect_voice(model, &config).await;
        assert_eq!(
            (code, report["reason"].as_str()),
            (Some(2), Some(reason)),
            "case {number}: {report}"
        );
        assert!(
            report["message"].as_str().unwrap().contains(wanted),
            "case {number}: {report}"
        );
    }
}

#[tokio::test]
async fn wrong_sources_are_refused_by_name() {
    let folder = tempfile::tempdir().unwrap();
    for (source, reason, wanted) in [
        (
            r#"x={"builtin":{"name":"nobody"}}"#,
            "UnknownBuiltin",
            "nobody",
        ),
        (
            r#"x={"files":[{"path":"../a","url":"https://h/a","sha256":""}]}"#,
            "InvalidSource",
            "`..`",
        ),
        (
            r#"x={"files":[{"path":"/a","url":"https://h/a","sha256":""}]}"#,
            "InvalidSource",
            "absolute",
        ),
        (
            r#"x={"files":[{"path":"a","url":"https://h/a","sha256":"12"}]}"#,
            "InvalidSource",
            "64",
        ),
        ("nonsense", "InvalidSource", "NAME=SOURCE"),
    ] {
        let (code, report) = inspect(folder.path(), source, &[], None).await;
        assert_eq!(
            (code, report["reason"].as_str()),
            (Some(2), Some(reason)),
            "{report}"
        );
        assert!(
            report["message"].as_str().unwrap().contains(wanted),
            "{report}"
        );
    }
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
async fn the_builtin_voice_is_inspected_without_a_network() {
    let folder = tempfile::tempdir().unwrap();
    let (code, report) = inspect(
        folder.path(),
        r#"rms={"builtin":{"name":"rms"}}"#,
        &[],
        None,
    )
    .await;
    assert_eq!(
        (
            code,
            report["ok"].as_bool(),
            report["schemaVersion"].as_u64()
        ),
        (Some(0), Some(true), Some(1))
    );
    assert_eq!(report["files"].as_array().unwrap().len(), 2);
    assert!(!folder.path().join("work").exists());
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
