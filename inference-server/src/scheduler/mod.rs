//! Admission, the queue and the workers.
//!
//! The number of requests that are work, waiting or in service, is limited; further ones are rejected before their text is
//! read. Requests take turns: a request goes back to the end of the queue after each run, so that a short text does not wait
//! for the whole of a long one. Audio that was synthesized and not sent yet is limited in bytes: a request at its own limit
//! pauses and is no work until its client reads on, so that no worker waits for a client; at the limit of all together, new
//! requests are rejected and the slowest readers are cut off. A cancelled request leaves the queue at once.

mod buffer;
mod job;
mod policy;
mod queue;
mod response;
mod turn;
pub mod worker;

use std::{
    sync::{
        Arc, Mutex, MutexGuard, PoisonError,
        atomic::{AtomicBool, Ordering},
    },
    time::Duration,
};

use bytes::Bytes;
use tokio::sync::mpsc;
use tokio_util::sync::CancellationToken;

use crate::{
    audio::{EncodeError, Format},
    engine::EngineError,
    families::Stage,
    text::TextError,
    voices::{Voice, VoiceError},
};
pub use buffer::Buffered;
use job::Job;
use queue::Queue;

/// What is limited.
#[derive(Clone, Copy, Debug)]
pub struct Limits {
    /// Runs at the same time.
    pub workers: usize,
    /// Requests that may wait in addition to those in service.
    pub waiting: usize,
    /// Longest audio of one request, in seconds.
    pub max_audio_seconds: u64,
    /// Bytes of unsent audio at which a request pauses.
    pub request_buffer: usize,
    /// Duration of unsent audio at which a request pauses.
    pub request_ahead: Duration,
    /// Bytes of unsent audio of all requests at which new ones are rejected.
    pub total_buffer: usize,
    /// Time after which a run is cancelled.
    pub run_timeout: Duration,
    /// Age of its oldest unsent audio at which a request is cut off while the common limit is reached.
    pub slow_reader: Duration,
}

/// What is to be spoken, and how it is encoded.
#[derive(Clone, Debug)]
pub struct Order {
    pub voice: Arc<Voice>,
    pub text: String,
    pub speed: f32,
    pub format: Format,
    /// Of the response, in Hz.
    pub sample_rate: u32,
}

/// What a worker sends back.
#[derive(Debug)]
pub enum Update {
    /// The text was read; first, and once.
    Read(ReadText),
    /// Encoded audio, in order.
    Audio(Audio),
    /// The audio of a run is complete.
    Run(RunReport),
    /// The audio is complete; last, and once.
    Done,
}

/// What is known of a request once its text was read.
#[derive(Debug, PartialEq, Eq)]
pub struct ReadText {
    /// Whether the audio comes in one piece.
    pub whole: bool,
    /// Skipped characters with no spoken form, each once.
    pub skipped: Vec<char>,
    /// What reading it took, by stage.
    pub stages: Vec<Stage>,
}

/// Bytes of the response.
#[derive(Debug)]
pub struct Audio {
    pub bytes: Bytes,
    /// Counts the bytes as unsent until it is dropped.
    pub buffered: Buffered,
}

/// What one run took.
#[derive(Clone, Copy, Debug)]
pub struct RunReport {
    /// Seconds of audio that the model produced.
    pub audio_seconds: f64,
    /// Between the request's arrival in the queue and the start of its service.
    pub queue_wait: Duration,
    /// Duration of the model's run.
    pub synthesis: Duration,
    /// Duration of resampling and encoding.
    pub encoding: Duration,
    /// Samples that were beyond full scale.
    pub clipped: u64,
}

impl RunReport {
    /// What the run took, by stage.
    pub fn stages(&self) -> [Stage; 2] {
        [("model", self.synthesis), ("codec", self.encoding)]
            .map(|(name, took)| Stage { name, took })
    }
}

