//! `POST /v1/audio/speech`.

use std::time::{Duration, Instant};

use axum::{
    body::Body,
    extract::{Request, State},
    response::Response,
};
use http::{HeaderMap, HeaderName, HeaderValue, StatusCode, header};
use http_body::Body as _;
use http_body_util::BodyExt;

use super::{
    App,
    connection::{CutOff, budget::Share},
    delivery::{Delivery, DeliveryError},
    errors::ApiError,
    lifecycle::Stage,
    speech::{RequestError, SpeechRequest},
};
use crate::{
    engine::EngineError,
    scheduler::{JobError, Order, SchedulerError},
    text::skipped_warning,
};

pub const WARNINGS: HeaderName = HeaderName::from_static("warnings");

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
    app.scheduler.check().map_err(refused)?;
    check_content_type(request.headers())?;
    let body = read_body(request.into_body(), &app).await?;
    let request = SpeechRequest::parse(&body.bytes, &app.rules)?;
    drop(body);
    app.metrics
        .ignored_fields
        .inc_by(request.ignored_fields as u64);

    let mut warnings = request.warnings;
    let voice_rate = app
        .voices
        .get(request.voice)
        .map_or(0, |voice| voice.sample_rate);
    let format = request.format;
    let sample_rate = request
        .sample_rate
        .unwrap_or_else(|| format.rate_for(voice_rate));
    let order = Order {
        voice: request.voice,
        text: request.input,
        speed: request.speed,
        format,
        voice_rate,
        sample_rate,
    };
    let ticket = app.scheduler.submit(order).map_err(refused)?;
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

/// A request body, and what it holds of the budget.
struct Received {
    bytes: Vec<u8>,
    _share: Share,
}

async fn read_body(body: Body, app: &App) -> Result<Received, ApiError> {
    let limit = app.limits.deadlines.body;
    tokio::time::timeout(limit, receive(body, app))
        .await
        .unwrap_or_else(|_| {
            Err(ApiError::invalid(
                "body_timeout",
                None,
                format!(
                    "the body was not received within {} seconds",
                    limit.as_secs_f32()
                ),
            )
            .with_status(StatusCode::REQUEST_TIMEOUT))
        })
}

async fn receive(mut body: Body, app: &App) -> Result<Received, ApiError> {
    let limit = app.limits.max_body_bytes;
    let too_large = || {
        ApiError::invalid(
            "body_too_large",
            None,
            format!("the body exceeds {limit} bytes; split the text into several requests"),
        )
        .with_status(StatusCode::PAYLOAD_TOO_LARGE)
    };
    if body.size_hint().lower() > limit as u64 {
        return Err(too_large());
    }
    let mut share = app.budget.share();
    // Memory that is not written to is not taken. A body of unknown size gets no more than it needs.
    let announced = usize::try_from(body.size_hint().lower()).unwrap_or(limit);
    let mut bytes = Vec::with_capacity(announced);
    while let Some(frame) = body.frame().await {
        let frame = frame.map_err(|error| {
            ApiError::invalid(
                "body_unreadable",
                None,
                format!("the body could not be read completely: {error}"),
            )
        })?;
        let Ok(data) = frame.into_data() else {
            continue;
        };
        if bytes.len() + data.len() > limit {
            return Err(too_large());
        }
        if !share.grow(data.len()) {
            return Err(ApiError::unavailable(
                "receiving_too_much",
                "the server is receiving too many requests at once; retry",
                Duration::from_secs(1),
            ));
        }
        bytes.reserve_exact(data.len());
        bytes.extend_from_slice(&data);
    }
    Ok(Received {
        bytes,
        _share: share,
    })
}

fn refused(error: SchedulerError) -> ApiError {
    let (code, retry_after) = match error {
        SchedulerError::QueueFull { retry_after, .. } => ("queue_full", retry_after),
        SchedulerError::BufferFull { retry_after, .. } => ("audio_buffer_full", retry_after),
        SchedulerError::Engine(error) => return failed(JobError::from(error).into()),
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
        DeliveryError::Job(error @ (JobError::Engine(_) | JobError::Encode(_))) => {
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
