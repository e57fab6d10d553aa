//! `GET /v1/audio/voices` and `GET /v1/models`.

use axum::{
    Json,
    extract::{Path, State, rejection::PathRejection},
};
use http::StatusCode;
use serde_json::{Value, json};

use super::{
    App,
    errors::ApiError,
    speech::{MODEL_ALIASES, RequestError},
};

/// The voices. OpenAI has no such path; the clients that ask for it read `voices` with `id` and `name`.
pub async fn voices(State(app): State<App>) -> Json<Value> {
    let voices: Vec<_> = app
        .voices
        .iter()
        .enumerate()
        .map(|(index, voice)| {
            json!({
                "id": voice.name,
                "name": voice.name,
                "object": "voice",
                "default": index == app.rules.default_voice,
                "languages": voice.languages,
                "sample_rate": voice.sample_rate,
            })
        })
        .collect();
    Json(json!({"object": "list", "voices": voices}))
}

/// OpenAI's model names and, since gateways route by model, each voice as a model of its own.
fn names(app: &App) -> impl Iterator<Item = &str> {
    MODEL_ALIASES
        .into_iter()
        .chain(app.rules.voices.iter().map(String::as_str))
}

fn model(app: &App, id: &str) -> Value {
    json!({"id": id, "object": "model", "created": app.started_seconds(), "owned_by": "tts-operator"})
}

pub async fn models(State(app): State<App>) -> Json<Value> {
    let data: Vec<_> = names(&app).map(|id| model(&app, id)).collect();
    Json(json!({"object": "list", "data": data}))
}

pub async fn one_model(
    State(app): State<App>,
    id: Result<Path<String>, PathRejection>,
) -> Result<Json<Value>, ApiError> {
    let Path(id) = id.map_err(|error| {
        ApiError::invalid("invalid_path", Some("model"), error.body_text())
            .with_status(error.status())
    })?;
    if names(&app).any(|name| name == id) {
        return Ok(Json(model(&app, &id)));
    }
    let known = names(&app).collect::<Vec<_>>().join(", ");
    let found = id.chars().take(64).collect();
    Err(ApiError::from(RequestError::UnknownModel { found, known })
        .with_status(StatusCode::NOT_FOUND))
}
