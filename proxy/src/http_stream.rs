//! A stream as HTTP is read from and written to.
//!
//! A read gives all there is at the moment: TLS gives one record at a time, 16 KiB at most, and
//! what is read of it would go on in pieces of that size, each with a write and a switch of tasks
//! of its own. A write has an end: one who reads nothing for minutes would otherwise hold the
//! request, the next hop's connection and the buffers of both for as long as it likes.

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

/// A stream that gathers what it reads, and whose other end has to take what it is sent.
#[derive(Debug)]
pub(crate) struct HttpStream<I> {
    io: I,
    /// Met after bytes that were given first.
    error: Option<io::Error>,
    /// Runs while something waits to be taken.
    waiting: Option<Pin<Box<Sleep>>>,
}

impl<I> HttpStream<I> {
    /// Reads and writes `io`.
    pub(crate) fn new(io: I) -> Self {
        Self {
            io,
            error: None,
            waiting: None,
        }
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

impl<I: AsyncRead + Unpin> AsyncRead for HttpStream<I> {
    fn poll_read(
        mut self: Pin<&mut Self>,
        context: &mut Context<'_>,
        wanted: &mut ReadBuf<'_>,
    ) -> Poll<io::Result<()>> {
        if let Some(error) = self.error.take() {
            return Poll::Ready(Err(error));
        }
        let start = wanted.filled().len();
        loop {
            let before = wanted.filled().len();
            let read = Pin::new(&mut self.io).poll_read(context, wanted);
            let gathered = before > start;
            match read {
                Poll::Ready(Ok(())) if wanted.filled().len() > before && wanted.remaining() > 0 => {
                }
                Poll::Ready(Err(error)) if gathered => {
                    self.error = Some(error);
                    return Poll::Ready(Ok(()));
                }
                Poll::Pending if gathered => return Poll::Ready(Ok(())),
                Poll::Ready(done) => return Poll::Ready(done),
                Poll::Pending => return Poll::Pending,
            }
        }
    }
}

impl<I: AsyncWrite + Unpin> AsyncWrite for HttpStream<I> {
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
    use futures_util::stream;
    use tokio::{
        io::{AsyncReadExt as _, AsyncWriteExt as _, duplex},
        time::Instant,
    };
    use tokio_util::io::StreamReader;

    use super::*;

    fn pieces<const N: usize>(pieces: [io::Result<&'static [u8]>; N]) -> impl AsyncRead + Unpin {
        StreamReader::new(stream::iter(pieces))
    }

    #[tokio::test]
    async fn one_read_gives_all_that_is_there_and_the_end_comes_after_it() {
        let mut stream = HttpStream::new(pieces([Ok(b"one "), Ok(b"two")]));
        let mut buffer = [0; 64];
        assert_eq!(stream.read(&mut buffer).await.unwrap(), 7);
        assert_eq!(stream.read(&mut buffer).await.unwrap(), 0);
    }

    #[tokio::test]
    async fn a_failure_comes_after_the_bytes_before_it() {
        let failure = ErrorKind::ConnectionReset.into();
        let mut stream = HttpStream::new(pieces([Ok(b"one"), Err(failure)]));
        let mut buffer = [0; 64];
        assert_eq!(stream.read(&mut buffer).await.unwrap(), 3);
        let error = stream.read(&mut buffer).await.unwrap_err();
        assert_eq!(error.kind(), ErrorKind::ConnectionReset);
    }

    #[tokio::test]
    async fn a_full_buffer_is_given_at_once_and_the_rest_later() {
        let (mut stream, mut buffer) = (HttpStream::new(&b"one two"[..]), [0; 4]);
        assert_eq!(stream.read(&mut buffer).await.unwrap(), 4);
        assert_eq!(stream.read(&mut buffer).await.unwrap(), 3);
    }

    #[tokio::test(start_paused = true)]
    async fn who_takes_nothing_for_five_minutes_is_given_up() {
        let (_client, server) = duplex(4);
        let mut server = HttpStream::new(server);
        let begun = Instant::now();
        let error = server.write_all(b"hello").await.unwrap_err();
        assert_eq!(error.kind(), ErrorKind::TimedOut);
        assert_eq!(begun.elapsed(), PATIENCE);
    }

    #[tokio::test(start_paused = true)]
    async fn who_takes_a_little_now_and_then_is_waited_for() {
        let (mut client, server) = duplex(4);
        let mut server = HttpStream::new(server);
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
