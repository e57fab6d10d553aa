//! A speech recogniser understands the builtin voice.

use std::process::Command;

use tts_tests::{binary, python, workspace};

#[test]
fn thirty_sentences_are_understood() {
    let sentences = workspace().join("tests/data/sentences.txt");
    let folder = tempfile::tempdir().unwrap();
    for (number, sentence) in std::fs::read_to_string(&sentences)
        .unwrap()
        .lines()
        .enumerate()
    {
        let wav = folder.path().join(format!("{number:02}.wav"));
        let status = Command::new(binary())
            .args(["say", sentence, "-o"])
            .arg(wav)
            .status()
            .unwrap();
        assert!(status.success(), "{sentence}");
    }
    let output = Command::new(python())
        .arg(workspace().join("tests/recognise.py"))
        .arg("--sentences")
        .arg(&sentences)
        .arg(folder.path())
        .output()
        .unwrap();
    let report = String::from_utf8_lossy(&output.stdout).into_owned();
    assert!(
        output.status.success(),
        "{report}{}",
        String::from_utf8_lossy(&output.stderr)
    );
    let report: serde_json::Value = serde_json::from_str(&report).unwrap();
    println!(
        "picked {} of {}, word error rate {}",
        report["picked"], report["sentences"], report["wer"]
    );
    assert_eq!(
        (report["picked"].as_u64(), report["sentences"].as_u64()),
        (Some(30), Some(30))
    );
}
