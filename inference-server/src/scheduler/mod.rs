//! Admission, the queue and the workers.
//!
//! The numbers of requests in service and waiting are limited; further ones are rejected. Requests take turns: a request goes
//! back to the end of the queue after each run, so that a short text does not wait for the whole of a long one. A request whose
//! client reads slowly is parked until the client has read on: audio does not pile up, and no worker waits for a client. A
//! cancelled request leaves the queue at once.

mod queue;
pub mod worker;

use std::{
    collections::VecDeque,
    sync::{
        Arc, Mutex, MutexGuard, PoisonError,
        atomic::{AtomicUsize, Ordering},
    },
    time::{Duration, Instant},
};

use tokio::sync::mpsc;

use crate::{
    engine::{EngineError, session::Cancel},
    text::Run,
};
use queue::Queue;

/// What a worker sends back: the samples of one run.
#[derive(Debug)]
pub struct Spoken {
    pub samples: Vec<f32>,
    /// Between the request's arrival in the queue and the start of its service.
    pub queue_wait: Duration,
    /// Duration of this run.
    pub service: Duration,
}

/// Runs synthesized ahead of what the client has read: about half a minute of speech.
const RUNS_AHEAD: usize = 3;

/// A request's work, as stored in the queue.
#[derive(Debug)]
struct Job {
    id: u64,
    voice: usize,
    /// Runs still to be synthesized.
    runs: VecDeque<Run>,
    speed: f32,
    cancel: Arc<Cancel>,
    reply: mpsc::UnboundedSender<Result<Spoken, EngineError>>,
    /// Runs in the channel.
    ahead: Arc<AtomicUsize>,
    queued_at: Instant,
    /// Time before the first run; `None` until then.
    queue_wait: Option<Duration>,
}

/// Why a request was not admitted.
#[derive(Debug, thiserror::Error)]
pub enum SchedulerError {
    #[error("all workers are busy and {waiting} requests are queued; retry in {} ms", retry_after.as_millis())]
    QueueFull {
        waiting: usize,
        retry_after: Duration,
    },
    #[error(transparent)]
    Engine(#[from] EngineError),
}

/// Admits requests to the queue.
#[derive(Clone, Debug)]
pub struct Scheduler {
    queue: Arc<Queue>,
}

impl Scheduler {
    /// A scheduler for this many workers, with `waiting` additional places. The workers are started separately.
    pub fn new(workers: usize, waiting: usize) -> Self {
        Self {
            queue: Arc::new(Queue::new(workers, waiting)),
        }
    }

    /// Admits a request or rejects it at once. Dropping the ticket cancels the request.
    pub fn submit(
        &self,
        voice: usize,
        runs: Vec<Run>,
        speed: f32,
    ) -> Result<Ticket, SchedulerError> {
        let cancel = Arc::new(Cancel::new()?);
        let (reply, spoken) = mpsc::unbounded_channel();
        let ahead = Arc::new(AtomicUsize::new(0));
        let id = self.queue.admit(|id| Job {
            id,
            voice,
            runs: runs.into(),
            speed,
            cancel: Arc::clone(&cancel),
            reply,
            ahead: Arc::clone(&ahead),
            queued_at: Instant::now(),
            queue_wait: None,
        })?;
        Ok(Ticket {
            id,
            cancel,
            queue: Arc::clone(&self.queue),
            ahead,
            spoken,
        })
    }

    /// Admitted requests whose tickets exist: waiting, in service, or being sent.
    pub fn in_flight(&self) -> usize {
        self.queue.in_flight()
    }

    /// Requests that wait for a worker.
    pub fn waiting(&self) -> usize {
        self.queue.waiting()
    }

    /// Number of workers whose thread stopped unexpectedly.
    pub fn lost_workers(&self) -> usize {
        self.queue.lost_workers()
    }

