//! The bounded queue between the requests and the workers.

use std::{
    collections::VecDeque,
    sync::{Condvar, Mutex, PoisonError, atomic::Ordering},
    time::Duration,
};

use super::{Job, RUNS_AHEAD, SchedulerError, lock};

/// Assumed service time per symbol before any is measured: long, so that the first Retry-After is not too short.
const FIRST_GUESS_SECONDS_PER_SYMBOL: f64 = 0.001;
const SHORTEST_RETRY: Duration = Duration::from_millis(100);
const LONGEST_RETRY: Duration = Duration::from_secs(30);

#[derive(Debug)]
struct State {
    jobs: VecDeque<Job>,
    /// Parked jobs: far enough ahead of their clients.
    resting: Vec<Job>,
    in_flight: usize,
    next_id: u64,
    closed: bool,
    lost_workers: usize,
    seconds_per_symbol: f64,
}

#[derive(Debug)]
pub(super) struct Queue {
    state: Mutex<State>,
    arrived: Condvar,
    workers: usize,
    capacity: usize,
}

impl Queue {
    pub(super) fn new(workers: usize, waiting: usize) -> Self {
        Self {
            state: Mutex::new(State {
                jobs: VecDeque::new(),
                resting: Vec::new(),
                in_flight: 0,
                next_id: 0,
                closed: false,
                lost_workers: 0,
                seconds_per_symbol: FIRST_GUESS_SECONDS_PER_SYMBOL,
            }),
            arrived: Condvar::new(),
            workers: workers.max(1),
            capacity: workers.max(1) + waiting,
        }
    }

    /// Appends a new job, or rejects it if all places are taken.
    pub(super) fn admit(&self, job: impl FnOnce(u64) -> Job) -> Result<u64, SchedulerError> {
        let mut state = lock(&self.state);
        if state.in_flight >= self.capacity {
            let waiting = waiting(&state);
            return Err(SchedulerError::QueueFull {
                waiting,
                retry_after: self.retry_after(&state),
            });
        }
        let id = state.next_id;
        state.next_id += 1;
        state.in_flight += 1;
        state.jobs.push_back(job(id));
        drop(state);
        self.arrived.notify_one();
        Ok(id)
    }

    /// Takes a job back after a run: to the end of the queue, or parked if it is ahead of its client. A job that is done or
    /// cancelled is dropped.
    pub(super) fn put_back(&self, job: Job) {
        if job.runs.is_empty() {
            return;
        }
        let mut state = lock(&self.state);
        // Under the lock: a dropped ticket cancels first and then looks for its job here.
        if job.cancel.is_cancelled() {
            return;
        }
        if job.ahead.load(Ordering::Acquire) >= RUNS_AHEAD {
            state.resting.push(job);
            return;
        }
        state.jobs.push_back(job);
        drop(state);
        self.arrived.notify_one();
    }

    /// The client has read some of a job's audio: if the job is parked, it resumes.
    pub(super) fn wake(&self, id: u64) {
        let mut state = lock(&self.state);
        let Some(place) = state.resting.iter().position(|job| job.id == id) else {
            return;
        };
        let job = state.resting.swap_remove(place);
        state.jobs.push_back(job);
        drop(state);
        self.arrived.notify_one();
    }

    /// Expected time until a place is free: the waiting work divided by the number of workers.
    fn retry_after(&self, state: &State) -> Duration {
        let symbols: usize = state
            .jobs
            .iter()
            .flat_map(|job| &job.runs)
            .map(|run| run.symbols.len())
            .sum();
        #[expect(clippy::cast_precision_loss, reason = "an estimate")]
        let seconds = state.seconds_per_symbol * symbols as f64 / self.workers as f64;
        Duration::from_secs_f64(seconds.clamp(0.0, LONGEST_RETRY.as_secs_f64())).max(SHORTEST_RETRY)
    }

    /// Waits for the next job; `None` once the queue is closed and empty.
    pub(super) fn pop(&self) -> Option<Job> {
        let mut state = lock(&self.state);
        loop {
            if let Some(job) = state.jobs.pop_front() {
                return Some(job);
            }
            if state.closed {
                return None;
            }
            state = self
                .arrived
                .wait(state)
                .unwrap_or_else(PoisonError::into_inner);
        }
    }

    /// Frees a place and removes its job if it still waits.
    pub(super) fn leave(&self, id: u64) {
        let mut state = lock(&self.state);
        state.jobs.retain(|job| job.id != id);
        state.resting.retain(|job| job.id != id);
        state.in_flight = state.in_flight.saturating_sub(1);
    }

    /// Records the duration of a run, for the Retry-After of rejected requests.
    pub(super) fn measured(&self, symbols: usize, service: Duration) {
        if symbols == 0 {
            return;
        }
        #[expect(clippy::cast_precision_loss, reason = "an estimate")]
        let seconds = service.as_secs_f64() / symbols as f64;
        let mut state = lock(&self.state);
        state.seconds_per_symbol = 0.9 * state.seconds_per_symbol + 0.1 * seconds;
    }

    pub(super) fn lose_worker(&self) {
        lock(&self.state).lost_workers += 1;
    }

    pub(super) fn lost_workers(&self) -> usize {
        lock(&self.state).lost_workers
    }

    pub(super) fn in_flight(&self) -> usize {
        lock(&self.state).in_flight
    }

    /// Jobs without a run yet.
    pub(super) fn waiting(&self) -> usize {
        waiting(&lock(&self.state))
    }

    #[cfg(test)]
    pub(super) fn jobs(&self) -> usize {
        let state = lock(&self.state);
        state.jobs.len() + state.resting.len()
    }

    pub(super) fn close(&self) {
        lock(&self.state).closed = true;
        self.arrived.notify_all();
    }
}

fn waiting(state: &State) -> usize {
    state
        .jobs
        .iter()
        .filter(|job| job.queue_wait.is_none())
        .count()
}
