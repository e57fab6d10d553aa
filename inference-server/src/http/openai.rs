//! `POST /v1/audio/speech`.

use std::time::{Duration, Instant};

use axum::{
    body::Body,
    extract::{Request, State},
    response::Response,
};
use bytes::Bytes;
use http::{HeaderMap, HeaderName, HeaderValue, StatusCode, header};
use http_body_util::{BodyExt, LengthLimitError, Limited};

use super::{
    App, Limits,
    delivery::{Delivery, DeliveryError, Order},
    errors::ApiError,
    lifecycle::Stage,
    speech::SpeechRequest,
};
use crate::{engine::EngineError, scheduler::SchedulerError};

pub const WARNINGS: HeaderName = HeaderName::from_static("warnings");

/// Texts up to this many symbols (about half a minute of speech) are answered whole, with a `Content-Length` and a WAV
/// header that says how long it is. Longer ones are streamed as they are spoken.
const WHOLE_SYMBOLS: usize = 400;

pub async fn speech(State(app): State<App>, request: Request) -> Result<Response, ApiError> {
    let arrived = Instant::now();
    if app.lifecycle.stage() == Stage::Starting {
        return Err(ApiError::unavailable(
            "starting",
            "the voices are still loading; retry",
            Duration::from_secs(1),
        ));
    }
    check_content_type(request.headers())?;
    let body = read_body(request.into_body(), app.limits).await?;
    let request = SpeechRequest::parse(&body, &app.rules)?;
    app.metrics
        .ignored_fields
        .inc_by(request.ignored_fields as u64);

    let symbols = request.reading.symbols();
    let runs = request.reading.runs;
    let whole = runs.len() == 1 || symbols <= WHOLE_SYMBOLS;
    let order = Order {
        format: request.format,
        sample_rate: app
            .voices
            .get(request.voice)
            .map_or(0, |voice| voice.sample_rate),
        ends_sentence: runs.iter().map(|run| run.ends_sentence).collect(),
        max_audio_seconds: app.rules.max_audio_seconds,
        arrived,
    };
    let ticket = app
        .scheduler
        .submit(request.voice, runs, request.speed)
        .map_err(refused)?;
    let mut delivery = Delivery::new(ticket, order, app.metrics.clone());
    let length = if whole {
        Some(delivery.collect().await.map_err(failed)?)
    } else {
        delivery.begin().await.map_err(failed)?;
        None
    };
    tracing::debug!(symbols, whole, "speaking");

    let mut response = Response::new(Body::from_stream(delivery.frames()));
    let headers = response.headers_mut();
    headers.insert(
        header::CONTENT_TYPE,
        HeaderValue::from_static(request.format.content_type()),
    );
    if let Some(length) = length {
        headers.insert(header::CONTENT_LENGTH, HeaderValue::from(length));
    }
    if let Some(warnings) = warnings(&request.warnings) {
        headers.insert(WARNINGS, warnings);
    }
    Ok(response)
}

/// One header value; field names may hold anything, so what is not plain is replaced.
fn warnings(warnings: &[String]) -> Option<HeaderValue> {
    if warnings.is_empty() {
        return None;
    }
    let text: String = warnings
        .join("; ")
        .chars()
        .map(|character| {
            if character == ' ' || character.is_ascii_graphic() {
                character
            } else {
                '?'
            }
        })
        .collect();
    HeaderValue::from_str(&text).ok()
}

fn check_content_type(headers: &HeaderMap) -> Result<(), ApiError> {
    let sent = headers
        .get(header::CONTENT_TYPE)
        .and_then(|value| value.to_str().ok())
        .unwrap_or_default();
    let kind = sent.split(';').next().unwrap_or_default().trim();
    if kind.eq_ignore_ascii_case("application/json") {
        return Ok(());
    }
    let found = if kind.is_empty() {
        "none".to_owned()
    } else {
        kind.chars().take(80).collect()
    };
    Err(ApiError::invalid(
        "unsupported_media_type",
        None,
        format!("the body must be JSON: send Content-Type: application/json (received: {found})"),
    )
    .with_status(StatusCode::UNSUPPORTED_MEDIA_TYPE))
}

async fn read_body(body: Body, limits: Limits) -> Result<Bytes, ApiError> {
    let limit = limits.max_body_bytes;
    let read = Limited::new(body, limit).collect();
    let Ok(read) = tokio::time::timeout(limits.body_timeout, read).await else {
        return Err(ApiError::invalid(
            "body_timeout",
            None,
            format!(
                "the body was not received within {} seconds",
                limits.body_timeout.as_secs_f32()
            ),
        )
        .with_status(StatusCode::REQUEST_TIMEOUT));
    };
    match read {
        Ok(body) => Ok(body.to_bytes()),
        Err(error) if error.is::<LengthLimitError>() => Err(ApiError::invalid(
            "body_too_large",
            None,
            format!("the body exceeds {limit} bytes; split the text into several requests"),
        )
        .with_status(StatusCode::PAYLOAD_TOO_LARGE)),
        Err(error) => Err(ApiError::invalid(
            "body_unreadable",
            None,
            format!("the body could not be read completely: {error}"),
        )),
    }
}

fn refused(error: SchedulerError) -> ApiError {
    match error {
        SchedulerError::QueueFull { retry_after, .. } => ApiError {
            status: StatusCode::TOO_MANY_REQUESTS,
            message: error.to_string(),
            param: None,
            code: "queue_full",
            retry_after: Some(retry_after),
        },
        SchedulerError::Engine(error) => failed(DeliveryError::Engine(error)),
    }
}

fn failed(error: DeliveryError) -> ApiError {
    match error {
        DeliveryError::TooLong { .. } => {
            ApiError::invalid("audio_too_long", Some("input"), error.to_string())
        }
        DeliveryError::WorkerLost | DeliveryError::Engine(EngineError::Cancelled) => {
            ApiError::unavailable("stopped", error.to_string(), Duration::from_secs(1))
        }
        DeliveryError::Engine(error) => {
            tracing::error!(%error, "synthesis failed");
            ApiError {
                status: StatusCode::INTERNAL_SERVER_ERROR,
                message: error.to_string(),
                param: None,
                code: "synthesis_failed",
                retry_after: None,
            }
        }
    }
}
