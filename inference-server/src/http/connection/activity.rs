//! What a connection is doing, and until when it may.

use std::{
    pin::Pin,
    sync::{Arc, Mutex, MutexGuard, PoisonError},
    task::Context,
    time::Duration,
};

use tokio::{
    sync::watch,
    time::{Instant, timeout_at},
};
use tokio_util::sync::{CancellationToken, WaitForCancellationFutureOwned};

use super::{
    Deadlines,
    budget::{ReceiveBudget, Share},
};

/// Time limit for the first request of a new connection while the server is closing.
const LAST_CALL: Duration = Duration::from_secs(1);

/// The phase of a connection.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
enum Phase {
    /// Nothing was received yet.
    Fresh,
    /// The head of a request is being received.
    Head,
    /// A request is being answered.
    Serving,
    /// Kept alive between requests.
    Idle,
    /// It no longer speaks HTTP: what it does is its handler's business.
    Upgraded,
}

#[derive(Debug)]
struct State {
    phase: Phase,
    since: Instant,
    /// Since when the client has not accepted pending bytes.
    blocked: watch::Sender<Option<Instant>>,
    /// Since when the connection is being closed.
    closing: Option<Instant>,
    /// Whether the body of the request was received completely.
    body_received: bool,
    /// The head that is being received or served.
    head: Share,
    over_budget: bool,
    /// Whether nothing more may be read or written.
    cut: bool,
    /// Ends when the response in progress has to be cut off.
    cut_off: Option<Pin<Box<WaitForCancellationFutureOwned>>>,
}

/// What to do with a connection.
#[derive(Debug, PartialEq, Eq)]
pub enum Verdict {
    /// Nothing before this time.
    Wait(Instant),
    /// Close it gracefully, as HTTP specifies.
    Close,
    /// Drop it.
    Cut(&'static str),
    /// Answer 503 and drop it: the server is receiving too many bytes.
    Refuse,
}

/// Shared by a connection's socket, requests and responses; all of them run on the connection's task, until it is upgraded.
#[derive(Clone, Debug)]
pub struct Activity(Arc<Mutex<State>>);

impl Activity {
    pub fn new(budget: &ReceiveBudget) -> Self {
        Self(Arc::new(Mutex::new(State {
            phase: Phase::Fresh,
            since: Instant::now(),
            blocked: watch::Sender::new(None),
            closing: None,
            body_received: false,
            head: budget.share(),
            over_budget: false,
            cut: false,
            cut_off: None,
        })))
    }

    fn state(&self) -> MutexGuard<'_, State> {
        self.0.lock().unwrap_or_else(PoisonError::into_inner)
    }

    /// The head of a request is complete.
    pub fn begin_request(&self) {
        let mut state = self.state();
        state.phase = Phase::Serving;
        state.since = Instant::now();
        state.body_received = false;
    }

    /// The body of the request is complete.
    pub fn body_received(&self) {
        self.state().body_received = true;
    }

    /// Whether there is a request that was received completely and whose response is not.
    pub fn owes_response(&self) -> bool {
        let state = self.state();
        state.phase == Phase::Serving && state.body_received
    }

    /// The request is answered with another protocol.
    pub fn upgrade(&self) {
        let mut state = self.state();
        state.phase = Phase::Upgraded;
        state.head.clear();
    }

    /// The response of a request is complete or dropped.
    pub fn end_request(&self) {
        let mut state = self.state();
        if state.phase == Phase::Upgraded {
            return;
        }
        state.phase = Phase::Idle;
        state.since = Instant::now();
        state.head.clear();
        state.cut_off = None;
    }

    /// The response in progress is cut off when the token is cancelled.
    pub fn cut_off_by(&self, token: CancellationToken) {
        self.state().cut_off = Some(Box::pin(token.cancelled_owned()));
    }

