//! `GET /v1/audio/voices` and `GET /v1/models`.

use axum::{
    Json,
    extract::{Path, State, rejection::PathRejection},
};
use serde::Serialize;
use utoipa::ToSchema;

use super::{
    App,
    errors::{ApiError, ErrorBody},
    speech::{rejection::RequestError, request::MODEL_ALIASES},
};

/// The served voices.
#[derive(Serialize, ToSchema)]
pub struct VoiceList {
    #[schema(value_type = String, example = "list")]
    object: &'static str,
    voices: Vec<ListedVoice>,
}

#[derive(Serialize, ToSchema)]
struct ListedVoice {
    id: String,
    name: String,
    #[schema(value_type = String, example = "voice")]
    object: &'static str,
    /// Whether requests that name no voice get it.
    default: bool,
    /// BCP 47.
    languages: Vec<String>,
    /// In Hz.
    sample_rate: u32,
}

/// Lists the voices. OpenAI has no such path; the clients that ask for it read `voices` with `id` and `name`.
#[utoipa::path(get, path = "/v1/audio/voices", tag = "audio", responses((status = 200, description = "The voices.", body = VoiceList)))]
pub async fn voices(State(app): State<App>) -> Json<VoiceList> {
    let voices = &app.rules.voices;
    let listed = voices.iter().map(|voice| ListedVoice {
        id: voice.name.clone(),
        name: voice.name.clone(),
        object: "voice",
        default: voices.is_default(voice),
        languages: voice.family.about().languages.clone(),
        sample_rate: voice.sample_rate(),
    });
    Json(VoiceList {
        object: "list",
        voices: listed.collect(),
    })
}

/// OpenAI's models and, since gateways route by model, each voice as a model of its own.
#[derive(Serialize, ToSchema)]
pub struct ModelList {
    #[schema(value_type = String, example = "list")]
    object: &'static str,
    data: Vec<Model>,
}

#[derive(Serialize, ToSchema)]
pub struct Model {
    id: String,
    #[schema(value_type = String, example = "model")]
    object: &'static str,
    /// Seconds since 1970 at which the server started.
    created: u64,
    #[schema(value_type = String)]
    owned_by: &'static str,
}

fn names(app: &App) -> impl Iterator<Item = &str> {
    let voices = app.rules.voices.iter().map(|voice| voice.name.as_str());
    MODEL_ALIASES.into_iter().chain(voices)
}

fn model(app: &App, id: &str) -> Model {
    Model {
        id: id.to_owned(),
        object: "model",
        created: app.started_seconds(),
        owned_by: "tts-operator",
    }
}

/// Lists the models.
#[utoipa::path(get, path = "/v1/models", tag = "models", responses((status = 200, description = "The models.", body = ModelList)))]
pub async fn models(State(app): State<App>) -> Json<ModelList> {
    Json(ModelList {
        object: "list",
        data: names(&app).map(|id| model(&app, id)).collect(),
    })
}

/// Shows one model.
#[utoipa::path(
    get,
    path = "/v1/models/{id}",
    tag = "models",
    params(("id" = String, Path, description = "The name of a model.")),
    responses((status = 200, description = "The model.", body = Model), (status = "4XX", description = "There is no such model.", body = ErrorBody)),
)]
pub async fn one_model(
    State(app): State<App>,
    id: Result<Path<String>, PathRejection>,
) -> Result<Json<Model>, ApiError> {
    let Path(id) = id.map_err(|error| {
        ApiError::invalid("invalid_path", Some("model"), error.body_text())
            .with_status(error.status())
    })?;
    if names(&app).any(|name| name == id) {
        return Ok(Json(model(&app, &id)));
    }
    let known = names(&app).collect::<Vec<_>>().join(", ");
    let found = id.chars().take(64).collect();
    Err(RequestError::UnknownModel { found, known }.into())
}
