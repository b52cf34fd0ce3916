//! A TCP stream under TLS that takes from the kernel all there is in one call.
//!
//! rustls asks for 4 KiB at a time, five calls for one full record. Here it finds them in a
//! buffer that the connections of the thread share.

use std::{
    io::{self, IoSlice},
    pin::Pin,
    task::{Context, Poll, ready},
};

use tokio::{
    io::{AsyncRead, AsyncWrite, ReadBuf},
    net::TcpStream,
};

use crate::buffer::{Buffer, LARGEST};

/// The stream and what was read of it ahead of time.
#[derive(Debug)]
pub(crate) struct ReadAhead {
    stream: TcpStream,
    ahead: Buffer,
}

impl ReadAhead {
    /// Reads `stream` ahead from now on.
    pub(crate) fn new(stream: TcpStream) -> Self {
        Self {
            stream,
            ahead: Buffer::new(LARGEST),
        }
    }

    /// Reads `stream` ahead, behind what was read of it already.
    pub(crate) fn after(stream: TcpStream, ahead: Buffer) -> Self {
        Self { stream, ahead }
    }

    /// The socket.
    pub(crate) fn socket(&self) -> &TcpStream {
        &self.stream
    }
}

impl AsyncRead for ReadAhead {
    fn poll_read(
        mut self: Pin<&mut Self>,
        context: &mut Context<'_>,
        wanted: &mut ReadBuf<'_>,
    ) -> Poll<io::Result<()>> {
        let Self { stream, ahead } = &mut *self;
        if ahead.pending().is_empty() {
            ready!(ahead.poll_fill(context, Pin::new(stream)))?;
        }
        let pending = ahead.pending();
        let (given, _) = pending.split_at(pending.len().min(wanted.remaining()));
        wanted.put_slice(given);
        let given = given.len();
        ahead.consume(given);
        Poll::Ready(Ok(()))
    }
}

impl AsyncWrite for ReadAhead {
    fn poll_write(
        mut self: Pin<&mut Self>,
        context: &mut Context<'_>,
        bytes: &[u8],
    ) -> Poll<io::Result<usize>> {
        Pin::new(&mut self.stream).poll_write(context, bytes)
    }

    fn poll_write_vectored(
        mut self: Pin<&mut Self>,
        context: &mut Context<'_>,
        parts: &[IoSlice<'_>],
    ) -> Poll<io::Result<usize>> {
        Pin::new(&mut self.stream).poll_write_vectored(context, parts)
    }

    fn is_write_vectored(&self) -> bool {
        self.stream.is_write_vectored()
    }

    fn poll_flush(mut self: Pin<&mut Self>, context: &mut Context<'_>) -> Poll<io::Result<()>> {
        Pin::new(&mut self.stream).poll_flush(context)
    }

    fn poll_shutdown(mut self: Pin<&mut Self>, context: &mut Context<'_>) -> Poll<io::Result<()>> {
        Pin::new(&mut self.stream).poll_shutdown(context)
    }
}

#[cfg(test)]
mod tests {
    use tokio::{
        io::{AsyncReadExt as _, AsyncWriteExt as _},
        net::TcpListener,
    };

    use super::*;

    #[tokio::test]
    async fn bytes_come_in_order_in_whatever_pieces_they_are_asked_for_and_then_the_end() {
        let listener = TcpListener::bind("127.0.0.1:0").await.unwrap();
        let address = listener.local_addr().unwrap();
        let sent: Vec<u8> = (0..=255).cycle().take(300_000).collect();
        let receive = async {
            let (stream, _) = listener.accept().await.unwrap();
            let mut stream = ReadAhead::new(stream);
            let (mut received, mut piece) = (Vec::new(), [0; 777]);
            while let Ok(read @ 1..) = stream.read(&mut piece).await {
                received.extend_from_slice(&piece[..read]);
            }
            received
        };
        let send = async {
            let mut stream = TcpStream::connect(address).await.unwrap();
            stream.write_all(&sent).await.unwrap();
        };
        let (received, ()) = tokio::join!(receive, send);
        assert!(received == sent);
    }
}