    /// Whether the response in progress has to be cut off; wakes the task when that changes.
    pub fn poll_cut_off(&self, context: &mut Context<'_>) -> bool {
        let mut state = self.state();
        let cut_off = state.cut_off.as_mut();
        cut_off.is_some_and(|cut_off| cut_off.as_mut().poll(context).is_ready())
    }

    /// Graceful shutdown has begun.
    pub fn closing(&self) {
        self.state().closing = Some(Instant::now());
    }

    /// Bytes were received. False if they exceed the budget: nothing more must be read.
    pub fn received(&self, bytes: usize) -> bool {
        let mut state = self.state();
        match state.phase {
            Phase::Fresh | Phase::Idle => {
                state.phase = Phase::Head;
                state.since = Instant::now();
            }
            Phase::Head => {}
            // Bodies are counted where they are collected.
            Phase::Serving | Phase::Upgraded => return true,
        }
        if state.head.grow(bytes) {
            return true;
        }
        state.over_budget = true;
        false
    }

    /// A write was accepted, or has to wait for the client.
    pub fn wrote(&self, blocked: bool) {
        self.state().blocked.send_if_modified(|since| {
            let changed = since.is_some() != blocked;
            if changed {
                *since = blocked.then(Instant::now);
            }
            changed
        });
    }

    /// Waits until the client accepts the bytes that are pending.
    pub async fn writable(&self) {
        let mut blocked = self.state().blocked.subscribe();
        // The sender is in `self`, so waiting cannot fail.
        let _ = blocked.wait_for(Option::is_none).await;
    }

    /// Waits until the client has accepted nothing for this long.
    pub async fn stuck(&self, limit: Duration) {
        let mut blocked = self.state().blocked.subscribe();
        loop {
            let since = *blocked.borrow_and_update();
            let Some(since) = since else {
                let _ = blocked.changed().await;
                continue;
            };
            if timeout_at(since + limit, blocked.changed()).await.is_err() {
                return;
            }
        }
    }

    /// Reads and writes fail from now on.
    pub fn cut(&self) {
        self.state().cut = true;
    }

    pub fn is_cut(&self) -> bool {
        self.state().cut
    }

    /// What to do now. `server_closes`: since when the server accepts no new connections.
    pub fn verdict(&self, deadlines: &Deadlines, server_closes: Option<Instant>) -> Verdict {
        let state = self.state();
        let now = Instant::now();
        if state.over_budget {
            return Verdict::Refuse;
        }
        let mut next = match (state.phase, state.closing) {
            (Phase::Fresh | Phase::Head, _) => (
                state.since + deadlines.header,
                Verdict::Cut("the request head was not received in time"),
            ),
            // Only until the head of the response is sent; then nobody asks.
            (Phase::Serving | Phase::Upgraded, _) => (
                state.since + deadlines.request,
                Verdict::Cut("the response was not complete in time"),
            ),
            (Phase::Idle, None) => (state.since + deadlines.keep_alive, Verdict::Close),
            (Phase::Idle, Some(closing)) => (
                closing + deadlines.write,
                Verdict::Cut("the client did not read the rest"),
            ),
        };
        if let (None, Some(since)) = (state.closing, server_closes) {
            let last_call = match state.phase {
                Phase::Fresh => LAST_CALL,
                _ => Duration::ZERO,
            };
            next = earlier(next, (since + last_call, Verdict::Close));
        }
        if let Some(blocked) = *state.blocked.borrow() {
            let cut = Verdict::Cut("the client stopped reading");
            next = earlier(next, (blocked + deadlines.write, cut));
        }
        if now >= next.0 {
            next.1
        } else {
            Verdict::Wait(next.0)
        }
    }
}

fn earlier(one: (Instant, Verdict), other: (Instant, Verdict)) -> (Instant, Verdict) {
    if other.0 < one.0 { other } else { one }
}

#[cfg(test)]
mod tests {
    use super::*;

    const DEADLINES: Deadlines = Deadlines {
        header: Duration::from_secs(10),
        body: Duration::from_secs(10),
        write: Duration::from_secs(30),
        request: Duration::from_mins(30),
        keep_alive: Duration::from_secs(90),
    };

