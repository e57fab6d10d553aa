//! What a handler did not read of a request's body.
//!
//! A connection that is closed with unread bytes is reset, and the client may lose the response: most clients send the whole
//! body before they read. So the rest is read and dropped before the response is sent.

use std::{
    pin::Pin,
    sync::{Arc, Mutex, PoisonError},
    task::{Context, Poll},
    time::Duration,
};

use bytes::Bytes;
use http::{Request, header};
use http_body::{Body, Frame, SizeHint};
use http_body_util::BodyExt;
use hyper::body::Incoming;

use super::activity::Activity;

/// Where the body of a request comes back.
pub struct Leftover {
    returned: Arc<Mutex<Option<Returned>>>,
    /// The client sends the body only when it is asked to, which the handler's first read does.
    expects_continue: bool,
    activity: Activity,
}

struct Returned {
    body: Incoming,
    was_read: bool,
}

impl Leftover {
    /// For the body of this request.
    pub fn of<B>(request: &Request<B>, activity: Activity) -> Self {
        Self {
            returned: Arc::default(),
            expects_continue: request.headers().contains_key(header::EXPECT),
            activity,
        }
    }

    /// The body for the handler.
    pub fn lend(&self, body: Incoming) -> LentBody {
        if body.is_end_stream() {
            self.activity.body_received();
        }
        LentBody {
            body: Some(body),
            was_read: false,
            returned: Arc::clone(&self.returned),
            activity: self.activity.clone(),
        }
    }

    /// Reads what is left and drops it, for at most this long.
    pub async fn discard(self, limit: Duration) {
        let returned = self
            .returned
            .lock()
            .unwrap_or_else(PoisonError::into_inner)
            .take();
        let Some(Returned { mut body, was_read }) = returned else {
            return;
        };
        if body.is_end_stream() || (self.expects_continue && !was_read) {
            return;
        }
        let read = async {
            while let Some(frame) = body.frame().await {
                if frame.is_err() {
                    return;
                }
            }
            self.activity.body_received();
        };
        if tokio::time::timeout(limit, read).await.is_err() {
            tracing::debug!("a request body was not received in time");
        }
    }
}

/// A request body; see [`Leftover::lend`].
pub struct LentBody {
    body: Option<Incoming>,
    was_read: bool,
    returned: Arc<Mutex<Option<Returned>>>,
    activity: Activity,
}

impl Body for LentBody {
    type Data = Bytes;
    type Error = hyper::Error;

    fn poll_frame(
        mut self: Pin<&mut Self>,
        context: &mut Context<'_>,
    ) -> Poll<Option<Result<Frame<Bytes>, hyper::Error>>> {
        self.was_read = true;
        let Some(body) = &mut self.body else {
            return Poll::Ready(None);
        };
        let frame = Pin::new(&mut *body).poll_frame(context);
        if matches!(frame, Poll::Ready(None)) || body.is_end_stream() {
            self.activity.body_received();
        }
        frame
    }

    fn is_end_stream(&self) -> bool {
        self.body.as_ref().is_none_or(Body::is_end_stream)
    }

    fn size_hint(&self) -> SizeHint {
        self.body
            .as_ref()
            .map_or_else(SizeHint::default, Body::size_hint)
    }
}

impl Drop for LentBody {
    fn drop(&mut self) {
        let was_read = self.was_read;
        let returned = self.body.take().map(|body| Returned { body, was_read });
        *self.returned.lock().unwrap_or_else(PoisonError::into_inner) = returned;
    }
}
