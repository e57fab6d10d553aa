//! `/info`: what this process serves, with which limits.

use std::time::UNIX_EPOCH;

use axum::{Json, extract::State};
use serde::Serialize;
use utoipa::ToSchema;

use super::{App, MAX_HEAD_BYTES};

/// What the server serves, and its limits.
#[derive(Serialize, ToSchema)]
#[serde(rename_all = "camelCase")]
pub struct Info {
    #[schema(value_type = String, example = "tts-server")]
    name: &'static str,
    #[schema(value_type = String)]
    version: &'static str,
    /// starting, ready, draining or closing.
    stage: String,
    /// Seconds since 1970.
    started_at: u64,
    /// Where the models run, such as cpu or cuda:0.
    device: String,
    /// Concurrent runs.
    workers: usize,
    /// Threads per run.
    intra_threads: usize,
    /// Response formats that requests may choose.
    #[schema(value_type = Vec<String>)]
    formats: Vec<&'static str>,
    voices: Vec<VoiceInfo>,
    limits: LimitsInfo,
}

#[derive(Serialize, ToSchema)]
#[serde(rename_all = "camelCase")]
struct VoiceInfo {
    name: String,
    /// Whether requests that name no voice get it.
    default: bool,
    /// Such as Piper.
    #[schema(value_type = String)]
    family: &'static str,
    /// BCP 47.
    languages: Vec<String>,
    sample_rate_hz: u32,
    speakers: u32,
}

#[derive(Serialize, ToSchema)]
#[serde(rename_all = "camelCase")]
struct LimitsInfo {
    max_input_characters: usize,
    max_audio_seconds: u64,
    /// Requests that may wait in addition to those in service.
    queue: usize,
    max_body_bytes: usize,
    max_head_bytes: usize,
    max_receive_bytes: usize,
    max_unsent_bytes: usize,
    max_connections: usize,
}

impl App {
    /// Seconds since 1970 at which the process started: what OpenAI calls a model's `created`.
    pub(super) fn started_seconds(&self) -> u64 {
        self.started
            .duration_since(UNIX_EPOCH)
            .map_or(0, |since| since.as_secs())
    }
}

/// Shows what the server serves, and its limits.
#[utoipa::path(get, path = "/info", tag = "server", responses((status = 200, description = "What the server serves.", body = Info)))]
pub async fn info(State(app): State<App>) -> Json<Info> {
    let (config, catalogue) = (&app.config, &app.rules.voices);
    let voices = catalogue.iter().map(|voice| {
        let about = voice.family.about();
        VoiceInfo {
            name: voice.name.clone(),
            default: catalogue.is_default(voice),
            family: voice.family.kind().into(),
            languages: about.languages.clone(),
            sample_rate_hz: about.sample_rate,
            speakers: about.speaker_count,
        }
    });
    let formats = app.rules.formats.iter().map(|format| format.name());
    Json(Info {
        name: "tts-server",
        version: env!("CARGO_PKG_VERSION"),
        stage: format!("{:?}", app.lifecycle.stage()).to_lowercase(),
        started_at: app.started_seconds(),
        device: config.session.device.to_string(),
        workers: config.work.workers,
        intra_threads: config.session.intra_threads,
        formats: formats.collect(),
        voices: voices.collect(),
        limits: LimitsInfo {
            max_input_characters: app.rules.max_input_characters,
            max_audio_seconds: config.work.max_audio_seconds,
            queue: config.work.waiting,
            max_body_bytes: config.limits.max_body_bytes,
            max_head_bytes: MAX_HEAD_BYTES,
            max_receive_bytes: config.limits.max_receive_bytes,
            max_unsent_bytes: config.work.total_buffer,
            max_connections: config.limits.max_connections,
        },
    })
}