    /// Stops the workers once the queue is empty.
    pub fn close(&self) {
        self.queue.close();
    }
}

/// An admitted request. Its place is kept until it is dropped, so that clients that read slowly count too:
/// their audio waits in memory.
#[derive(Debug)]
pub struct Ticket {
    id: u64,
    cancel: Arc<Cancel>,
    queue: Arc<Queue>,
    ahead: Arc<AtomicUsize>,
    spoken: mpsc::UnboundedReceiver<Result<Spoken, EngineError>>,
}

impl Ticket {
    /// The next run's samples, in order; `None` after the last or after an error.
    pub async fn next(&mut self) -> Option<Result<Spoken, EngineError>> {
        let spoken = self.spoken.recv().await?;
        // Decremented before the queue is notified: a job that is parked now sees that there is room.
        self.ahead.fetch_sub(1, Ordering::AcqRel);
        self.queue.wake(self.id);
        Some(spoken)
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

#[cfg(test)]
mod tests {
    use super::*;

    fn scheduler(workers: usize, waiting: usize) -> Scheduler {
        crate::engine::test_library();
        Scheduler::new(workers, waiting)
    }

    #[test]
    fn the_queue_refuses_at_its_edge_and_says_when_to_come_back() {
        let scheduler = scheduler(1, 2);
        let tickets: Vec<_> = (0..3)
            .map(|_| scheduler.submit(0, runs(1), 1.0).unwrap())
            .collect();
        assert_eq!(scheduler.in_flight(), 3);
        let Err(SchedulerError::QueueFull { retry_after, .. }) = scheduler.submit(0, runs(1), 1.0)
        else {
            panic!("a fourth request was taken in");
        };
        assert!(retry_after >= Duration::from_millis(100), "{retry_after:?}");
        drop(tickets);
        assert_eq!((scheduler.in_flight(), scheduler.waiting()), (0, 0));
        assert!(scheduler.submit(0, runs(1), 1.0).is_ok());
    }

    #[test]
    fn who_leaves_is_out_of_the_queue_and_cancelled() {
        let scheduler = scheduler(1, 8);
        let first = scheduler.submit(0, runs(1), 1.0).unwrap();
        let second = scheduler.submit(0, runs(1), 1.0).unwrap();
        let cancel = Arc::clone(&first.cancel);
        drop(first);
        assert!(cancel.is_cancelled());
        assert_eq!(scheduler.waiting(), 1);
        assert_eq!(scheduler.queue.pop().unwrap().id, second.id);
    }

    fn runs(count: usize) -> Vec<Run> {
        vec![
            Run {
                symbols: Vec::new(),
                ends_sentence: true
            };
            count
        ]
    }

    /// Does what a worker does with one run, without a model.
    fn speak_one(scheduler: &Scheduler) -> u64 {
        let mut job = scheduler.queue.pop().unwrap();
        let id = job.id;
        job.runs.pop_front();
        let spoken = Spoken {
            samples: vec![0.0],
            queue_wait: Duration::ZERO,
            service: Duration::ZERO,
        };
        job.ahead.fetch_add(1, Ordering::AcqRel);
        job.reply.send(Ok(spoken)).unwrap();
        scheduler.queue.put_back(job);
        id
    }

    #[test]
    fn workers_take_turns_between_a_long_and_a_short_request() {
        let scheduler = scheduler(1, 8);
        let long = scheduler.submit(0, runs(3), 1.0).unwrap();
        let short = scheduler.submit(0, runs(1), 1.0).unwrap();
        let order: Vec<_> = (0..4).map(|_| speak_one(&scheduler)).collect();
        assert_eq!(order, [long.id, short.id, long.id, long.id]);
    }

    #[tokio::test]
    async fn a_request_rests_until_its_client_takes_audio() {
        let scheduler = scheduler(1, 8);
        let mut slow = scheduler.submit(0, runs(RUNS_AHEAD + 2), 1.0).unwrap();
        for _ in 0..RUNS_AHEAD {
            speak_one(&scheduler);
        }
        // It is parked: a worker would find only the other request.
        let other = scheduler.submit(0, runs(1), 1.0).unwrap();
        assert_eq!(speak_one(&scheduler), other.id);
        assert!(slow.next().await.is_some());
        assert_eq!(speak_one(&scheduler), slow.id);
        // Parked again, it can still be cancelled.
        drop(slow);
        drop(other);
        assert_eq!(scheduler.in_flight(), 0);
        assert_eq!(scheduler.queue.jobs(), 0);
    }
}
