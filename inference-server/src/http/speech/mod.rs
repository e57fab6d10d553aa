//! `POST /v1/audio/speech`.

mod body;
mod delivery;
mod receive;
pub mod rejection;
pub mod request;

use std::time::{Duration, Instant};

use axum::{
    body::Body,
    extract::{Request, State},
    response::Response,
};
use http::{HeaderName, HeaderValue, StatusCode, header};

use super::{
    App,
    connection::CutOff,
    errors::{ApiError, ErrorBody},
    lifecycle::Stage,
};
use body::SpeechBody;
use delivery::{Delivery, DeliveryError};
use rejection::RequestError;
use request::SpeechRequest;

use crate::{
    engine::EngineError,
    scheduler::{JobError, Order, SchedulerError},
    text::skipped_warning,
};

pub const WARNINGS: HeaderName = HeaderName::from_static("warnings");

/// Synthesizes speech. A text of one sentence comes whole, with its length; longer ones are streamed.
#[utoipa::path(
    post,
    path = "/v1/audio/speech",
    tag = "audio",
    request_body = SpeechBody,
    responses(
        (status = 200, description = "The audio, in the format of `response_format`.", content(
            ("audio/mpeg"), ("audio/ogg"), ("audio/aac"), ("audio/flac"), ("audio/wav"), ("audio/pcm"),
        ), headers(
            ("warnings" = String, description = "What was ignored or skipped."),
            ("x-request-id" = String, description = "The request's header, or a new id."),
        )),
        (status = "4XX", description = "The request is invalid. 429: the server is full; see `retry-after-ms`.", body = ErrorBody),
        (status = "5XX", description = "The server cannot serve the request now.", body = ErrorBody),
    ),
)]
pub async fn speech(State(app): State<App>, request: Request) -> Result<Response, ApiError> {
    let arrived = Instant::now();
    if app.lifecycle.stage() == Stage::Starting {
        return Err(ApiError::unavailable(
            "starting",
            "the voices are still loading; retry",
            Duration::from_secs(1),
        ));
    }
    // Before the request is read: a rejection must be cheap.
    app.scheduler.check().map_err(|error| refused(&error))?;
    receive::check_content_type(request.headers())?;
    let body = receive::read_body(request.into_body(), &app).await?;
    let request = SpeechRequest::parse(&body.bytes, &app.rules)?;
    drop(body);
    app.metrics
        .ignored_fields
        .inc_by(request.ignored_fields as u64);

    let mut warnings = request.warnings;
    let format = request.format;
    let sample_rate = request
        .sample_rate
        .unwrap_or_else(|| format.rate_for(request.voice.sample_rate()));
    let order = Order {
        voice: request.voice,
        text: request.input,
        speed: request.speed,
        format,
        sample_rate,
    };
    let ticket = app
        .scheduler
        .submit(order)
        .map_err(|error| refused(&error))?;
    let cut = CutOff(ticket.evicted());
    let (mut delivery, skipped) = Delivery::begin(ticket, format, arrived, app.metrics.clone())
        .await
        .map_err(failed)?;
    warnings.extend(skipped_warning(&skipped));
    let length = delivery.first_audio().await.map_err(failed)?;

    let mut response = Response::new(Body::from_stream(delivery.frames()));
    let headers = response.headers_mut();
    if let Ok(content_type) = HeaderValue::from_str(&format.content_type(sample_rate)) {
        headers.insert(header::CONTENT_TYPE, content_type);
    }
    if let Some(length) = length {
        headers.insert(header::CONTENT_LENGTH, HeaderValue::from(length));
    }
    if let Some(warnings) = header_value(&warnings) {
        headers.insert(WARNINGS, warnings);
    }
    response.extensions_mut().insert(cut);
    Ok(response)
}

/// One header value; field names may hold anything, so what is not plain is replaced.
fn header_value(warnings: &[String]) -> Option<HeaderValue> {
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

fn refused(error: &SchedulerError) -> ApiError {
    let (code, retry_after) = match error {
        SchedulerError::QueueFull { retry_after, .. } => ("queue_full", *retry_after),
        SchedulerError::BufferFull { retry_after, .. } => ("audio_buffer_full", *retry_after),
    };
    ApiError {
        status: StatusCode::TOO_MANY_REQUESTS,
        message: error.to_string(),
        param: None,
        code,
        retry_after: Some(retry_after),
    }
}

fn failed(error: DeliveryError) -> ApiError {
    match error {
        DeliveryError::Job(JobError::Text(error)) => RequestError::from(error).into(),
        DeliveryError::Job(JobError::TooMuchAudio { .. } | JobError::TooLong { .. }) => {
            ApiError::invalid("audio_too_long", Some("input"), error.to_string())
        }
        DeliveryError::WorkerLost
        | DeliveryError::Job(JobError::Engine(EngineError::Cancelled)) => {
            ApiError::unavailable("stopped", error.to_string(), Duration::from_secs(1))
        }
        DeliveryError::Job(
            error @ (JobError::Engine(_) | JobError::Voice(_) | JobError::Encode(_)),
        ) => {
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
