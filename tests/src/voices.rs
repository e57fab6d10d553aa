//! Voices as sources of `--voice`, and the program that downloads and inspects them.

use std::{fs, path::Path, process::Output};

use serde_json::{Value, json};
use sha2::{Digest, Sha256};
use tokio::process::Command;

use crate::{
    binary,
    web::{Answers, Web, ok},
    workspace,
};

/// Largest report of an inspection, in bytes: it has to fit into a pod's termination message.
const LONGEST_REPORT: usize = 4000;

/// SHA-256 in lower-case hexadecimal digits.
pub fn sha256(bytes: &[u8]) -> String {
    use std::fmt::Write as _;
    Sha256::digest(bytes)
        .iter()
        .fold(String::new(), |mut text, byte| {
            let _ = write!(text, "{byte:02x}");
            text
        })
}

/// A file of the built-in voice: `voice.onnx` or `voice.onnx.json`.
///
/// # Panics
/// When there is no such file.
pub fn voice_file(name: &str) -> Vec<u8> {
    fs::read(workspace().join("inference-server/voices/rms").join(name)).unwrap()
}

/// Answers with the built-in voice's files, under other names: what [`voice_source`] asks for.
pub fn voice_answers() -> Answers {
    [
        ("/en.onnx", "voice.onnx"),
        ("/en.onnx.json", "voice.onnx.json"),
    ]
    .map(|(path, file)| (path.to_owned(), ok(&voice_file(file))))
    .into()
}

/// `anna=SOURCE`: the built-in voice's files from this server.
pub fn voice_source(web: &Web) -> String {
    let file = |path: &str, name: &str| json!({"path": format!("en/{path}"), "url": web.url(&format!("/{path}")), "sha256": sha256(&voice_file(name))});
    format!(
        "anna={}",
        json!({"files": [file("en.onnx", "voice.onnx"), file("en.onnx.json", "voice.onnx.json")]})
    )
}

/// `anna=SOURCE`: a model without a configuration.
pub fn one_file(url: &str, sha256: &str) -> String {
    format!(
        "anna={}",
        json!({"files": [{"path": "a.onnx", "url": url, "sha256": sha256}]})
    )
}

/// Writes a voice into a folder: this model, and the built-in voice's configuration with this sample rate.
///
/// # Panics
/// When the folder cannot be written to.
pub fn write_voice(folder: &Path, model: &[u8], sample_rate: u32) {
    let mut config: Value = serde_json::from_slice(&voice_file("voice.onnx.json")).unwrap();
    config["audio"]["sample_rate"] = json!(sample_rate);
    fs::create_dir_all(folder).unwrap();
    fs::write(folder.join("voice.onnx"), model).unwrap();
    fs::write(folder.join("voice.onnx.json"), config.to_string()).unwrap();
}

/// Gives a configuration the alphabet of English voices of Piper, with a number per character.
///
/// # Panics
/// When it is no JSON object.
pub fn with_pipers_alphabet(config: &mut Value) {
    let characters = "_^$ ,abdefhijklmnopstuvwzæðŋɑɔəɚɛɜɡɪɹʃʊʌʒˈːθ";
    let map: serde_json::Map<String, Value> = characters
        .chars()
        .enumerate()
        .map(|(id, character)| (character.to_string(), json!([id])))
        .collect();
    config["phoneme_type"] = json!("espeak");
    config["espeak"] = json!({"voice": "en-us"});
    config["phoneme_id_map"] = map.into();
}

/// The program, with no proxy and no authority of the environment.
pub fn command(arguments: &[&str]) -> Command {
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

/// Inspects a voice, which is downloaded to `folder/work`; the exit code and the report.
///
/// # Panics
/// When the report is not printed and written alike, is too long, or is no JSON.
pub async fn inspect(
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
    assert!(written.len() <= LONGEST_REPORT, "{}", written.len());
    (status.code(), serde_json::from_str(&written).unwrap())
}
