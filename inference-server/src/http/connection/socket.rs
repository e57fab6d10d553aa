//! A socket and a response body that record their progress.

use std::{
    io,
    mem::MaybeUninit,
    pin::Pin,
    task::{Context, Poll},
    time::Duration,
};

use axum::body::Body;
use bytes::Bytes;
use http_body::{Body as HttpBody, Frame, SizeHint};
use tokio::io::{AsyncRead, AsyncReadExt, AsyncWrite, AsyncWriteExt, ReadBuf};
use tokio_util::sync::DropGuard;

use super::{activity::Activity, shared::SharedSocket};

/// Bytes per read. Below hyper's smallest buffer, so that hyper never makes a connection's buffer larger than its request
/// needs.
const READ_BYTES: usize = 8 * 1024 - 1;

/// The body of the answer to a request of which not even the head can be received.
const REFUSAL: &str = r#"{"error":{"message":"the server is receiving too many requests at once; retry","type":"server_error","param":null,"code":"receiving_too_much"}}"#;

/// How long a refused client may take to read the answer.
const LINGER: Duration = Duration::from_secs(1);

/// A socket whose reads and writes are recorded.
pub struct TrackedSocket {
    socket: SharedSocket,
    activity: Activity,
    _open: DropGuard,
}

impl TrackedSocket {
    /// `open` is dropped with it.
    pub fn new(socket: SharedSocket, activity: Activity, open: DropGuard) -> Self {
        Self {
            socket,
            activity,
            _open: open,
        }
    }

    fn check(&self) -> io::Result<()> {
        if self.activity.is_cut() {
            return Err(io::Error::new(
                io::ErrorKind::TimedOut,
                "the client stopped reading",
            ));
        }
        Ok(())
    }

    /// Answers 503. What the client sends meanwhile is read and dropped for a while: a connection that is closed with unread
    /// bytes is reset, and the client may lose the answer.
    pub async fn refuse(mut self) {
        let answer = format!(
            "HTTP/1.1 503 Service Unavailable\r\ncontent-type: application/json\r\nretry-after: 1\r\n\
             connection: close\r\ncontent-length: {}\r\n\r\n{REFUSAL}",
            REFUSAL.len()
        );
        let tell = async {
            self.socket.write_all(answer.as_bytes()).await?;
            self.socket.shutdown().await?;
            let mut dropped = vec![0; 4096];
            while self.socket.read(&mut dropped).await? > 0 {}
            Ok::<_, io::Error>(())
        };
        // Nobody is waited for: the client got its answer, or does not read.
        let _ = tokio::time::timeout(LINGER, tell).await;
    }
}

impl AsyncRead for TrackedSocket {
    fn poll_read(
        mut self: Pin<&mut Self>,
        context: &mut Context<'_>,
        buffer: &mut ReadBuf<'_>,
    ) -> Poll<io::Result<()>> {
        self.check()?;
        let mut memory = [const { MaybeUninit::uninit() }; READ_BYTES];
        let room = buffer.remaining().min(READ_BYTES);
        let mut part = ReadBuf::uninit(&mut memory[..room]);
        let result = Pin::new(&mut self.socket).poll_read(context, &mut part);
        let bytes = part.filled();
        if !bytes.is_empty() && !self.activity.received(bytes.len()) {
            // The connection is dropped before anything is read again.
            return Poll::Pending;
        }
        buffer.put_slice(bytes);
        result
    }
}

impl AsyncWrite for TrackedSocket {
    fn poll_write(
        mut self: Pin<&mut Self>,
        context: &mut Context<'_>,
        bytes: &[u8],
    ) -> Poll<io::Result<usize>> {
        self.check()?;
        let result = Pin::new(&mut self.socket).poll_write(context, bytes);
        self.activity.wrote(result.is_pending());
        result
    }

    fn poll_flush(mut self: Pin<&mut Self>, context: &mut Context<'_>) -> Poll<io::Result<()>> {
        self.check()?;
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
        self.check()?;
        let result = Pin::new(&mut self.socket).poll_write_vectored(context, slices);
        self.activity.wrote(result.is_pending());
        result
    }
}

/// A response body that records its end.
pub struct TrackedBody {
    body: Body,
    activity: Activity,
}

impl TrackedBody {
    pub fn new(body: Body, activity: Activity) -> Self {
        Self { body, activity }
    }
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
        self.activity.end_request();
    }
}
