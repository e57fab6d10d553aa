//! HTTP: OpenAI's speech API, health, metrics, and the server that drains.

mod connection;
mod delivery;
mod errors;
mod health;
mod info;
pub mod lifecycle;
mod metrics;
mod openai;
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
use speech::Rules;

/// State shared by all handlers.
#[derive(Clone)]
struct App {
    scheduler: Scheduler,
    rules: Arc<Rules>,
    voices: Arc<Vec<info::ServedVoice>>,
    metrics: Metrics,
    lifecycle: Lifecycle,
    limits: Limits,
    budget: ReceiveBudget,
    workers: usize,
    max_audio_seconds: u64,
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
