//! Probes. Alive: no worker is lost. Started: each voice is loaded and has produced audio. Ready: started, not draining, and
//! no worker is being restarted. A full queue does not make a pod unready: its clients would then overload the other pods.

use axum::extract::State;
use http::StatusCode;

use super::{App, lifecycle::Stage};

pub async fn live(State(app): State<App>) -> (StatusCode, String) {
    match app.scheduler.lost_workers() {
        0 => (StatusCode::OK, "alive\n".to_owned()),
        lost => (
            StatusCode::INTERNAL_SERVER_ERROR,
            format!("{lost} of {} workers are lost\n", app.workers),
        ),
    }
}

pub async fn startup(State(app): State<App>) -> (StatusCode, &'static str) {
    if app.lifecycle.stage() == Stage::Starting {
        (StatusCode::SERVICE_UNAVAILABLE, "loading voices\n")
    } else {
        (StatusCode::OK, "started\n")
    }
}

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
