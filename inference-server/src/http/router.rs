//! Paths, and what applies to every request: its id, log line, metrics, and `connection: close` while draining.

use std::time::Instant;

use axum::{
    Router,
    extract::{Request, State},
    middleware::{self, Next},
    response::Response,
    routing::{get, post},
};
use http::{HeaderValue, StatusCode, header};
use tracing::Instrument;

use super::{
    App, errors, health, info,
    lifecycle::Stage,
    metrics::{self, Metrics},
    openai, request_id, voices,
};

pub fn router(app: App) -> Router {
    probes()
        .route("/v1/audio/speech", post(openai::speech))
        .route("/v1/audio/voices", get(voices::voices))
        .route("/v1/models", get(voices::models))
        .route("/v1/models/{id}", get(voices::one_model))
        .route("/info", get(info::info))
        .fallback(errors::no_such_path)
        .method_not_allowed_fallback(errors::no_such_method)
        .layer(middleware::from_fn_with_state(app.clone(), surround))
        .with_state(app)
}

/// For connections beyond the limit: probes and metrics, one request per connection.
pub fn reserved(app: App) -> Router {
    probes()
        .fallback(errors::too_many_connections)
        .layer(middleware::map_response(close))
        .layer(middleware::from_fn_with_state(app.clone(), surround))
        .with_state(app)
}

fn probes() -> Router<App> {
    Router::new()
        .route("/livez", get(health::live))
        .route("/readyz", get(health::ready))
        .route("/startupz", get(health::startup))
        .route("/metrics", get(metrics::metrics))
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
    if app.lifecycle.stage() >= Stage::Draining {
        // Clients behind kube-proxy keep their connections to this pod after it is no longer an endpoint: each
        // is asked to close with its next response.
        response
            .headers_mut()
            .insert(header::CONNECTION, HeaderValue::from_static("close"));
    }
    response
}
