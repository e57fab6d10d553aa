//! A request's work, as the queue and the workers pass it on.

use std::{
    collections::VecDeque,
    sync::{
        Arc,
        atomic::{AtomicBool, AtomicU64, AtomicUsize, Ordering},
    },
    time::{Duration, Instant},
};

use tokio::sync::mpsc;

use super::{JobError, Limits, Order, Update, response::Response};
use crate::{families::Chunk, voices::Voice};

/// What remains of a request's work.
#[derive(Debug)]
pub enum Work {
    /// The text was not read yet.
    Text { text: String, characters: usize },
    /// Chunks still to be synthesized.
    Chunks(VecDeque<Chunk>),
}

/// A request's work. It holds its voice: the voice may be replaced meanwhile.
#[derive(Debug)]
pub struct Job {
    pub client: Client,
    pub voice: Arc<Voice>,
    pub work: Work,
    pub speed: f32,
    pub response: Response,
    queued_at: Instant,
    /// Time before its service began; `None` until then.
    pub queue_wait: Option<Duration>,
}

/// Who waits for a request's audio.
#[derive(Debug)]
pub struct Client {
    /// Of the request.
    pub id: u64,
    left: Arc<AtomicBool>,
    reply: mpsc::UnboundedSender<Result<Update, JobError>>,
    pub ahead: Arc<Ahead>,
}

/// There is no client any more.
#[derive(Debug)]
pub struct ClientLeft;

impl Client {
    pub fn has_left(&self) -> bool {
        self.left.load(Ordering::Acquire)
    }

    pub fn send(&self, update: Update) -> Result<(), ClientLeft> {
        self.reply.send(Ok(update)).map_err(|_| ClientLeft)
    }

    /// Tells the client, if it is still there, why the request failed.
    pub fn fail(self, error: JobError) {
        let _ = self.reply.send(Err(error));
    }
}

impl Job {
    pub fn new(
        id: u64,
        order: Order,
        left: Arc<AtomicBool>,
        reply: mpsc::UnboundedSender<Result<Update, JobError>>,
    ) -> Self {
        Self {
            client: Client {
                id,
                left,
                reply,
                ahead: Arc::default(),
            },
            response: Response::new(order.format, order.voice.sample_rate(), order.sample_rate),
            voice: order.voice,
            work: Work::Text {
                characters: order.text.chars().count(),
                text: order.text,
            },
            speed: order.speed,
            queued_at: Instant::now(),
            queue_wait: None,
        }
    }

    /// Estimated service time of all that remains, in seconds of one worker.
    pub fn service_seconds(&self) -> f64 {
        let costs = &self.voice.costs;
        match &self.work {
            Work::Text { characters, .. } => costs.service_of_text(*characters, self.speed),
            Work::Chunks(chunks) => {
                costs.service_of_audio(chunks.iter().map(|chunk| chunk.seconds).sum())
            }
        }
    }

    pub fn is_done(&self) -> bool {
        matches!(&self.work, Work::Chunks(chunks) if chunks.is_empty())
    }

    /// The bucket of its next chunk; `None` if its text was not read yet.
    pub fn bucket(&self) -> Option<u32> {
        match &self.work {
            Work::Text { .. } => None,
            Work::Chunks(chunks) => chunks.front().map(|chunk| chunk.bucket),
        }
    }

    /// The time before its service began, which is now at the latest.
    pub fn begin_service(&mut self) -> Duration {
        *self
            .queue_wait
            .get_or_insert_with(|| self.queued_at.elapsed())
    }
}

/// How far a request's synthesis is ahead of its client: audio that was not sent yet.
#[derive(Debug, Default)]
pub struct Ahead {
    bytes: AtomicUsize,
    microseconds: AtomicU64,
}

impl Ahead {
    pub fn add(&self, amount: Amount) {
        self.bytes.fetch_add(amount.bytes, Ordering::AcqRel);
        self.microseconds
            .fetch_add(amount.microseconds, Ordering::AcqRel);
    }

    pub fn remove(&self, amount: Amount) {
        self.bytes.fetch_sub(amount.bytes, Ordering::AcqRel);
        self.microseconds
            .fetch_sub(amount.microseconds, Ordering::AcqRel);
    }

    /// Whether the request has to pause.
    pub fn is_at_limit(&self, limits: &Limits) -> bool {
        let ahead = Duration::from_micros(self.microseconds.load(Ordering::Acquire));
        self.bytes.load(Ordering::Acquire) >= limits.request_buffer || ahead >= limits.request_ahead
    }
}

/// An amount of encoded audio.
#[derive(Clone, Copy, Debug)]
pub struct Amount {
    pub bytes: usize,
    pub microseconds: u64,
}
