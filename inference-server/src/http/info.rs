//! `/info`: what this process serves, with which limits.

use std::time::UNIX_EPOCH;

use axum::{Json, extract::State};
use serde_json::{Value, json};

use super::{App, MAX_HEAD_BYTES};
use crate::voices::Voice;

/// A voice as the API shows it.
#[derive(Clone, Debug)]
pub struct ServedVoice {
    pub name: String,
    pub languages: Vec<String>,
    pub sample_rate: u32,
    pub speakers: u32,
}

impl From<&Voice> for ServedVoice {
    fn from(voice: &Voice) -> Self {
        Self {
            name: voice.name.clone(),
            languages: voice.config.languages.clone(),
            sample_rate: voice.config.sample_rate,
            speakers: voice.config.speaker_count,
        }
    }
}

impl App {
    /// Seconds since 1970 at which the process started: what OpenAI calls a model's `created`.
    pub(super) fn started_seconds(&self) -> u64 {
        self.started
            .duration_since(UNIX_EPOCH)
            .map_or(0, |since| since.as_secs())
    }
}

pub async fn info(State(app): State<App>) -> Json<Value> {
    let voices: Vec<_> = app
        .voices
        .iter()
        .enumerate()
        .map(|(index, voice)| {
            json!({
                "name": voice.name,
                "default": index == app.rules.default_voice,
                "languages": voice.languages,
                "sampleRateHz": voice.sample_rate,
                "speakers": voice.speakers,
            })
        })
        .collect();
    Json(json!({
        "name": "tts-server",
        "version": env!("CARGO_PKG_VERSION"),
        "stage": format!("{:?}", app.lifecycle.stage()).to_lowercase(),
        "startedAt": app.started_seconds(),
        "device": "cpu",
        "workers": app.workers,
        "formats": app.rules.formats.iter().map(|format| format.name()).collect::<Vec<_>>(),
        "voices": voices,
        "limits": {
            "maxInputCharacters": app.rules.max_input_characters,
            "maxAudioSeconds": app.max_audio_seconds,
            "maxBodyBytes": app.limits.max_body_bytes,
            "maxHeadBytes": MAX_HEAD_BYTES,
            "maxReceiveBytes": app.limits.max_receive_bytes,
            "maxConnections": app.limits.max_connections,
        },
    }))
}
