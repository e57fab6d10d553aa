//! Admission, the queue and the workers.
//!
//! The number of requests that are work, waiting or in service, is limited; further ones are rejected before their text is
//! read. Requests take turns: a request goes back to the end of the queue after each run, so that a short text does not wait
//! for the whole of a long one. Audio that was synthesized and not sent yet is limited in bytes: a request at its own limit
//! pauses and is no work until its client reads on, so that no worker waits for a client; at the limit of all together, new
//! requests are rejected and the slowest readers are cut off. A cancelled request leaves the queue at once.

mod buffer;
mod queue;
pub mod worker;

use std::{
    collections::VecDeque,
    sync::{Arc, Mutex, MutexGuard, PoisonError, atomic::AtomicUsize},
    time::{Duration, Instant},
};

use bytes::Bytes;
use tokio::sync::mpsc;
use tokio_util::sync::CancellationToken;

use crate::{
    audio::{EncodeError, Encoder, Format},
    engine::{EngineError, session::Cancel},
    text::{Run, TextError},
};
pub use buffer::Buffered;
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
    /// Number of the voice.
    pub voice: usize,
    pub text: String,
    pub speed: f32,
    pub format: Format,
    /// Of the voice, in Hz.
    pub voice_rate: u32,
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
    #[error("the audio could not be encoded: {0}")]
    Encode(#[from] EncodeError),
}

/// What remains of a request's work.
#[derive(Debug)]
enum Work {
    /// The text was not read yet.
    Text(String),
    /// Runs still to be synthesized.
    Runs(VecDeque<Run>),
}

/// A request's work, as stored in the queue.
#[derive(Debug)]
struct Job {
    id: u64,
    /// Number of its turn in service; 0 before the first.
    turn: u64,
    voice: usize,
    work: Work,
    speed: f32,
    output: Output,
    cancel: Arc<Cancel>,
    reply: mpsc::UnboundedSender<Result<Update, JobError>>,
    /// Bytes of audio that were not sent yet.
    unsent: Arc<AtomicUsize>,
    queued_at: Instant,
    /// Time before its service began; `None` until then.
    queue_wait: Option<Duration>,
}

/// What becomes of a request's samples.
#[derive(Debug)]
struct Output {
    format: Format,
    voice_rate: u32,
    sample_rate: u32,
    /// Made when the service begins.
    encoder: Option<Encoder>,
    /// Whether the audio comes in one piece.
    whole: bool,
    /// Whether a sentence ended with the run before; `None` for the first.
    last_ended_sentence: Option<bool>,
    /// Samples at the voice's rate so far, gaps included.
    samples: u64,
}

