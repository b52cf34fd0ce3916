//! A TCP stream under TLS that takes from the kernel all there is in one call.
//!
//! rustls asks for 4 KiB at a time, five calls for one full record. Here it finds them in a
//! buffer that the connections of the thread share.

use std::{
    io,
    pin::Pin,
    task::{Context, Poll, ready},
};

use tokio::{
    io::{AsyncRead, ReadBuf},
    net::TcpStream,
};

use crate::{
    buffer::{Buffer, LARGEST},
    layered::{Layer, Layered},
};

/// The stream and what was read of it ahead of time.
pub(crate) type ReadAhead = Layered<Ahead>;

/// What was read ahead of time.
#[derive(Debug)]
pub(crate) struct Ahead(Buffer);

impl ReadAhead {
    /// Reads `stream` ahead from now on.
    pub(crate) fn new(stream: TcpStream) -> Self {
        Self::after(stream, Buffer::new(LARGEST))
    }

    /// Reads `stream` ahead, behind what was read of it already.
    pub(crate) fn after(stream: TcpStream, ahead: Buffer) -> Self {
        Self {
            stream,
            layer: Ahead(ahead),
        }
    }

    /// The socket.
    pub(crate) fn socket(&self) -> &TcpStream {
        &self.stream
    }
}

impl<S: AsyncRead> Layer<S> for Ahead {
    fn poll_read(
        &mut self,
        stream: Pin<&mut S>,
        context: &mut Context<'_>,
        wanted: &mut ReadBuf<'_>,
    ) -> Poll<io::Result<()>> {
        let Self(ahead) = self;
        if ahead.pending().is_empty() {
            ready!(ahead.poll_fill(context, stream))?;
        }
        ahead.give(wanted);
        Poll::Ready(Ok(()))
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
