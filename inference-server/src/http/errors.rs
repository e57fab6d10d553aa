//! Errors in OpenAI's format: `{"error":{"message","type","param","code"}}`, with all four fields always present.

use std::time::Duration;

use axum::response::{IntoResponse, Response};
use http::{HeaderName, HeaderValue, StatusCode, header};
use serde::Serialize;
use utoipa::ToSchema;

use super::speech::rejection::RequestError;

pub const RETRY_AFTER_MS: HeaderName = HeaderName::from_static("retry-after-ms");
pub const SHOULD_RETRY: HeaderName = HeaderName::from_static("x-should-retry");

/// The body of an error response, as OpenAI's.
#[derive(Serialize, ToSchema)]
pub struct ErrorBody {
    error: ErrorDetail,
}

#[derive(Serialize, ToSchema)]
struct ErrorDetail {
    /// What was wrong, and what to do.
    message: String,
    /// OpenAI's name for the kind of error.
    #[schema(value_type = String, example = "invalid_request_error")]
    r#type: &'static str,
    /// The invalid field.
    #[schema(value_type = Option<String>, required)]
    param: Option<&'static str>,
    /// A name for programs.
    #[schema(value_type = String, example = "input_too_long")]
    code: &'static str,
}

/// An error response.
#[derive(Debug)]
pub struct ApiError {
    pub status: StatusCode,
    pub message: String,
    pub param: Option<&'static str>,
    pub code: &'static str,
    /// When to retry; `None` if a retry cannot succeed.
    pub retry_after: Option<Duration>,
}

impl ApiError {
    /// An invalid request; a retry cannot succeed.
    pub fn invalid(
        code: &'static str,
        param: Option<&'static str>,
        message: impl Into<String>,
    ) -> Self {
        Self {
            status: StatusCode::BAD_REQUEST,
            message: message.into(),
            param,
            code,
            retry_after: None,
        }
    }

    #[must_use]
    pub fn with_status(mut self, status: StatusCode) -> Self {
        self.status = status;
        self
    }

    /// A temporary condition of the server.
    pub fn unavailable(
        code: &'static str,
        message: impl Into<String>,
        retry_after: Duration,
    ) -> Self {
        Self {
            status: StatusCode::SERVICE_UNAVAILABLE,
            message: message.into(),
            param: None,
            code,
            retry_after: Some(retry_after),
        }
    }

    fn kind(&self) -> &'static str {
        match self.status {
            StatusCode::TOO_MANY_REQUESTS => "rate_limit_error",
            status if status.is_server_error() => "server_error",
            _ => "invalid_request_error",
        }
    }
}

impl From<RequestError> for ApiError {
    fn from(error: RequestError) -> Self {
        Self::invalid(error.code(), error.param(), error.to_string()).with_status(error.status())
    }
}

impl IntoResponse for ApiError {
    fn into_response(self) -> Response {
        let body = ErrorBody {
            error: ErrorDetail {
                r#type: self.kind(),
                message: self.message,
                param: self.param,
                code: self.code,
            },
        };
        let mut response = (self.status, axum::Json(body)).into_response();
        let headers = response.headers_mut();
        if let Some(after) = self.retry_after {
            let milliseconds = u64::try_from(after.as_millis()).unwrap_or(u64::MAX);
            headers.insert(
                header::RETRY_AFTER,
                HeaderValue::from(milliseconds.div_ceil(1000).max(1)),
            );
            headers.insert(RETRY_AFTER_MS, HeaderValue::from(milliseconds));
        } else {
            // OpenAI's clients retry 408, 409 and every 5xx unless a header says otherwise.
            headers.insert(SHOULD_RETRY, HeaderValue::from_static("false"));
        }
        response
    }
}

/// 503 for an API request on a connection beyond the limit.
pub async fn too_many_connections() -> ApiError {
    ApiError::unavailable(
        "too_many_connections",
        "too many connections are open; retry",
        Duration::from_secs(1),
    )
}

/// 404 for a path that does not exist.
pub async fn no_such_path(uri: http::Uri) -> ApiError {
    ApiError::invalid(
        "unknown_url",
        None,
        format!("unknown path {}; use POST /v1/audio/speech to synthesize speech, GET /v1/audio/voices to list the voices", uri.path()),
    )
    .with_status(StatusCode::NOT_FOUND)
}

/// 405 for a path that exists.
pub async fn no_such_method(method: http::Method, uri: http::Uri) -> ApiError {
    ApiError::invalid(
        "method_not_allowed",
        None,
        format!(
            "{} does not support {method}; the Allow header lists the supported methods",
            uri.path()
        ),
    )
    .with_status(StatusCode::METHOD_NOT_ALLOWED)
}
