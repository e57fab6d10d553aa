//! Paths, and what applies to every request: its id, log line, metrics, and `connection: close` while draining.

use std::time::Instant;

use axum::{
    Extension, Router,
    extract::{Request, State},
    middleware::{self, Next},
    response::Response,
};
use http::{HeaderValue, StatusCode, header};
use tracing::Instrument;
use utoipa::OpenApi as _;
use utoipa_axum::{router::OpenApiRouter, routes};

use super::{
    App, errors, health, info,
    lifecycle::Stage,
    metrics::{self, Metrics},
    openapi::{self, Description, Document},
    request_id, speech, voices,
};

/// The API, and the document that describes it.
///
/// # Errors
/// When the document cannot be written as JSON.
pub fn router(app: App) -> serde_json::Result<Router> {
    let (router, document) = OpenApiRouter::with_openapi(Description::openapi())
        .merge(probes())
        .routes(routes!(speech::speech))
        .routes(routes!(voices::voices))
        .routes(routes!(voices::models))
        .routes(routes!(voices::one_model))
        .routes(routes!(info::info))
        .routes(routes!(openapi::openapi))
        .split_for_parts();
    Ok(router
        .layer(Extension(Document::new(&document)?))
        .fallback(errors::no_such_path)
        .method_not_allowed_fallback(errors::no_such_method)
        .layer(middleware::from_fn_with_state(app.clone(), surround))
        .with_state(app))
}

/// For connections beyond the limit: probes and metrics, one request per connection.
pub fn reserved(app: App) -> Router {
    let (router, _) = probes().split_for_parts();
    router
        .fallback(errors::too_many_connections)
        .layer(middleware::map_response(close))
        .layer(middleware::from_fn_with_state(app.clone(), surround))
        .with_state(app)
}

fn probes() -> OpenApiRouter<App> {
    OpenApiRouter::new()
        .routes(routes!(health::live))
        .routes(routes!(health::ready))
        .routes(routes!(health::startup))
        .routes(routes!(metrics::metrics))
}

async fn close(mut response: Response) -> Response {
    let close = HeaderValue::from_static("close");
    response.headers_mut().insert(header::CONNECTION, close);
    response
}

/// Counts a request whose client disconnects before the response.
struct Counted {
    metrics: Metrics,
    answered: bool,
}

impl Drop for Counted {
    fn drop(&mut self) {
        if !self.answered {
            // nginx's status code for this case.
            self.metrics.requests.with_label_values(&["499"]).inc();
        }
    }
}

async fn surround(State(app): State<App>, request: Request, next: Next) -> Response {
    let started = Instant::now();
    let id = request_id::request_id(request.headers().get(request_id::REQUEST_ID));
    let method = request.method().clone();
    let path = request.uri().path().to_owned();
    let is_api = path.starts_with("/v1/");
    let span = tracing::info_span!("request", id = %id);
    let mut counted = is_api.then(|| Counted {
        metrics: app.metrics.clone(),
        answered: false,
    });

    let mut response = next.run(request).instrument(span.clone()).await;

    let status = response.status();
    if let Some(counted) = &mut counted {
        counted.answered = true;
        app.metrics
            .requests
            .with_label_values(&[status.as_str()])
            .inc();
    }
    let milliseconds = started.elapsed().as_secs_f64() * 1000.0;
    span.in_scope(|| {
        // Probes arrive every few seconds, rejections by the thousand when they arrive at all: both are counted, and logged at
        // `debug` only.
        if is_api && status != StatusCode::TOO_MANY_REQUESTS {
            tracing::info!(%method, path, status = status.as_u16(), milliseconds, "answered");
        } else {
            tracing::debug!(%method, path, status = status.as_u16(), milliseconds, "answered");
        }
    });
    if let Ok(id) = HeaderValue::from_str(&id) {
        response.headers_mut().insert(request_id::REQUEST_ID, id);
    }
    // A response that upgrades its connection has a `connection` header of its own.
    if app.lifecycle.stage() >= Stage::Draining && status != StatusCode::SWITCHING_PROTOCOLS {
        // Clients behind kube-proxy keep their connections to this pod after it is no longer an endpoint: each
        // is asked to close with its next response.
        response
            .headers_mut()
            .insert(header::CONNECTION, HeaderValue::from_static("close"));
    }
    response
}
