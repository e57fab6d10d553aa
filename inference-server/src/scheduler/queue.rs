//! The bounded queue between the requests and the workers.

use std::{
    collections::{HashMap, VecDeque},
    sync::{Arc, Condvar, Mutex, PoisonError, atomic::Ordering},
    time::{Duration, Instant},
};

use tokio_util::sync::CancellationToken;

use super::{Job, Limits, SchedulerError, Work, lock};
use crate::engine::session::Cancel;

/// Assumed service time per symbol before any is measured: long, so that the first Retry-After is not too short.
const FIRST_GUESS_SECONDS_PER_SYMBOL: f64 = 0.001;
/// Assumed symbols per character of a text before any is read; English has about this many.
const FIRST_GUESS_SYMBOLS_PER_CHARACTER: f64 = 1.0;
/// Weight of the newest measurement in the moving averages.
const NEWEST: f64 = 0.1;
/// A run that was cancelled for its time limit and did not end within this time does not end.
const LONGEST_CANCELLATION: Duration = Duration::from_secs(30);
const SHORTEST_RETRY: Duration = Duration::from_millis(100);
const LONGEST_RETRY: Duration = Duration::from_secs(30);
/// When too much audio is unsent: what clients will read is not known.
const RETRY_FOR_READERS: Duration = Duration::from_secs(1);

/// An admitted request, until its ticket is dropped.
#[derive(Debug)]
struct Request {
    /// When its unsent runs were made, the oldest first.
    unsent_since: VecDeque<Instant>,
    evicted: CancellationToken,
}

#[derive(Debug)]
struct State {
    jobs: VecDeque<Job>,
    /// Jobs at their limit of unsent audio.
    paused: Vec<Job>,
    /// Jobs in service, by the number of the turn.
    in_service: HashMap<u64, InService>,
    /// Number of turns so far.
    turns: u64,
    requests: HashMap<u64, Request>,
    unsent: usize,
    next_id: u64,
    closed: bool,
    restarting_workers: usize,
    lost_workers: usize,
    seconds_per_symbol: f64,
    symbols_per_character: f64,
}

/// A job in service.
#[derive(Debug)]
struct InService {
    since: Instant,
    /// Estimated service time of all that remains, in seconds.
    seconds: f64,
    cancel: Arc<Cancel>,
}

impl State {
    fn work(&self) -> usize {
        self.jobs.len() + self.in_service.len()
    }

    fn waiting(&self) -> usize {
        self.jobs
            .iter()
            .filter(|job| job.queue_wait.is_none())
            .count()
    }

    /// Estimated service time of a job, in seconds.
    fn seconds(&self, job: &Job) -> f64 {
        #[expect(clippy::cast_precision_loss, reason = "an estimate")]
        let symbols = match &job.work {
            Work::Text(text) => text.chars().count() as f64 * self.symbols_per_character,
            Work::Runs(runs) => runs.iter().map(|run| run.symbols.len()).sum::<usize>() as f64,
        };
        symbols * self.seconds_per_symbol
    }
}

#[derive(Debug)]
pub(super) struct Queue {
    state: Mutex<State>,
    arrived: Condvar,
    limits: Limits,
}

impl Queue {
    pub(super) fn new(limits: Limits) -> Self {
        Self {
            state: Mutex::new(State {
                jobs: VecDeque::new(),
                paused: Vec::new(),
                in_service: HashMap::new(),
                turns: 0,
                requests: HashMap::new(),
                unsent: 0,
                next_id: 0,
                closed: false,
                restarting_workers: 0,
                lost_workers: 0,
                seconds_per_symbol: FIRST_GUESS_SECONDS_PER_SYMBOL,
                symbols_per_character: FIRST_GUESS_SYMBOLS_PER_CHARACTER,
            }),
            arrived: Condvar::new(),
            limits: Limits {
                workers: limits.workers.max(1),
                ..limits
            },
        }
    }

    pub(super) fn limits(&self) -> &Limits {
        &self.limits
    }

    /// Appends a new job, or rejects it if all places are taken or too much audio is unsent.
    pub(super) fn admit(
        &self,
        evicted: &CancellationToken,
        job: impl FnOnce(u64) -> Job,
    ) -> Result<u64, SchedulerError> {
        let mut state = lock(&self.state);
        self.check_state(&state)?;
        let id = state.next_id;
        state.next_id += 1;
        state.requests.insert(
            id,
            Request {
                unsent_since: VecDeque::new(),
                evicted: evicted.clone(),
            },
        );
        state.jobs.push_back(job(id));
        drop(state);
        self.arrived.notify_one();
        Ok(id)
    }

    /// Whether a job would be admitted now.
    pub(super) fn check(&self) -> Result<(), SchedulerError> {
        self.check_state(&lock(&self.state))
    }

    fn check_state(&self, state: &State) -> Result<(), SchedulerError> {
        if state.work() >= self.limits.workers + self.limits.waiting {
            return Err(SchedulerError::QueueFull {
                waiting: state.waiting(),
                retry_after: self.retry_after(state),
            });
        }
        if state.unsent >= self.limits.total_buffer {
            self.evict_slow_readers(state);
            return Err(SchedulerError::BufferFull {
                bytes: state.unsent,
                retry_after: RETRY_FOR_READERS,
            });
        }
        Ok(())
    }

    fn evict_slow_readers(&self, state: &State) {
        for request in state.requests.values() {
            if let Some(since) = request.unsent_since.front()
                && since.elapsed() >= self.limits.slow_reader
            {
                request.evicted.cancel();
            }
        }
    }

