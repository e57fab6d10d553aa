//! Probes and metrics over HTTP.
use std::{
    net::{IpAddr, Ipv4Addr, Ipv6Addr, SocketAddr},
    sync::Arc,
};

use axum::{Router, extract::State, http::StatusCode, response::IntoResponse, routing::get};
use tokio::net::TcpListener;
use tokio_util::sync::CancellationToken;

use crate::{health::Health, metrics::Metrics};

#[derive(Clone)]
struct Shared {
    health: Health,
    metrics: Arc<Metrics>,
}

fn router(health: Health, metrics: Arc<Metrics>) -> Router {
    Router::new()
        // Reports only that the process responds: a restart does not fix an unreachable API server.
        .route("/livez", get(async || "ok"))
        .route("/readyz", get(readyz))
        .route("/metrics", get(scrape))
        .with_state(Shared { health, metrics })
}

async fn readyz(State(shared): State<Shared>) -> impl IntoResponse {
    let report = shared.health.report();
    let status = if report.ready {
        StatusCode::OK
    } else {
        StatusCode::SERVICE_UNAVAILABLE
    };
    (status, report.text)
}

async fn scrape(State(shared): State<Shared>) -> impl IntoResponse {
    match shared.metrics.encode() {
        Ok(body) => ([("content-type", prometheus::TEXT_FORMAT)], body).into_response(),
        Err(error) => {
            tracing::error!(%error, "failed to encode the metrics");
            StatusCode::INTERNAL_SERVER_ERROR.into_response()
        }
    }
}

/// Binds a listener to `address`. The unspecified IPv6 address includes IPv4; a machine without IPv6
/// binds to IPv4 only.
pub async fn bind(address: SocketAddr) -> std::io::Result<TcpListener> {
    match TcpListener::bind(address).await {
        Err(_) if address.ip() == IpAddr::V6(Ipv6Addr::UNSPECIFIED) => {
            TcpListener::bind((Ipv4Addr::UNSPECIFIED, address.port())).await
        }
        result => result,
    }
}

/// Serves until `shutdown`.
pub async fn serve(
    listener: TcpListener,
    health: Health,
    metrics: Arc<Metrics>,
    shutdown: CancellationToken,
) -> std::io::Result<()> {
    axum::serve(listener, router(health, metrics))
        .with_graceful_shutdown(shutdown.cancelled_owned())
        .await
}