/// Why a request failed after it was admitted.
#[derive(Debug, thiserror::Error)]
pub enum JobError {
    #[error(transparent)]
    Text(#[from] TextError),
    #[error(
        "input would produce about {found} seconds of audio at this speed, the limit is {limit}; split it into several requests"
    )]
    TooMuchAudio { found: u64, limit: u64 },
    #[error("the text produced more than {limit} seconds of audio; split it into several requests")]
    TooLong { limit: u64 },
    #[error(transparent)]
    Engine(#[from] EngineError),
    #[error(transparent)]
    Voice(#[from] VoiceError),
    #[error("the audio could not be encoded: {0}")]
    Encode(#[from] EncodeError),
}

/// Why a request was not admitted.
#[derive(Debug, thiserror::Error)]
pub enum SchedulerError {
    #[error("all workers are busy and {waiting} requests are queued; retry in {} ms", retry_after.as_millis())]
    QueueFull {
        waiting: usize,
        retry_after: Duration,
    },
    #[error("{bytes} bytes of audio wait for clients that read slowly; retry in {} ms", retry_after.as_millis())]
    BufferFull { bytes: usize, retry_after: Duration },
}

/// Admits requests to the queue.
#[derive(Clone, Debug)]
pub struct Scheduler {
    queue: Arc<Queue>,
}

impl Scheduler {
    /// A scheduler with these limits. The workers are started separately.
    pub fn new(limits: Limits) -> Self {
        Self {
            queue: Arc::new(Queue::new(limits)),
        }
    }

    /// Whether a request would be admitted now.
    ///
    /// # Errors
    /// As for [`Self::submit`].
    pub fn check(&self) -> Result<(), SchedulerError> {
        self.queue.check()
    }

    /// Admits a request or rejects it at once. Dropping the ticket cancels the request.
    ///
    /// # Errors
    /// When all places are taken, or too much audio is unsent.
    pub fn submit(&self, order: Order) -> Result<Ticket, SchedulerError> {
        let (reply, updates) = mpsc::unbounded_channel();
        let left = Arc::new(AtomicBool::new(false));
        let evicted = CancellationToken::new();
        let id = self
            .queue
            .admit(&evicted, |id| Job::new(id, order, Arc::clone(&left), reply))?;
        Ok(Ticket {
            id,
            left,
            queue: Arc::clone(&self.queue),
            updates,
            evicted,
        })
    }

    /// Requests that are work: waiting or in service.
    pub fn in_flight(&self) -> usize {
        self.queue.in_flight()
    }

    /// Requests that are no work at the moment: their audio is being sent.
    pub fn delivering(&self) -> usize {
        self.queue.delivering()
    }

    /// Requests that wait for a worker.
    pub fn waiting(&self) -> usize {
        self.queue.waiting()
    }

    /// Bytes of audio that were synthesized and not sent yet.
    pub fn unsent_bytes(&self) -> usize {
        self.queue.unsent_bytes()
    }

    /// Number of workers that failed and load their voices again.
    pub fn restarting_workers(&self) -> usize {
        self.queue.restarting_workers()
    }

    /// Number of workers that do not come back: they could not be restarted, or a run does not end.
    pub fn lost_workers(&self) -> usize {
        self.queue.lost_workers()
    }

    /// Cancels runs that exceed their time limit; to be called regularly.
    pub fn cancel_overdue(&self) {
        self.queue.cancel_overdue();
    }

    /// Stops the workers once the queue is empty.
    pub fn close(&self) {
        self.queue.close();
    }

    /// Drops all requests, cancels all runs, and waits until the workers have ended: a process that ends while ONNX Runtime
    /// is in use may crash. False if they did not end within this time. Blocks the thread.
    pub fn stop(&self, limit: Duration) -> bool {
        self.queue.stop(limit)
    }
}

/// An admitted request.
#[derive(Debug)]
pub struct Ticket {
    id: u64,
    left: Arc<AtomicBool>,
    queue: Arc<Queue>,
    updates: mpsc::UnboundedReceiver<Result<Update, JobError>>,
    evicted: CancellationToken,
}

impl Ticket {
    /// The next update, in order; `None` after the last or after an error.
    pub async fn next(&mut self) -> Option<Result<Update, JobError>> {
        self.updates.recv().await
    }

    /// Cancelled when this request's client reads too slowly while the common limit is reached: it has to be cut off.
    pub fn evicted(&self) -> CancellationToken {
        self.evicted.clone()
    }
}

impl Drop for Ticket {
    fn drop(&mut self) {
        self.left.store(true, Ordering::Release);
        self.queue.leave(self.id);
    }
}

/// A poisoned lock only means that another thread panicked: the counters and the queue are consistent.
fn lock<T>(mutex: &Mutex<T>) -> MutexGuard<'_, T> {
    mutex.lock().unwrap_or_else(PoisonError::into_inner)
}

#[cfg(test)]
mod tests;
