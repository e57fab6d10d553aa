//! Admission, the queue and the workers: at most so many requests in service and so many waiting; one that nobody waits
//! for any more leaves at once.

mod queue;
pub mod worker;

use std::{
    sync::{Arc, Mutex, MutexGuard, PoisonError},
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
    /// Time that this run took.
    pub service: Duration,
}

/// A request's work, as the queue holds it.
#[derive(Debug)]
struct Job {
    id: u64,
    voice: usize,
    runs: Vec<Run>,
    speed: f32,
    cancel: Arc<Cancel>,
    reply: mpsc::UnboundedSender<Result<Spoken, EngineError>>,
    queued_at: Instant,
}

/// Why a request was not taken.
#[derive(Debug, thiserror::Error)]
pub enum SchedulerError {
    #[error("all workers are busy and {waiting} requests wait; try again in {} ms", retry_after.as_millis())]
    QueueFull {
        waiting: usize,
        retry_after: Duration,
    },
    #[error(transparent)]
    Engine(#[from] EngineError),
}

/// The door to the workers.
#[derive(Clone, Debug)]
pub struct Scheduler {
    queue: Arc<Queue>,
}

impl Scheduler {
    /// A scheduler for this many workers, with room for `waiting` more requests. The workers are started apart.
    pub fn new(workers: usize, waiting: usize) -> Self {
        Self {
            queue: Arc::new(Queue::new(workers, waiting)),
        }
    }

    /// Takes a request in, or refuses it at once. Dropping the ticket takes it out again, wherever it is.
    pub fn submit(
        &self,
        voice: usize,
        runs: Vec<Run>,
        speed: f32,
    ) -> Result<Ticket, SchedulerError> {
        let cancel = Arc::new(Cancel::new()?);
        let (reply, spoken) = mpsc::unbounded_channel();
        let id = self.queue.push(|id| Job {
            id,
            voice,
            runs,
            speed,
            cancel: Arc::clone(&cancel),
            reply,
            queued_at: Instant::now(),
        })?;
        Ok(Ticket {
            id,
            cancel,
            queue: Arc::clone(&self.queue),
            spoken,
        })
    }

    /// Requests that were taken in and whose tickets live: waiting, in service, or being sent.
    pub fn in_flight(&self) -> usize {
        self.queue.in_flight()
    }

    /// Requests that wait for a worker.
    pub fn waiting(&self) -> usize {
        self.queue.waiting()
    }

    /// Workers whose thread ended although nobody asked it to.
    pub fn lost_workers(&self) -> usize {
        self.queue.lost_workers()
    }

    /// Lets the workers end once the queue is empty.
    pub fn close(&self) {
        self.queue.close();
    }
}

/// A request that was taken in. Its place is kept until it is dropped, so that clients who read slowly are counted too:
/// what was spoken for them waits in memory.
#[derive(Debug)]
pub struct Ticket {
    id: u64,
    cancel: Arc<Cancel>,
    queue: Arc<Queue>,
    /// One message a run, in order; the channel ends after the last or after an error.
    pub spoken: mpsc::UnboundedReceiver<Result<Spoken, EngineError>>,
}

impl Drop for Ticket {
    fn drop(&mut self) {
        self.cancel.cancel();
        self.queue.leave(self.id);
    }
}

/// A poisoned lock only means that a thread panicked elsewhere: the counters and the queue are whole.
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
            .map(|_| scheduler.submit(0, Vec::new(), 1.0).unwrap())
            .collect();
        assert_eq!(scheduler.in_flight(), 3);
        let Err(SchedulerError::QueueFull { retry_after, .. }) =
            scheduler.submit(0, Vec::new(), 1.0)
        else {
            panic!("a fourth request was taken in");
        };
        assert!(retry_after >= Duration::from_millis(100), "{retry_after:?}");
        drop(tickets);
        assert_eq!((scheduler.in_flight(), scheduler.waiting()), (0, 0));
        assert!(scheduler.submit(0, Vec::new(), 1.0).is_ok());
    }

    #[test]
    fn who_leaves_is_out_of_the_queue_and_cancelled() {
        let scheduler = scheduler(1, 8);
        let first = scheduler.submit(0, Vec::new(), 1.0).unwrap();
        let second = scheduler.submit(0, Vec::new(), 1.0).unwrap();
        let cancel = Arc::clone(&first.cancel);
        drop(first);
        assert!(cancel.is_cancelled());
        assert_eq!(scheduler.waiting(), 1);
        assert_eq!(scheduler.queue.pop().unwrap().id, second.id);
    }
}
