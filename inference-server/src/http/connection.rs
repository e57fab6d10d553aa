//! One connection: its timeouts, and how it is closed when the server drains.
//!
//! hyper's own header timeout also runs while a kept-alive connection is idle, so that a short one would close
//! connections while clients send their next request. This module tracks bytes and requests itself: slow headers and readers
//! that stop reading are cut off soon, idle connections are kept long.

use std::{
    io,
    pin::Pin,
    sync::{Arc, Mutex, MutexGuard, PoisonError},
    task::{Context, Poll},
    time::Duration,
};

use axum::{Router, body::Body, response::Response};
use bytes::Bytes;
use http_body::{Body as HttpBody, Frame, SizeHint};
use hyper::{body::Incoming, server::conn::http1, service::service_fn};
use hyper_util::rt::{TokioIo, TokioTimer};
use tokio::{
    io::{AsyncRead, AsyncWrite, ReadBuf},
    net::TcpStream,
    time::Instant,
};
use tower::ServiceExt;

use super::{
    Limits,
    lifecycle::{Lifecycle, Stage},
};

/// Maximum interval between two checks of a connection's timers.
const LOOK: Duration = Duration::from_millis(500);
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
}

#[derive(Debug)]
struct Activity {
    phase: Phase,
    since: Instant,
    /// Since when the client has not accepted pending bytes.
    blocked: Option<Instant>,
}

#[derive(Clone, Debug)]
struct ActivityTracker(Arc<Mutex<Activity>>);

impl ActivityTracker {
    fn new() -> Self {
        Self(Arc::new(Mutex::new(Activity {
            phase: Phase::Fresh,
            since: Instant::now(),
            blocked: None,
        })))
    }

    fn activity(&self) -> MutexGuard<'_, Activity> {
        self.0.lock().unwrap_or_else(PoisonError::into_inner)
    }

    fn enter(&self, phase: Phase) {
        let mut activity = self.activity();
        activity.phase = phase;
        activity.since = Instant::now();
    }

    fn bytes_came(&self) {
        let mut activity = self.activity();
        if matches!(activity.phase, Phase::Fresh | Phase::Idle) {
            activity.phase = Phase::Head;
            activity.since = Instant::now();
        }
    }

    fn wrote(&self, blocked: bool) {
        let mut activity = self.activity();
        activity.blocked = blocked.then(|| activity.blocked.unwrap_or_else(Instant::now));
    }

    /// What to do now, and when to check again.
    fn look(&self, limits: &Limits) -> Verdict {
        let activity = self.activity();
        let now = Instant::now();
        let (deadline, then) = match (activity.phase, activity.blocked) {
            (Phase::Serving, Some(blocked)) => (
                blocked + limits.write_timeout,
                Verdict::Cut("it stopped reading"),
            ),
            (Phase::Serving, None) => return Verdict::Look(now + LOOK),
            (Phase::Fresh | Phase::Head, _) => (
                activity.since + limits.header_timeout,
                Verdict::Cut("its request did not come in time"),
            ),
            (Phase::Idle, _) => (activity.since + limits.keep_alive, Verdict::Close),
        };
        if now >= deadline {
            then
        } else {
            Verdict::Look(deadline.min(now + LOOK))
        }
    }
}

#[derive(Debug, PartialEq, Eq)]
enum Verdict {
    Look(Instant),
    /// Close it gracefully, as HTTP specifies.
    Close,
    /// Drop it.
    Cut(&'static str),
}

/// A socket whose reads and writes are recorded by the tracker.
struct TrackedSocket {
    socket: TcpStream,
    tracker: ActivityTracker,
}

impl AsyncRead for TrackedSocket {
    fn poll_read(
        mut self: Pin<&mut Self>,
        context: &mut Context<'_>,
        buffer: &mut ReadBuf<'_>,
    ) -> Poll<io::Result<()>> {
        let before = buffer.filled().len();
        let result = Pin::new(&mut self.socket).poll_read(context, buffer);
        if buffer.filled().len() > before {
            self.tracker.bytes_came();
        }
        result
    }
}

impl AsyncWrite for TrackedSocket {
    fn poll_write(
        mut self: Pin<&mut Self>,
        context: &mut Context<'_>,
        bytes: &[u8],
    ) -> Poll<io::Result<usize>> {
        let result = Pin::new(&mut self.socket).poll_write(context, bytes);
        self.tracker.wrote(result.is_pending());
        result
    }

