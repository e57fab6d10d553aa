//! `inspect`: which voices it finds usable, and why not; and how it shows the reading of a text.

#![expect(
    clippy::unwrap_used,
    reason = "helpers of tests: a panic is a test's failure"
)]

use std::{fs, path::PathBuf, process::Command};

use serde_json::{Value, json};
use tts_server::engine::environment::LIBRARY;
use tts_tests::{
    binary,
    voices::{inspect, sha256, voice_file, with_pipers_alphabet},
    web::{Web, ok},
    workspace,
};

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
    with_pipers_alphabet(&mut config);
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

#[test]
fn inspect_shows_how_texts_are_read_and_takes_voices_of_this_machine() {
    // As in the image: the library lies beside the program, and no variable names it.
    let folder = tempfile::tempdir().unwrap();
    let program = folder.path().join("tts-server");
    fs::copy(binary(), &program).unwrap();
    let library = std::env::var_os("ORT_DYLIB_PATH")
        .map_or_else(|| binary().with_file_name(LIBRARY), PathBuf::from);
    let beside = folder.path().join(LIBRARY);
    std::os::unix::fs::symlink(library, beside).unwrap();
    let inspect = |arguments: &[&str]| {
        let output = Command::new(&program)
            .arg("inspect")
            .args(arguments)
            .env_remove("ORT_DYLIB_PATH")
            .output()
            .unwrap();
        let error = String::from_utf8_lossy(&output.stderr).into_owned();
        assert!(output.status.success(), "{arguments:?}: {error}");
        String::from_utf8(output.stdout).unwrap()
    };
    let shown = inspect(&[
        "--voice",
        "builtin:rms",
        "--text",
        "Born in 1990 in Paris.",
        "--text",
        "-5 °C",
        "--json",
    ]);
    let read: Vec<Value> = shown
        .lines()
        .map(|line| serde_json::from_str(line).unwrap())
        .collect();
    assert_eq!(
        read[0]["sentences"][0]["words"],
        json!(["born", "in", "nineteen", "ninety", "in", "paris"])
    );
    assert_eq!(read[0]["sentences"][0]["tokens"][2]["class"], "number");
    assert_eq!(
        read[1]["sentences"][0]["words"],
        json!(["minus", "five", "degrees", "celsius"])
    );
    let voices = workspace().join("inference-server/voices/rms");
    let model = voices.join("voice.onnx");
    for voice in [
        "builtin:rms",
        voices.to_str().unwrap(),
        model.to_str().unwrap(),
    ] {
        let report: Value = serde_json::from_str(&inspect(&["--voice", voice])).unwrap();
        assert_eq!(report["ok"], true, "{report}");
    }
}
