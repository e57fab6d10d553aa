//! Receives the body of a speech request, within the limits.

use std::time::Duration;

use axum::body::Body;
use http::{HeaderMap, StatusCode, header};
use http_body::Body as _;
use http_body_util::BodyExt;

use crate::http::{App, connection::budget::Share, errors::ApiError};

pub fn check_content_type(headers: &HeaderMap) -> Result<(), ApiError> {
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
pub struct Received {
    pub bytes: Vec<u8>,
    _share: Share,
}

pub async fn read_body(body: Body, app: &App) -> Result<Received, ApiError> {
    let limit = app.config.limits.deadlines.body;
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
    let limit = app.config.limits.max_body_bytes;
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
