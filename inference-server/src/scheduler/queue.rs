//! The bounded queue between the requests and the workers.

use std::{
    collections::{HashMap, VecDeque},
    sync::{Arc, Condvar, Mutex, PoisonError, Weak},
    time::{Duration, Instant},
};

use tokio_util::sync::CancellationToken;

use super::{
    Job, Limits, SchedulerError, lock,
    policy::{self, Entry},
};
use crate::engine::Cancel;

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
    /// Turns in service, by number.
    in_service: HashMap<u64, InService>,
    /// Number of turns so far.
    turns: u64,
    requests: HashMap<u64, Request>,
    unsent: usize,
    next_id: u64,
    closed: bool,
    /// Number of threads of workers that have not ended.
    running_workers: usize,
    restarting_workers: usize,
    lost_workers: usize,
    /// Tests of voices that are being loaded.
    tests: Vec<VoiceTest>,
    stopping: bool,
}

/// The test of a voice that a worker loads.
#[derive(Debug)]
struct VoiceTest {
    since: Instant,
    cancel: Weak<Cancel>,
}

/// Jobs of which a worker speaks a chunk each.
#[derive(Debug)]
pub(super) struct Turn {
    pub number: u64,
    pub jobs: Vec<Job>,
    pub cancel: Arc<Cancel>,
}

/// A turn in service.
#[derive(Debug)]
struct InService {
    since: Instant,
    /// The requests whose clients are there.
    clients: Vec<u64>,
    /// Number of requests.
    requests: usize,
    /// Estimated service time of all that remains of them, in seconds.
    seconds: f64,
    cancel: Arc<Cancel>,
}

impl State {
    fn work(&self) -> usize {
        let in_service = self.in_service.values().map(|turn| turn.requests);
        self.jobs.len() + in_service.sum::<usize>()
    }

    fn waiting(&self) -> usize {
        self.jobs
            .iter()
            .filter(|job| job.queue_wait.is_none())
            .count()
    }
}