    fn poll_flush(mut self: Pin<&mut Self>, context: &mut Context<'_>) -> Poll<io::Result<()>> {
        Pin::new(&mut self.socket).poll_flush(context)
    }

    fn poll_shutdown(mut self: Pin<&mut Self>, context: &mut Context<'_>) -> Poll<io::Result<()>> {
        Pin::new(&mut self.socket).poll_shutdown(context)
    }

    fn is_write_vectored(&self) -> bool {
        self.socket.is_write_vectored()
    }

    fn poll_write_vectored(
        mut self: Pin<&mut Self>,
        context: &mut Context<'_>,
        slices: &[io::IoSlice<'_>],
    ) -> Poll<io::Result<usize>> {
        let result = Pin::new(&mut self.socket).poll_write_vectored(context, slices);
        self.tracker.wrote(result.is_pending());
        result
    }
}

/// A response body that tells the tracker when it ends.
struct TrackedBody {
    body: Body,
    tracker: ActivityTracker,
}

impl HttpBody for TrackedBody {
    type Data = Bytes;
    type Error = axum::Error;

    fn poll_frame(
        mut self: Pin<&mut Self>,
        context: &mut Context<'_>,
    ) -> Poll<Option<Result<Frame<Bytes>, axum::Error>>> {
        Pin::new(&mut self.body).poll_frame(context)
    }

    fn is_end_stream(&self) -> bool {
        self.body.is_end_stream()
    }

    fn size_hint(&self) -> SizeHint {
        self.body.size_hint()
    }
}

impl Drop for TrackedBody {
    fn drop(&mut self) {
        self.tracker.enter(Phase::Idle);
    }
}

/// Serves one connection to its end.
pub async fn serve(socket: TcpStream, router: Router, limits: Limits, lifecycle: Lifecycle) {
    // Small responses must not wait for the acknowledgement of the previous one.
    let _ = socket.set_nodelay(true);
    let tracker = ActivityTracker::new();
    let service = service_fn(|request: http::Request<Incoming>| {
        tracker.enter(Phase::Serving);
        let router = router.clone();
        let tracker = tracker.clone();
        async move {
            let response: Response = router.oneshot(request.map(Body::new)).await?;
            Ok::<_, std::convert::Infallible>(response.map(|body| TrackedBody { body, tracker }))
        }
    });
    let connection = http1::Builder::new()
        .timer(TokioTimer::new())
        .header_read_timeout(None)
        .serve_connection(
            TokioIo::new(TrackedSocket {
                socket,
                tracker: tracker.clone(),
            }),
            service,
        );
    tokio::pin!(connection);

    let mut closing_since = None;
    let mut closed = false;
    loop {
        let look_again = match tracker.look(&limits) {
            Verdict::Look(when) => when,
            Verdict::Cut(why) => {
                tracing::debug!(why, "connection cut");
                return;
            }
            Verdict::Close => {
                connection.as_mut().graceful_shutdown();
                closed = true;
                Instant::now() + LOOK
            }
        };
        if let Some(since) = closing_since
            && !closed
            && (tracker.activity().phase != Phase::Fresh || Instant::now() >= since + LAST_CALL)
        {
            connection.as_mut().graceful_shutdown();
            closed = true;
        }
        tokio::select! {
            // The connection first: a request that was already received is read before the connection is closed.
            biased;
            result = connection.as_mut() => {
                if let Err(error) = result {
                    tracing::debug!(%error, "connection ended");
                }
                return;
            }
            () = lifecycle.reached(Stage::Closing), if closing_since.is_none() => {
                closing_since = Some(Instant::now());
            }
            () = tokio::time::sleep_until(look_again) => {}
        }
    }
}
