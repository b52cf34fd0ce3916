//! A stream that has something for as long as it lives: room in a bulkhead, or on a connection that
//! others share, or its place among those that the proxy makes itself.

use std::{
    io,
    pin::Pin,
    task::{Context, Poll},
};

use tokio::io::{AsyncRead, AsyncWrite, ReadBuf};

/// The stream, and its room.
pub(super) struct Held<S, R> {
    stream: S,
    _room: R,
}

impl<S, R> Held<S, R> {
    pub(super) fn new(stream: S, room: R) -> Self {
        let _room = room;
        Self { stream, _room }
    }
}

impl<S: AsyncRead + Unpin, R: Unpin> AsyncRead for Held<S, R> {
    fn poll_read(
        mut self: Pin<&mut Self>,
        context: &mut Context<'_>,
        wanted: &mut ReadBuf<'_>,
    ) -> Poll<io::Result<()>> {
        Pin::new(&mut self.stream).poll_read(context, wanted)
    }
}

impl<S: AsyncWrite + Unpin, R: Unpin> AsyncWrite for Held<S, R> {
    fn poll_write(
        mut self: Pin<&mut Self>,
        context: &mut Context<'_>,
        bytes: &[u8],
    ) -> Poll<io::Result<usize>> {
        Pin::new(&mut self.stream).poll_write(context, bytes)
    }

    fn poll_flush(mut self: Pin<&mut Self>, context: &mut Context<'_>) -> Poll<io::Result<()>> {
        Pin::new(&mut self.stream).poll_flush(context)
    }

    fn poll_shutdown(mut self: Pin<&mut Self>, context: &mut Context<'_>) -> Poll<io::Result<()>> {
        Pin::new(&mut self.stream).poll_shutdown(context)
    }
}
