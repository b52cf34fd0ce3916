//! A stream whose other end has to take what it is sent: one that reads nothing for minutes would
//! otherwise hold the request, the next hop's connection and the buffers of both for as long as it
//! likes.

use std::{
    future::Future as _,
    io::{self, ErrorKind, IoSlice},
    pin::Pin,
    task::{Context, Poll},
    time::Duration,
};

use tokio::{
    io::{AsyncRead, AsyncWrite, ReadBuf},
    time::{Sleep, sleep},
};

/// The stream, and how long it has been waited for.
#[derive(Debug)]
pub(crate) struct Patience<I> {
    io: I,
    /// Runs while something waits to be taken.
    waiting: Option<Pin<Box<Sleep>>>,
}

impl<I> Patience<I> {
    /// Has patience with `io`.
    pub(crate) fn new(io: I) -> Self {
        Self { io, waiting: None }
    }

    /// What came of it, or an end of patience.
    fn until<T>(
        &mut self,
        context: &mut Context<'_>,
        taken: Poll<io::Result<T>>,
    ) -> Poll<io::Result<T>> {
        if taken.is_ready() {
            self.waiting = None;
            return taken;
        }
        let waiting = self
            .waiting
            .get_or_insert_with(|| Box::pin(sleep(PATIENCE)));
        match waiting.as_mut().poll(context) {
            Poll::Pending => Poll::Pending,
            Poll::Ready(()) => Poll::Ready(Err(io::Error::new(
                ErrorKind::TimedOut,
                "the other end takes nothing of what it is sent",
            ))),
        }
    }
}

impl<I: AsyncRead + Unpin> AsyncRead for Patience<I> {
    fn poll_read(
        mut self: Pin<&mut Self>,
        context: &mut Context<'_>,
        wanted: &mut ReadBuf<'_>,
    ) -> Poll<io::Result<()>> {
        Pin::new(&mut self.io).poll_read(context, wanted)
    }
}

impl<I: AsyncWrite + Unpin> AsyncWrite for Patience<I> {
    fn poll_write(
        mut self: Pin<&mut Self>,
        context: &mut Context<'_>,
        bytes: &[u8],
    ) -> Poll<io::Result<usize>> {
        let taken = Pin::new(&mut self.io).poll_write(context, bytes);
        self.until(context, taken)
    }

    fn poll_write_vectored(
        mut self: Pin<&mut Self>,
        context: &mut Context<'_>,
        parts: &[IoSlice<'_>],
    ) -> Poll<io::Result<usize>> {
        let taken = Pin::new(&mut self.io).poll_write_vectored(context, parts);
        self.until(context, taken)
    }

    fn is_write_vectored(&self) -> bool {
        self.io.is_write_vectored()
    }

    fn poll_flush(mut self: Pin<&mut Self>, context: &mut Context<'_>) -> Poll<io::Result<()>> {
        let taken = Pin::new(&mut self.io).poll_flush(context);
        self.until(context, taken)
    }

    fn poll_shutdown(mut self: Pin<&mut Self>, context: &mut Context<'_>) -> Poll<io::Result<()>> {
        let taken = Pin::new(&mut self.io).poll_shutdown(context);
        self.until(context, taken)
    }
}

/// Envoy's stream idle timeout.
const PATIENCE: Duration = Duration::from_secs(300);

#[cfg(test)]
mod tests {
    use tokio::{
        io::{AsyncReadExt as _, AsyncWriteExt as _, duplex},
        time::Instant,
    };

    use super::*;

    #[tokio::test(start_paused = true)]
    async fn who_takes_nothing_for_five_minutes_is_given_up() {
        let (_client, server) = duplex(4);
        let mut server = Patience::new(server);
        let begun = Instant::now();
        let error = server.write_all(b"hello").await.unwrap_err();
        assert_eq!(error.kind(), ErrorKind::TimedOut);
        assert_eq!(begun.elapsed(), PATIENCE);
    }

    #[tokio::test(start_paused = true)]
    async fn who_takes_a_little_now_and_then_is_waited_for() {
        let (mut client, server) = duplex(4);
        let mut server = Patience::new(server);
        let slow = async {
            let mut taken = [0; 8];
            for byte in &mut taken {
                sleep(PATIENCE / 2).await;
                *byte = client.read_u8().await.unwrap();
            }
            taken
        };
        let (sent, taken) = tokio::join!(server.write_all(b"patience"), slow);
        sent.unwrap();
        assert_eq!(&taken, b"patience");
    }
}
