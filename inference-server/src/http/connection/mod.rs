//! One connection: its deadlines, what it may hold in memory, and how it is closed when the server drains.
//!
//! hyper's own header timeout also runs while a kept-alive connection is idle, so that a short one would close
//! connections while clients send their next request. This module tracks bytes and requests itself: a client that makes no
//! progress is cut off soon in every phase, idle connections are kept long.

mod activity;
pub mod budget;
mod leftover;
mod shared;
mod socket;
#[cfg(test)]
mod tests;

use std::{convert::Infallible, future::poll_fn, pin::Pin, task::Poll, time::Duration};

use axum::{Router, body::Body};
use http::{Request, Response, StatusCode};
use hyper::{body::Incoming, server::conn::http1, service::service_fn};
use hyper_util::rt::{TokioIo, TokioTimer};
use tokio::{
    net::TcpStream,
    time::{Instant, sleep_until},
};
use tokio_util::sync::CancellationToken;
use tower::ServiceExt;

use super::lifecycle::{Lifecycle, Stage};
use activity::{Activity, Verdict};
use budget::ReceiveBudget;
use leftover::Leftover;
use shared::SharedSocket;
use socket::{TrackedBody, TrackedSocket};

/// Size of a request's head above which it is answered with 431. hyper buffers no more of a response either.
pub const MAX_HEAD_BYTES: usize = 64 * 1024;
/// Bytes that the kernel holds for a client that does not read. It also makes progress visible: without the limit, a
/// buffer of megabytes takes minutes to drain over a slow link, and no write succeeds meanwhile.
#[cfg(target_os = "linux")]
const UNSENT_BYTES: u32 = 64 * 1024;

/// Deadlines of a connection.
#[derive(Clone, Copy, Debug)]
pub struct Deadlines {
    /// From the first byte of a request to the end of its head; for a new connection, from its start.
    pub header: Duration,
    /// For the body of a request, and for what remains of a body after its request was rejected.
    pub body: Duration,
    /// Without the client reading anything of what is to be sent.
    pub write: Duration,
    /// From the end of a request's head to the end of its response.
    pub request: Duration,
    /// Between requests.
    pub keep_alive: Duration,
}

/// In the extensions of a response: its connection is cut off when the token is cancelled.
#[derive(Clone)]
pub struct CutOff(pub CancellationToken);

/// Serves one connection to its end; one that is upgraded, until its stream is dropped. An upgraded stream's handler ends it
/// at [`Stage::Closing`]: the drain waits for it.
pub async fn serve(
    socket: TcpStream,
    router: Router,
    deadlines: Deadlines,
    lifecycle: Lifecycle,
    budget: ReceiveBudget,
) {
    // Small responses must not wait for the acknowledgement of the previous one.
    let _ = socket.set_nodelay(true);
    #[cfg(target_os = "linux")]
    let _ = socket2::SockRef::from(&socket).set_tcp_notsent_lowat(UNSENT_BYTES);
    let socket = SharedSocket::new(socket);
    let dropped = CancellationToken::new();
    let activity = Activity::new(&budget);
    let service = service_fn(|request| {
        activity.begin_request();
        answer(request, router.clone(), activity.clone(), deadlines.body)
    });
    let mut connection = http1::Builder::new()
        .timer(TokioTimer::new())
        .header_read_timeout(None)
        .max_buf_size(MAX_HEAD_BYTES)
        .serve_connection(
            TokioIo::new(TrackedSocket::new(
                socket.clone(),
                activity.clone(),
                dropped.clone().drop_guard(),
            )),
            service,
        )
        .with_upgrades();

    let timer = sleep_until(Instant::now());
    let server_closes = lifecycle.reached(Stage::Closing);
    let client_left = socket.peer_left();
    tokio::pin!(timer, server_closes, client_left);
    let mut server_closing_since = None;
    let end = poll_fn(|context| {
        loop {
            // The connection first: a request that was already received is read before the connection is closed.
            if let Poll::Ready(result) = Pin::new(&mut connection).poll(context) {
                return Poll::Ready(End::Closed(result));
            }
            // hyper stops reading when it has bytes beyond the request, and then does not notice. An end in the middle of a body
            // is left to hyper: the client gets its error.
            if activity.owes_response() && client_left.as_mut().poll(context).is_ready() {
                return Poll::Ready(End::Cut("the client left"));
            }
            if server_closing_since.is_none() && server_closes.as_mut().poll(context).is_ready() {
                server_closing_since = Some(Instant::now());
            }
            if activity.poll_cut_off(context) {
                return Poll::Ready(End::Cut("the client reads too slowly"));
            }
            match activity.verdict(&deadlines, server_closing_since) {
                Verdict::Wait(until) => {
                    if timer.deadline() != until {
                        timer.as_mut().reset(until);
                    }
                    if timer.as_mut().poll(context).is_pending() {
                        return Poll::Pending;
                    }
                }
                Verdict::Close => {
                    activity.closing();
                    Pin::new(&mut connection).graceful_shutdown();
                }
                Verdict::Cut(why) => return Poll::Ready(End::Cut(why)),
                Verdict::Refuse => return Poll::Ready(End::Refused),
            }
        }
    })
    .await;
    match end {
        End::Closed(Ok(())) => {}
        End::Closed(Err(error)) => tracing::debug!(%error, "connection ended"),
        End::Cut(why) => tracing::debug!(why, "connection cut"),
        End::Refused => {
            tracing::debug!("too many bytes are being received: connection refused");
            if let Some(parts) = connection.into_parts() {
                parts.io.into_inner().refuse().await;
            }
            return;
        }
    }
    drop(connection);
    // Dropped by now, unless an upgraded stream holds it.
    tokio::select! {
        () = dropped.cancelled() => return,
        () = activity.stuck(deadlines.write) => {}
    }
    tracing::debug!("the client stopped reading: upgraded connection cut");
    activity.cut();
    socket.end();
    dropped.cancelled().await;
}

async fn answer(
    request: Request<Incoming>,
    router: Router,
    activity: Activity,
    body_limit: Duration,
) -> Result<Response<TrackedBody>, Infallible> {
    // Clients that send requests and read no response get no further responses to buffer.
    activity.writable().await;
    let leftover = Leftover::of(&request, activity.clone());
    let request = request.map(|body| Body::new(leftover.lend(body)));
    let mut response = router.oneshot(request).await?;
    if let Some(CutOff(token)) = response.extensions_mut().remove() {
        activity.cut_off_by(token);
    }
    leftover.discard(body_limit).await;
    if response.status() == StatusCode::SWITCHING_PROTOCOLS {
        activity.upgrade();
    }
    Ok(response.map(|body| TrackedBody::new(body, activity)))
}

enum End {
    Closed(hyper::Result<()>),
    Cut(&'static str),
    Refused,
}
