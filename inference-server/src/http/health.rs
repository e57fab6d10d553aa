//! Probes. A full queue does not make a pod unready: its clients would then overload the other pods.

use axum::extract::State;
use http::StatusCode;

use super::{App, lifecycle::Stage};

/// Alive: no worker is lost.
#[utoipa::path(get, path = "/livez", tag = "probes", responses((status = 200, description = "Yes.", body = String), (status = 500, description = "No.", body = String)))]
pub async fn live(State(app): State<App>) -> (StatusCode, String) {
    match app.scheduler.lost_workers() {
        0 => (StatusCode::OK, "alive\n".to_owned()),
        lost => (
            StatusCode::INTERNAL_SERVER_ERROR,
            format!("{lost} of {} workers are lost\n", app.config.work.workers),
        ),
    }
}

/// Started: each voice has produced audio.
#[utoipa::path(get, path = "/startupz", tag = "probes", responses((status = 200, description = "Yes.", body = String), (status = 503, description = "No.", body = String)))]
pub async fn startup(State(app): State<App>) -> (StatusCode, &'static str) {
    if app.lifecycle.stage() == Stage::Starting {
        (StatusCode::SERVICE_UNAVAILABLE, "loading voices\n")
    } else {
        (StatusCode::OK, "started\n")
    }
}

/// Ready: started, not draining, and no worker is being restarted.
#[utoipa::path(get, path = "/readyz", tag = "probes", responses((status = 200, description = "Yes.", body = String), (status = 503, description = "No.", body = String)))]
pub async fn ready(State(app): State<App>) -> (StatusCode, &'static str) {
    match app.lifecycle.stage() {
        Stage::Starting => (StatusCode::SERVICE_UNAVAILABLE, "loading voices\n"),
        Stage::Ready if app.scheduler.restarting_workers() + app.scheduler.lost_workers() > 0 => (
            StatusCode::SERVICE_UNAVAILABLE,
            "a worker is being restarted\n",
        ),
        Stage::Ready => (StatusCode::OK, "ready\n"),
        Stage::Draining | Stage::Closing => (StatusCode::SERVICE_UNAVAILABLE, "draining\n"),
    }
}
