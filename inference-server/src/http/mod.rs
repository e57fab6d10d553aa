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

pub use serve::{ServeConfig, ServeError, serve};

use std::sync::Arc;

use crate::scheduler::Scheduler;
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
    workers: usize,
    started: std::time::SystemTime,
}

/// Limits of connections and request bodies.
#[derive(Clone, Copy, Debug)]
pub struct Limits {
    pub max_body_bytes: usize,
    pub body_timeout: std::time::Duration,
    pub header_timeout: std::time::Duration,
    pub write_timeout: std::time::Duration,
    pub keep_alive: std::time::Duration,
    pub max_connections: usize,
}

impl Default for Limits {
    fn default() -> Self {
        use std::time::Duration;
        Self {
            // 4096 characters as JSON escapes of surrogate pairs are 48 KiB; the rest leaves room for other fields, and for
            // the more specific error for a text that is too long.
            max_body_bytes: 1024 * 1024,
            body_timeout: Duration::from_secs(10),
            header_timeout: Duration::from_secs(10),
            write_timeout: Duration::from_secs(30),
            // Above the 60 s and 75 s that proxies keep idle connections for: the client should close first, or its next
            // request meets a closing connection.
            keep_alive: Duration::from_secs(90),
            max_connections: 1024,
        }
    }
}