impl Job {
    fn is_done(&self) -> bool {
        matches!(&self.work, Work::Runs(runs) if runs.is_empty())
    }
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
    #[error(transparent)]
    Engine(#[from] EngineError),
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
        let cancel = Arc::new(Cancel::new()?);
        let (reply, updates) = mpsc::unbounded_channel();
        let evicted = CancellationToken::new();
        let id = self.queue.admit(&evicted, |id| Job {
            id,
            turn: 0,
            voice: order.voice,
            work: Work::Text(order.text),
            speed: order.speed,
            output: Output {
                format: order.format,
                voice_rate: order.voice_rate,
                sample_rate: order.sample_rate,
                encoder: None,
                whole: false,
                last_ended_sentence: None,
                samples: 0,
            },
            cancel: Arc::clone(&cancel),
            reply,
            unsent: Arc::default(),
            queued_at: Instant::now(),
            queue_wait: None,
        })?;
        Ok(Ticket {
            id,
            cancel,
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
}

/// An admitted request.
#[derive(Debug)]
pub struct Ticket {
    id: u64,
    cancel: Arc<Cancel>,
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
        self.cancel.cancel();
        self.queue.leave(self.id);
    }
}

/// A poisoned lock only means that another thread panicked: the counters and the queue are consistent.
fn lock<T>(mutex: &Mutex<T>) -> MutexGuard<'_, T> {
    mutex.lock().unwrap_or_else(PoisonError::into_inner)
}

/// An order of a text, for tests.
#[cfg(test)]
fn order(text: String) -> Order {
    Order {
        voice: 0,
        text,
        speed: 1.0,
        format: Format::Pcm,
        voice_rate: 16_000,
        sample_rate: 16_000,
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    const RUN_BYTES: usize = 1000;

    fn limits() -> Limits {
        Limits {
            workers: 1,
            waiting: 2,
            max_audio_seconds: 60,
            request_buffer: 2 * RUN_BYTES,
            total_buffer: 10 * RUN_BYTES,
            run_timeout: Duration::from_mins(2),
            slow_reader: Duration::ZERO,
        }
    }

    fn scheduler(limits: Limits) -> Scheduler {
        crate::engine::test_library();
        Scheduler::new(limits)
    }

    fn submit(scheduler: &Scheduler, runs: usize) -> Result<Ticket, SchedulerError> {
        scheduler.submit(order("x".repeat(runs)))
    }

    /// Does what a worker does in one turn, without a model: a text has a run per character.
    fn turn(scheduler: &Scheduler) -> u64 {
        let mut job = scheduler.queue.pop().unwrap();
        let id = job.id;
        if let Work::Text(text) = &job.work {
            let run = Run {
                symbols: Vec::new(),
                ends_sentence: true,
            };
            job.work = Work::Runs(vec![run; text.len()].into());
        }
        let Work::Runs(runs) = &mut job.work else {
            unreachable!();
        };
        runs.pop_front();
        let audio = Audio {
            bytes: Bytes::from(vec![0; RUN_BYTES]),
            buffered: Buffered::new(&scheduler.queue, &job, RUN_BYTES),
        };
        job.queue_wait.get_or_insert_default();
        job.reply.send(Ok(Update::Audio(audio))).unwrap();
        scheduler.queue.put_back(job);
        id
    }

    async fn audio(ticket: &mut Ticket) -> Audio {
        match ticket.next().await.unwrap().unwrap() {
            Update::Audio(audio) => audio,
            other => panic!("{other:?}"),
        }
    }

    #[test]
    fn the_queue_rejects_at_its_limit_and_says_when_to_retry() {
        let scheduler = scheduler(limits());
        let tickets: Vec<_> = (0..3).map(|_| submit(&scheduler, 1).unwrap()).collect();
        assert_eq!(scheduler.in_flight(), 3);
        let Err(SchedulerError::QueueFull { retry_after, .. }) = submit(&scheduler, 1) else {
            panic!("a fourth request was admitted");
        };
        assert!(retry_after >= Duration::from_millis(100), "{retry_after:?}");
        drop(tickets);
        assert_eq!((scheduler.in_flight(), scheduler.waiting()), (0, 0));
        assert!(submit(&scheduler, 1).is_ok());
    }

    #[test]
    fn a_cancelled_request_leaves_the_queue() {
        let scheduler = scheduler(limits());
        let first = submit(&scheduler, 1).unwrap();
        let second = submit(&scheduler, 1).unwrap();
        let cancel = Arc::clone(&first.cancel);
        drop(first);
        assert!(cancel.is_cancelled());
        assert_eq!(scheduler.waiting(), 1);
        assert_eq!(scheduler.queue.pop().unwrap().id, second.id);
    }

    #[test]
    fn workers_take_turns_between_a_long_and_a_short_request() {
        let scheduler = scheduler(Limits {
            request_buffer: usize::MAX,
            ..limits()
        });
        let long = submit(&scheduler, 3).unwrap();
        let short = submit(&scheduler, 1).unwrap();
        let order: Vec<_> = (0..4).map(|_| turn(&scheduler)).collect();
        assert_eq!(order, [long.id, short.id, long.id, long.id]);
    }

    #[tokio::test]
    async fn a_request_pauses_at_its_limit_and_goes_on_ahead_of_new_ones() {
        let scheduler = scheduler(limits());
        let mut slow = submit(&scheduler, 4).unwrap();
        assert_eq!([turn(&scheduler), turn(&scheduler)], [slow.id, slow.id]);
        // Paused, it takes no place.
        assert_eq!((scheduler.in_flight(), scheduler.delivering()), (0, 1));
        let others: Vec<_> = (0..3).map(|_| submit(&scheduler, 1).unwrap()).collect();
        let spoken = audio(&mut slow).await;
        // Taken by the connection is not sent yet.
        assert_eq!(scheduler.delivering(), 1);
        drop(spoken);
        assert_eq!(scheduler.delivering(), 0);
        assert_eq!(turn(&scheduler), slow.id);
        assert_eq!(turn(&scheduler), others[0].id);
        // Paused again, it can still be cancelled.
        drop(slow);
        drop(others);
        assert_eq!((scheduler.in_flight(), scheduler.delivering()), (0, 0));
        assert_eq!(scheduler.unsent_bytes(), 0);
    }

    #[tokio::test]
    async fn at_the_common_limit_new_requests_are_rejected_until_clients_read() {
        let scheduler = scheduler(limits());
        let mut readers: Vec<_> = (0..5)
            .map(|_| {
                let ticket = submit(&scheduler, 2).unwrap();
                turn(&scheduler);
                turn(&scheduler);
                ticket
            })
            .collect();
        assert_eq!(scheduler.unsent_bytes(), 10 * RUN_BYTES);
        let Err(SchedulerError::BufferFull { bytes, .. }) = submit(&scheduler, 1) else {
            panic!("a request was admitted beyond the limit");
        };
        assert_eq!(bytes, 10 * RUN_BYTES);
        drop(audio(&mut readers[0]).await);
        assert!(submit(&scheduler, 1).is_ok());
    }

    #[tokio::test]
    async fn at_the_common_limit_the_slowest_readers_are_cut_off() {
        let slow_reader = Duration::from_millis(50);
        let scheduler = scheduler(Limits {
            slow_reader,
            total_buffer: 2 * RUN_BYTES,
            ..limits()
        });
        let slow = submit(&scheduler, 1).unwrap();
        turn(&scheduler);
        let old = Instant::now() + slow_reader;
        assert!(
            submit(&scheduler, 1).is_ok(),
            "below the limit nobody is cut"
        );
        while Instant::now() < old {
            std::thread::yield_now();
        }
        let quick = submit(&scheduler, 1).unwrap();
        turn(&scheduler);
        assert!(submit(&scheduler, 1).is_err());
        assert!(slow.evicted().is_cancelled());
        assert!(!quick.evicted().is_cancelled());
    }

    /// Another worker may take a job again before the first one has cleaned up behind it.
    #[test]
    fn the_end_of_a_turn_does_not_end_the_next_one() {
        let scheduler = scheduler(limits());
        let _ticket = submit(&scheduler, 2).unwrap();
        let job = scheduler.queue.pop().unwrap();
        let first = job.turn;
        scheduler.queue.put_back(job);
        let second = scheduler.queue.pop().unwrap().turn;
        scheduler.queue.end(first);
        assert_eq!(scheduler.in_flight(), 1);
        scheduler.queue.end(second);
        assert_eq!(scheduler.in_flight(), 0);
    }

    #[test]
    fn an_overdue_run_is_cancelled() {
        let overdue = |run_timeout| {
            let scheduler = scheduler(Limits {
                run_timeout,
                ..limits()
            });
            let ticket = submit(&scheduler, 1).unwrap();
            let _job = scheduler.queue.pop().unwrap();
            scheduler.cancel_overdue();
            (ticket.cancel.is_cancelled(), scheduler.lost_workers())
        };
        assert_eq!(overdue(Duration::ZERO), (true, 0));
        assert_eq!(overdue(Duration::from_mins(2)), (false, 0));
    }

    #[test]
    fn retry_after_follows_the_work_ahead() {
        let limits = Limits {
            waiting: 1,
            ..limits()
        };
        let retry_after = |characters: usize| {
            let scheduler = scheduler(limits);
            scheduler.queue.measured(100, Duration::from_secs(1));
            let text = "x".repeat(characters);
            let _tickets = [
                scheduler.submit(order(text.clone())).unwrap(),
                scheduler.submit(order(text)).unwrap(),
            ];
            match submit(&scheduler, 1) {
                Err(SchedulerError::QueueFull { retry_after, .. }) => retry_after,
                other => panic!("{other:?}"),
            }
        };
        let (short, long) = (retry_after(200), retry_after(2000));
        assert!(long > 9 * short && long < 11 * short, "{short:?} {long:?}");
    }
}
