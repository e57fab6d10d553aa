//! A speech recogniser listens to what came.
use std::{env, path::PathBuf};

use anyhow::{Context as _, Result, ensure};
use serde::Deserialize;

use crate::{
    cluster,
    command::{Program, first_file},
    speech::Speech,
};

/// What the recogniser made of a list of sentences.
#[derive(Debug, Deserialize)]
pub struct Recognised {
    pub sentences: usize,
    /// How many were told from all the others.
    pub picked: usize,
    /// Word error rate with the words of all sentences as the vocabulary.
    pub wer: f64,
}

/// The sentences that `tests/` keeps for this, one a line.
pub fn sentences() -> Result<Vec<String>> {
    let path = cluster::repository().join(SENTENCES);
    let text = std::fs::read_to_string(&path)
        .with_context(|| format!("cannot read {}", path.display()))?;
    Ok(text
        .lines()
        .filter(|line| !line.trim().is_empty())
        .map(str::to_owned)
        .collect())
}

const SENTENCES: &str = "tests/data/sentences.txt";

/// Python with pocketsphinx and openai: what `make test` names, else the one that `make setup` made.
pub fn python() -> Result<Program> {
    if let Some(named) = env::var_os("TTS_E2E_PYTHON") {
        return Ok(Program::new(PathBuf::from(named)));
    }
    let environments = std::fs::read_dir(tts_tests::cache())
        .into_iter()
        .flatten()
        .flatten()
        .filter(|entry| entry.file_name().to_string_lossy().starts_with("venv-"))
        .map(|entry| entry.path().join("bin/python"));
    first_file(environments)
        .map(Program::new)
        .context("no Python with a recogniser: run `make setup`, or let TTS_E2E_PYTHON name one that has pocketsphinx and openai")
}

/// `spoken[i]` should say `sentences()[i]`.
pub async fn recognise(spoken: &[Speech]) -> Result<Recognised> {
    let folder = env::temp_dir().join(format!("tts-e2e-speech-{}", std::process::id()));
    std::fs::create_dir_all(&folder)?;
    for (number, speech) in spoken.iter().enumerate() {
        std::fs::write(folder.join(format!("{number:02}.wav")), &speech.wav)?;
    }
    let root = cluster::repository();
    let output = python()?
        .run([
            root.join("tests/recognise.py").as_os_str(),
            "--sentences".as_ref(),
            root.join(SENTENCES).as_os_str(),
            folder.as_os_str(),
        ])
        .await?
        .ok()?;
    std::fs::remove_dir_all(&folder)?;
    let recognised: Recognised = serde_json::from_str(&output)
        .with_context(|| format!("recognise.py printed no result: {output}"))?;
    ensure!(
        recognised.sentences == spoken.len(),
        "{} recordings went in, {recognised:?} came out",
        spoken.len()
    );
    Ok(recognised)
}
