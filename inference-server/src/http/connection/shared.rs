//! A TCP socket that is read and written in one place and watched in another.

use std::{
    io::{self, IoSlice},
    net::Shutdown,
    pin::Pin,
    sync::Arc,
    task::{Context, Poll, ready},
};

use socket2::SockRef;
use tokio::{
    io::{AsyncRead, AsyncWrite, ReadBuf},
    net::TcpStream,
};

/// A socket with several owners; closed when the last is dropped. At most one task reads and one writes at a time.
#[derive(Clone, Debug)]
pub struct SharedSocket(Arc<TcpStream>);

impl SharedSocket {
    pub fn new(socket: TcpStream) -> Self {
        Self(Arc::new(socket))
    }

    /// Waits until the client has closed or reset the connection, even if bytes it sent before were not read: the system
    /// reports the end of a connection (`EPOLLRDHUP`) when it arrives, not when it is read. It arrives behind those
    /// bytes, so they must fit into the socket's receive buffer.
    #[cfg(target_os = "linux")]
    pub async fn peer_left(&self) {
        // The only interest of tokio that the end of the stream satisfies and unread bytes do not. Urgent data does not
        // satisfy it either: `TcpStream` is not registered for that.
        let _ = self.0.ready(tokio::io::Interest::PRIORITY).await;
    }

    /// Elsewhere it is noticed when everything was read.
    #[cfg(not(target_os = "linux"))]
    pub async fn peer_left(&self) {
        std::future::pending::<()>().await;
    }

    /// Ends the connection now. Whoever waits to read or write is woken.
    pub fn end(&self) {
        // It fails only if the connection has already ended.
        let _ = SockRef::from(&*self.0).shutdown(Shutdown::Both);
    }

    /// Tries a write whenever the socket is writable.
    fn poll_write_with(
        &self,
        context: &mut Context<'_>,
        mut write: impl FnMut(&TcpStream) -> io::Result<usize>,
    ) -> Poll<io::Result<usize>> {
        loop {
            ready!(self.0.poll_write_ready(context))?;
            match write(&self.0) {
                Err(error) if error.kind() == io::ErrorKind::WouldBlock => {}
                result => return Poll::Ready(result),
            }
        }
    }
}

impl AsyncRead for SharedSocket {
    fn poll_read(
        self: Pin<&mut Self>,
        context: &mut Context<'_>,
        buffer: &mut ReadBuf<'_>,
    ) -> Poll<io::Result<()>> {
        loop {
            ready!(self.0.poll_read_ready(context))?;
            match self.0.try_read_buf(buffer) {
                Err(error) if error.kind() == io::ErrorKind::WouldBlock => {}
                result => return Poll::Ready(result.map(|_| ())),
            }
        }
    }
}

impl AsyncWrite for SharedSocket {
    fn poll_write(
        self: Pin<&mut Self>,
        context: &mut Context<'_>,
        bytes: &[u8],
    ) -> Poll<io::Result<usize>> {
        self.poll_write_with(context, |socket| socket.try_write(bytes))
    }

    fn poll_flush(self: Pin<&mut Self>, _: &mut Context<'_>) -> Poll<io::Result<()>> {
        Poll::Ready(Ok(()))
    }

    fn poll_shutdown(self: Pin<&mut Self>, _: &mut Context<'_>) -> Poll<io::Result<()>> {
        Poll::Ready(match SockRef::from(&*self.0).shutdown(Shutdown::Write) {
            // The client has reset the connection.
            Err(error) if error.kind() == io::ErrorKind::NotConnected => Ok(()),
            result => result,
        })
    }

    fn is_write_vectored(&self) -> bool {
        true
    }

    fn poll_write_vectored(
        self: Pin<&mut Self>,
        context: &mut Context<'_>,
        slices: &[IoSlice<'_>],
    ) -> Poll<io::Result<usize>> {
        self.poll_write_with(context, |socket| socket.try_write_vectored(slices))
    }
}