    fn activity() -> Activity {
        Activity::new(&ReceiveBudget::new(1000))
    }

    async fn after(seconds: u64) {
        tokio::time::advance(Duration::from_secs(seconds)).await;
    }

    fn is_cut(activity: &Activity) -> bool {
        matches!(activity.verdict(&DEADLINES, None), Verdict::Cut(_))
    }

    #[tokio::test(start_paused = true)]
    async fn a_head_has_a_deadline_from_its_first_byte_however_it_trickles() {
        let activity = activity();
        after(9).await;
        assert!(!is_cut(&activity));
        for _ in 0..3 {
            assert!(activity.received(1));
            after(3).await;
            assert!(!is_cut(&activity));
        }
        after(1).await;
        assert!(is_cut(&activity));
    }

    #[tokio::test(start_paused = true)]
    async fn a_client_that_reads_nothing_is_cut_in_every_phase() {
        for begin in [true, false] {
            let activity = activity();
            activity.begin_request();
            if !begin {
                activity.end_request();
            }
            activity.wrote(true);
            after(20).await;
            activity.wrote(true);
            after(9).await;
            assert!(!is_cut(&activity));
            after(1).await;
            assert!(is_cut(&activity));
        }
    }

    #[tokio::test(start_paused = true)]
    async fn a_client_that_reads_slowly_is_served_until_the_request_deadline() {
        let activity = activity();
        activity.begin_request();
        for _ in 0..(1800 / 20) {
            assert!(!is_cut(&activity));
            activity.wrote(true);
            after(20).await;
            activity.wrote(false);
        }
        assert!(is_cut(&activity));
    }

    #[tokio::test(start_paused = true)]
    async fn an_idle_connection_is_closed_and_cut_if_it_does_not_close() {
        let activity = activity();
        activity.begin_request();
        activity.end_request();
        after(89).await;
        assert!(matches!(
            activity.verdict(&DEADLINES, None),
            Verdict::Wait(_)
        ));
        after(1).await;
        assert_eq!(activity.verdict(&DEADLINES, None), Verdict::Close);
        activity.closing();
        assert!(matches!(
            activity.verdict(&DEADLINES, None),
            Verdict::Wait(_)
        ));
        after(30).await;
        assert!(is_cut(&activity));
    }

    #[tokio::test(start_paused = true)]
    async fn a_closing_server_gives_a_fresh_connection_a_last_call() {
        let since = Some(Instant::now());
        let (fresh, serving) = (activity(), activity());
        serving.begin_request();
        assert!(matches!(fresh.verdict(&DEADLINES, since), Verdict::Wait(_)));
        assert_eq!(serving.verdict(&DEADLINES, since), Verdict::Close);
        serving.closing();
        assert!(matches!(
            serving.verdict(&DEADLINES, since),
            Verdict::Wait(_)
        ));
        after(1).await;
        assert_eq!(fresh.verdict(&DEADLINES, since), Verdict::Close);
    }

    #[tokio::test(start_paused = true)]
    async fn heads_count_until_their_response_is_complete() {
        let budget = ReceiveBudget::new(1000);
        let (first, second) = (Activity::new(&budget), Activity::new(&budget));
        assert!(first.received(600));
        first.begin_request();
        assert!(first.received(5000), "bodies are counted elsewhere");
        assert!(!second.received(500));
        assert_eq!(second.verdict(&DEADLINES, None), Verdict::Refuse);
        first.end_request();
        assert!(Activity::new(&budget).received(1000));
    }

    #[tokio::test(start_paused = true)]
    async fn the_next_request_waits_until_the_client_reads() {
        let activity = activity();
        activity.wrote(true);
        let waits = tokio::spawn({
            let activity = activity.clone();
            async move { activity.writable().await }
        });
        tokio::task::yield_now().await;
        assert!(!waits.is_finished());
        activity.wrote(false);
        waits.await.unwrap();
    }
}