    /// Takes a job back after a turn: to the end of the queue, or paused if too much of its audio is unsent. A job that is
    /// done or cancelled is dropped.
    pub(super) fn put_back(&self, job: Job) {
        let mut state = lock(&self.state);
        state.in_service.remove(&job.turn);
        // Under the lock: a dropped ticket cancels first and then looks for its job here.
        if job.is_done() || job.cancel.is_cancelled() {
            return;
        }
        if job.unsent.load(Ordering::Acquire) >= self.limits.request_buffer {
            state.paused.push(job);
            return;
        }
        state.jobs.push_back(job);
        drop(state);
        self.arrived.notify_one();
    }

    /// A turn is over, whether its job came back or not.
    pub(super) fn end(&self, turn: u64) {
        lock(&self.state).in_service.remove(&turn);
    }

    /// Some of a request's audio is ready and unsent.
    pub(super) fn buffer(&self, id: u64, bytes: usize) {
        let mut state = lock(&self.state);
        state.unsent += bytes;
        if let Some(request) = state.requests.get_mut(&id) {
            request.unsent_since.push_back(Instant::now());
        }
    }

    /// Audio of a request was sent or dropped: if its job is paused and below its limit, it resumes before all others.
    pub(super) fn sent(&self, id: u64, bytes: usize) {
        let mut state = lock(&self.state);
        state.unsent = state.unsent.saturating_sub(bytes);
        if let Some(request) = state.requests.get_mut(&id) {
            request.unsent_since.pop_front();
        }
        let Some(place) = state.paused.iter().position(|job| {
            job.id == id && job.unsent.load(Ordering::Acquire) < self.limits.request_buffer
        }) else {
            return;
        };
        let job = state.paused.swap_remove(place);
        state.jobs.push_front(job);
        drop(state);
        self.arrived.notify_one();
    }

    /// Expected time until the work ahead is done, all workers sharing it.
    fn retry_after(&self, state: &State) -> Duration {
        let waiting: f64 = state.jobs.iter().map(|job| state.seconds(job)).sum();
        let in_service: f64 = state.in_service.values().map(|job| job.seconds).sum();
        #[expect(clippy::cast_precision_loss, reason = "a few workers")]
        let seconds = (waiting + in_service) / self.limits.workers as f64;
        Duration::from_secs_f64(seconds.clamp(0.0, LONGEST_RETRY.as_secs_f64())).max(SHORTEST_RETRY)
    }

    /// Waits for the next job; `None` once the queue is closed and empty.
    pub(super) fn pop(&self) -> Option<Job> {
        let mut state = lock(&self.state);
        loop {
            if let Some(mut job) = state.jobs.pop_front() {
                state.turns += 1;
                job.turn = state.turns;
                let in_service = InService {
                    since: Instant::now(),
                    seconds: state.seconds(&job),
                    cancel: Arc::clone(&job.cancel),
                };
                state.in_service.insert(job.turn, in_service);
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

    /// Removes a request and its job, if that waits or is paused.
    pub(super) fn leave(&self, id: u64) {
        let mut state = lock(&self.state);
        state.requests.remove(&id);
        state.jobs.retain(|job| job.id != id);
        state.paused.retain(|job| job.id != id);
    }

    /// Records the duration of a run, for the Retry-After of rejected requests.
    pub(super) fn measured(&self, symbols: usize, service: Duration) {
        if symbols == 0 {
            return;
        }
        #[expect(clippy::cast_precision_loss, reason = "an estimate")]
        let seconds = service.as_secs_f64() / symbols as f64;
        let average = &mut lock(&self.state).seconds_per_symbol;
        *average += NEWEST * (seconds - *average);
    }

    /// Records the length of a text, as above.
    pub(super) fn read(&self, characters: usize, symbols: usize) {
        if characters == 0 {
            return;
        }
        #[expect(clippy::cast_precision_loss, reason = "an estimate")]
        let ratio = symbols as f64 / characters as f64;
        let average = &mut lock(&self.state).symbols_per_character;
        *average += NEWEST * (ratio - *average);
    }

    pub(super) fn restart_worker(&self) {
        lock(&self.state).restarting_workers += 1;
    }

    /// A worker is back, or does not come back.
    pub(super) fn restarted_worker(&self, succeeded: bool) {
        let mut state = lock(&self.state);
        state.restarting_workers = state.restarting_workers.saturating_sub(1);
        if !succeeded {
            state.lost_workers += 1;
        }
    }

    pub(super) fn restarting_workers(&self) -> usize {
        lock(&self.state).restarting_workers
    }

    pub(super) fn lost_workers(&self) -> usize {
        let state = lock(&self.state);
        let stuck = state
            .in_service
            .values()
            .filter(|job| job.since.elapsed() > self.limits.run_timeout + LONGEST_CANCELLATION);
        state.lost_workers + stuck.count()
    }

    pub(super) fn cancel_overdue(&self) {
        for job in lock(&self.state).in_service.values() {
            if job.since.elapsed() > self.limits.run_timeout && !job.cancel.is_cancelled() {
                tracing::error!(limit = ?self.limits.run_timeout, "a run exceeds its time limit: cancelled");
                job.cancel.cancel();
            }
        }
    }

    pub(super) fn in_flight(&self) -> usize {
        lock(&self.state).work()
    }

    pub(super) fn delivering(&self) -> usize {
        let state = lock(&self.state);
        state.requests.len().saturating_sub(state.work())
    }

    pub(super) fn unsent_bytes(&self) -> usize {
        lock(&self.state).unsent
    }

    /// Jobs whose service did not begin yet.
    pub(super) fn waiting(&self) -> usize {
        lock(&self.state).waiting()
    }

    pub(super) fn close(&self) {
        lock(&self.state).closed = true;
        self.arrived.notify_all();
    }
}