#[derive(Debug)]
pub(super) struct Queue {
    state: Mutex<State>,
    arrived: Condvar,
    worker_ended: Condvar,
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
                running_workers: 0,
                restarting_workers: 0,
                lost_workers: 0,
                tests: Vec::new(),
                stopping: false,
            }),
            arrived: Condvar::new(),
            worker_ended: Condvar::new(),
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
        policy::enter(&mut state.jobs, job(id), Entry::New);
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

    /// Takes jobs back after a turn: to the queue, or paused if too much of their audio is unsent. Jobs that are done, or whose
    /// client has left, are dropped.
    pub(super) fn finish(&self, turn: u64, jobs: impl IntoIterator<Item = (Job, Entry)>) {
        let mut state = lock(&self.state);
        state.in_service.remove(&turn);
        let mut entered = 0;
        for (job, entry) in jobs {
            // Under the lock: a dropped ticket says so first and then looks for its job here.
            if job.is_done() || job.client.has_left() {
                continue;
            }
            if job.client.ahead.is_at_limit(&self.limits) {
                state.paused.push(job);
            } else {
                policy::enter(&mut state.jobs, job, entry);
                entered += 1;
            }
        }
        drop(state);
        for _ in 0..entered {
            self.arrived.notify_one();
        }
    }

    /// A turn is over, whether its jobs came back or not.
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
        let resumes =
            |job: &Job| job.client.id == id && !job.client.ahead.is_at_limit(&self.limits);
        let Some(place) = state.paused.iter().position(resumes) else {
            return;
        };
        let job = state.paused.swap_remove(place);
        policy::enter(&mut state.jobs, job, Entry::Resumed);
        drop(state);
        self.arrived.notify_one();
    }

    /// Expected time until the work ahead is done, all workers sharing it.
    fn retry_after(&self, state: &State) -> Duration {
        let waiting: f64 = state.jobs.iter().map(Job::service_seconds).sum();
        let in_service: f64 = state.in_service.values().map(|turn| turn.seconds).sum();
        #[expect(clippy::cast_precision_loss, reason = "a few workers")]
        let seconds = (waiting + in_service) / self.limits.workers as f64;
        Duration::from_secs_f64(seconds.clamp(0.0, LONGEST_RETRY.as_secs_f64())).max(SHORTEST_RETRY)
    }

    /// Waits for the next jobs; `None` once the queue is closed and empty. `cancel` stops the run that serves them.
    pub(super) fn take(&self, cancel: &Arc<Cancel>) -> Option<Turn> {
        let mut state = lock(&self.state);
        loop {
            let jobs = policy::next(&mut state.jobs);
            if !jobs.is_empty() {
                state.turns += 1;
                let number = state.turns;
                let in_service = InService {
                    since: Instant::now(),
                    clients: jobs.iter().map(|job| job.client.id).collect(),
                    requests: jobs.len(),
                    seconds: jobs.iter().map(Job::service_seconds).sum(),
                    cancel: Arc::clone(cancel),
                };
                state.in_service.insert(number, in_service);
                return Some(Turn {
                    number,
                    jobs,
                    cancel: Arc::clone(cancel),
                });
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

    /// Removes a request and its job, if that waits or is paused; stops its run, unless it shares that with others.
    pub(super) fn leave(&self, id: u64) {
        let mut state = lock(&self.state);
        state.requests.remove(&id);
        state.jobs.retain(|job| job.client.id != id);
        state.paused.retain(|job| job.client.id != id);
        for turn in state.in_service.values_mut() {
            let before = turn.clients.len();
            turn.clients.retain(|client| *client != id);
            if turn.clients.is_empty() && before > 0 {
                turn.cancel.cancel();
            }
        }
    }

    /// Counts the thread of a worker until it is dropped.
    pub(super) fn run_worker(self: &Arc<Self>) -> RunningWorker {
        lock(&self.state).running_workers += 1;
        RunningWorker(Arc::clone(self))
    }

    /// The test of a voice begins: `cancel` stops it when it takes too long, or the workers are stopped.
    pub(super) fn begin_test(&self, cancel: &Arc<Cancel>) {
        let mut state = lock(&self.state);
        if state.stopping {
            cancel.cancel();
        }
        state.tests.retain(|test| test.cancel.strong_count() > 0);
        state.tests.push(VoiceTest {
            since: Instant::now(),
            cancel: Arc::downgrade(cancel),
        });
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
            .filter(|turn| turn.since.elapsed() > self.limits.run_timeout + LONGEST_CANCELLATION);
        state.lost_workers + stuck.count()
    }

    pub(super) fn cancel_overdue(&self) {
        let state = lock(&self.state);
        for turn in state.in_service.values() {
            if turn.since.elapsed() > self.limits.run_timeout && !turn.cancel.is_cancelled() {
                tracing::error!(limit = ?self.limits.run_timeout, "a run exceeds its time limit: cancelled");
                turn.cancel.cancel();
            }
        }
        for test in &state.tests {
            if test.since.elapsed() > self.limits.run_timeout
                && let Some(cancel) = test.cancel.upgrade()
            {
                cancel.cancel();
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

    /// Drops what waits, cancels all runs, and waits until the workers have ended. False if they did not within this time.
    pub(super) fn stop(&self, limit: Duration) -> bool {
        let mut state = lock(&self.state);
        state.closed = true;
        state.stopping = true;
        let dropped = (
            std::mem::take(&mut state.jobs),
            std::mem::take(&mut state.paused),
        );
        for turn in state.in_service.values() {
            turn.cancel.cancel();
        }
        for cancel in state.tests.iter().filter_map(|test| test.cancel.upgrade()) {
            cancel.cancel();
        }
        self.arrived.notify_all();
        let running = |state: &mut State| state.running_workers > 0;
        let (state, _) = self
            .worker_ended
            .wait_timeout_while(state, limit, running)
            .unwrap_or_else(PoisonError::into_inner);
        let ended = state.running_workers == 0;
        drop(state);
        drop(dropped);
        ended
    }
}

/// The thread of a worker, as the queue counts it.
pub(super) struct RunningWorker(Arc<Queue>);

impl Drop for RunningWorker {
    fn drop(&mut self) {
        lock(&self.0.state).running_workers -= 1;
        self.0.worker_ended.notify_all();
    }
}
