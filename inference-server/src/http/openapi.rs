//! `/openapi.json`: the document of the API, from the same types and routes that serve it.

use axum::{extract::Extension, http::header, response::IntoResponse};
use bytes::Bytes;
use utoipa::OpenApi;

/// What the routes do not say.
#[derive(OpenApi)]
#[openapi(info(
    title = "tts-server",
    description = "Text-to-speech with OpenAI's API.",
    license(name = "Apache-2.0", identifier = "Apache-2.0"),
))]
pub struct Description;

/// The document, as it is sent.
#[derive(Clone)]
pub struct Document(Bytes);

impl Document {
    /// # Errors
    /// When the document cannot be written as JSON.
    pub fn new(document: &utoipa::openapi::OpenApi) -> serde_json::Result<Self> {
        serde_json::to_vec(document).map(|json| Self(json.into()))
    }
}

/// This document.
#[utoipa::path(get, path = "/openapi.json", tag = "server", responses((status = 200, description = "An OpenAPI document.", content_type = "application/json", body = Object)))]
pub async fn openapi(Extension(document): Extension<Document>) -> impl IntoResponse {
    ([(header::CONTENT_TYPE, "application/json")], document.0)
}
