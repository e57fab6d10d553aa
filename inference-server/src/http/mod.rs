//! HTTP: OpenAI's speech API, health, metrics, and the server that drains.

mod connection;
mod errors;
mod health;
mod info;
pub mod lifecycle;
mod metrics;
mod openapi;
mod request_id;
mod router;
pub mod serve;
mod speech;
mod voices;

pub use connection::{Deadlines, MAX_HEAD_BYTES};
pub use serve::{ServeConfig, ServeError, serve};

use std::sync::Arc;

use crate::scheduler::Scheduler;
use connection::budget::ReceiveBudget;
use lifecycle::Lifecycle;
use metrics::Metrics;
use speech::request::Rules;

/// State shared by all handlers.
#[derive(Clone)]
struct App {
    config: Arc<ServeConfig>,
    scheduler: Scheduler,
    rules: Arc<Rules>,
    metrics: Metrics,
    lifecycle: Lifecycle,
    budget: ReceiveBudget,
    started: std::time::SystemTime,
}

/// Limits of connections and requests.
#[derive(Clone, Copy, Debug)]
pub struct Limits {
    pub max_body_bytes: usize,
    /// Heads and bodies that are being received, all connections together.
    pub max_receive_bytes: usize,
    pub max_connections: usize,
    pub deadlines: Deadlines,
}
