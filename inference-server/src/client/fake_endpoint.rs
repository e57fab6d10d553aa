//! A speech endpoint whose answers a test decides.

use std::sync::{Arc, Mutex, PoisonError};

use axum::{
    Router,
    body::{Body, Bytes},
    extract::{Request, State},
    response::Response,
};
use http::{HeaderMap, header};
use tokio::{net::TcpListener, sync::mpsc, task::JoinHandle};

use super::wav;

/// 16-bit samples, one channel.
pub(super) const RATE: u32 = 16_000;

/// What a request said.
#[derive(Clone, Debug)]
pub(super) struct Received {
    pub(super) path: String,
    pub(super) headers: HeaderMap,
    pub(super) body: serde_json::Value,
}

type Answers = Arc<dyn Fn(usize, &Received) -> Response + Send + Sync>;

/// Ends when it is dropped.
pub(super) struct FakeEndpoint {
    pub(super) url: String,
    received: Arc<Mutex<Vec<Received>>>,
    server: JoinHandle<()>,
}

impl FakeEndpoint {
    /// `answers`: to the number of a request, from 0, and what it said.
    pub(super) async fn start(
        answers: impl Fn(usize, &Received) -> Response + Send + Sync + 'static,
    ) -> Self {
        let listener = TcpListener::bind("127.0.0.1:0").await.unwrap();
        let url = format!("http://{}", listener.local_addr().unwrap());
        let received = Arc::default();
        let answers: Answers = Arc::new(answers);
        let router = Router::new()
            .fallback(answer)
            .with_state((answers, Arc::clone(&received)));
        let server = tokio::spawn(async move { axum::serve(listener, router).await.unwrap() });
        Self {
            url,
            received,
            server,
        }
    }

    /// The requests so far.
    pub(super) fn received(&self) -> Vec<Received> {
        let received = self.received.lock();
        received.unwrap_or_else(PoisonError::into_inner).clone()
    }
}

impl Drop for FakeEndpoint {
    fn drop(&mut self) {
        self.server.abort();
    }
}

async fn answer(
    State((answers, received)): State<(Answers, Arc<Mutex<Vec<Received>>>)>,
    request: Request,
) -> Response {
    let (parts, body) = request.into_parts();
    let body = axum::body::to_bytes(body, usize::MAX).await.unwrap();
    let request = Received {
        path: parts.uri.to_string(),
        headers: parts.headers,
        body: serde_json::from_slice(&body).unwrap(),
    };
    let number = {
        let mut received = received.lock().unwrap_or_else(PoisonError::into_inner);
        received.push(request.clone());
        received.len() - 1
    };
    answers(number, &request)
}

/// Samples of a tone so many seconds long.
pub(super) fn tone(seconds: f64) -> Vec<u8> {
    #[expect(
        clippy::cast_possible_truncation,
        clippy::cast_sign_loss,
        reason = "a short tone"
    )]
    let samples = (seconds * f64::from(RATE)) as usize;
    [8000_i16, -8000]
        .iter()
        .cycle()
        .take(samples)
        .flat_map(|sample| sample.to_le_bytes())
        .collect()
}

/// The header of a stream.
pub(super) fn stream_header() -> Vec<u8> {
    wav::header(1, RATE, 16, u32::MAX)
}

pub(super) fn wav(samples: &[u8]) -> Response {
    let body = [&stream_header(), samples].concat();
    with_type("audio/wav", body.into())
}

pub(super) fn with_type(content_type: &str, body: Body) -> Response {
    Response::builder()
        .header(header::CONTENT_TYPE, content_type)
        .body(body)
        .unwrap()
}

pub(super) fn status(status: u16, body: &str) -> Response {
    Response::builder()
        .status(status)
        .body(body.to_owned().into())
        .unwrap()
}

/// What a test sends into a body; an error ends it before its end.
pub(super) type Chunk = Result<Bytes, &'static str>;

/// A body of the chunks that are sent, each when it is sent.
pub(super) fn chunks() -> (mpsc::Sender<Chunk>, Body) {
    let (sender, receiver) = mpsc::channel::<Chunk>(1);
    let stream = futures::stream::unfold(receiver, |mut receiver| async move {
        let chunk = receiver.recv().await?;
        Some((chunk, receiver))
    });
    (sender, Body::from_stream(stream))
}
