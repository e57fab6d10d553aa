//! Requests at a steady rate, whatever the answers take, and an account of each of them.
use std::{
    collections::BTreeMap,
    time::{Duration, Instant},
};

use serde::{Deserialize, Serialize};
use serde_json::json;
use tokio::{sync::mpsc, time::interval};

use crate::speech::Speech;

/// Below the shortest keep-alive of common clients (five seconds), so that connections are kept and reused.
const IDLE: Duration = Duration::from_secs(4);
const ANSWER: Duration = Duration::from_secs(20);
/// No text of ours is spoken in less.
const SHORTEST: f64 = 0.2;

/// Short texts, as an assistant says them.
const TEXTS: [&str; 8] = [
    "Yes.",
    "Good morning.",
    "One moment, please.",
    "The door is open.",
    "It is raining.",
    "Turn left here.",
    "You have two messages.",
    "Thank you, goodbye.",
];

/// What to send, bounded in number.
#[derive(Clone, Debug)]
pub struct Load {
    pub url: String,
    pub voice: String,
    pub per_second: u32,
    pub most: u64,
}

/// What came back. Every request is in `ok` or in `failures`, once.
#[derive(Clone, Debug, Default, PartialEq, Serialize, Deserialize)]
pub struct Counts {
    pub sent: u64,
    pub ok: u64,
    /// By cause, with how often.
    pub failures: BTreeMap<String, u64>,
    pub seconds: f64,
    pub slowest_ms: u64,
    pub median_ms: u64,
}

impl Load {
    /// Sends until `stop` comes, or until all are sent; then waits for the answers that are due. Nothing is tried
    /// again: neither by us nor by the client below us.
    pub async fn run(&self, stop: impl Future<Output = ()>) -> reqwest::Result<Counts> {
        let client = reqwest::Client::builder()
            .retry(reqwest::retry::never())
            .pool_idle_timeout(IDLE)
            .timeout(ANSWER)
            .build()?;
        let (sender, mut answers) = mpsc::unbounded_channel();
        let start = Instant::now();
        let mut ticks = interval(Duration::from_secs(1) / self.per_second.max(1));
        tokio::pin!(stop);
        let mut counts = Counts::default();
        for text in TEXTS.iter().cycle() {
            tokio::select! {
                biased;
                () = &mut stop => break,
                _ = ticks.tick() => {}
            }
            if counts.sent == self.most {
                break;
            }
            counts.sent += 1;
            let request = client
                .post(format!("{}/v1/audio/speech", self.url))
                .header("content-type", "application/json")
                .body(
                    json!({"model": "tts-1", "voice": self.voice, "input": text, "response_format": "wav"})
                        .to_string(),
                );
            let sender = sender.clone();
            tokio::spawn(async move {
                let sent = Instant::now();
                // Nobody receives any more only when the run itself was dropped.
                let _ = sender.send((answer(request).await, sent.elapsed()));
            });
        }
        drop(sender);

        let mut took = Vec::new();
        while let Some((answer, elapsed)) = answers.recv().await {
            match answer {
                Ok(()) => {
                    counts.ok += 1;
                    took.push(u64::try_from(elapsed.as_millis()).unwrap_or(u64::MAX));
                }
                Err(cause) => *counts.failures.entry(cause).or_default() += 1,
            }
        }
        took.sort_unstable();
        counts.seconds = start.elapsed().as_secs_f64();
        counts.slowest_ms = took.last().copied().unwrap_or_default();
        counts.median_ms = took.get(took.len() / 2).copied().unwrap_or_default();
        Ok(counts)
    }
}

/// A whole body of audible speech, or why not.
async fn answer(request: reqwest::RequestBuilder) -> Result<(), String> {
    let response = request.send().await.map_err(|error| cause(&error))?;
    let status = response.status();
    if !status.is_success() {
        return Err(format!("status {}", status.as_u16()));
    }
    let body = response.bytes().await.map_err(|error| cause(&error))?;
    match Speech::read(body.to_vec()) {
        Ok(speech) if speech.seconds >= SHORTEST => Ok(()),
        Ok(speech) => Err(format!("only {:.2} s of speech", speech.seconds)),
        Err(error) => Err(format!("body: {error:#}")),
    }
}

fn cause(error: &reqwest::Error) -> String {
    use std::error::Error as _;
    let mut source = error.source();
    let mut text = String::new();
    // The innermost says it: "connection reset by peer" rather than "error sending request".
    while let Some(inner) = source {
        text = inner.to_string();
        source = inner.source();
    }
    let kind = if error.is_timeout() {
        "timeout"
    } else if error.is_connect() {
        "connect"
    } else if error.is_body() || error.is_decode() {
        "aborted body"
    } else {
        "aborted"
    };
    format!("{kind}: {text}")
}

#[cfg(test)]
mod tests {
    use axum::{Router, http::StatusCode, routing::post};

    use super::*;

    /// Every third request is refused; the run has to say so, and must not try again.
    #[tokio::test]
    async fn each_request_is_counted_once() {
        let _ = rustls::crypto::ring::default_provider().install_default();
        let seen = std::sync::Arc::new(std::sync::atomic::AtomicU64::new(0));
        let counter = seen.clone();
        let router = Router::new().route(
            "/v1/audio/speech",
            post(move || {
                let number = counter.fetch_add(1, std::sync::atomic::Ordering::Relaxed);
                async move {
                    match number % 3 {
                        0 => (StatusCode::TOO_MANY_REQUESTS, Vec::new()),
                        _ => (StatusCode::OK, b"RIFF".to_vec()),
                    }
                }
            }),
        );
        let listener = tokio::net::TcpListener::bind("127.0.0.1:0").await.unwrap();
        let load = Load {
            url: format!("http://{}", listener.local_addr().unwrap()),
            voice: "rms".to_owned(),
            per_second: 200,
            most: 30,
        };
        tokio::spawn(async move { axum::serve(listener, router).await });
        let counts = load.run(std::future::pending()).await.unwrap();
        assert_eq!((counts.sent, counts.ok), (30, 0));
        assert_eq!(counts.failures["status 429"], 10);
        assert_eq!(counts.failures.values().sum::<u64>(), 30);
        assert_eq!(seen.load(std::sync::atomic::Ordering::Relaxed), 30);
    }
}
