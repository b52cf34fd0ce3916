//! A stream that gives all there is at the moment in one read.
//!
//! TLS gives one record at a time, 16 KiB at most; what is read of it goes on in pieces of that
//! size, each with a write and a switch of tasks of its own.

use std::{
    io::{self, IoSlice},
    pin::Pin,
    task::{Context, Poll},
};

use tokio::io::{AsyncRead, AsyncWrite, ReadBuf};

/// Reads `S` until the reader's buffer is full or nothing more is there.
#[derive(Debug)]
pub(crate) struct Gather<S> {
    stream: S,
    /// Met after bytes that were given first.
    error: Option<io::Error>,
}

impl<S> Gather<S> {
    /// Gathers what `stream` gives.
    pub(crate) fn new(stream: S) -> Self {
        Self {
            stream,
            error: None,
        }
    }
}

impl<S: AsyncRead + Unpin> AsyncRead for Gather<S> {
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
            let read = Pin::new(&mut self.stream).poll_read(context, wanted);
            match read {
                Poll::Ready(Ok(())) if wanted.filled().len() > before && wanted.remaining() > 0 => {
                }
                Poll::Ready(Err(error)) if before > start => {
                    self.error = Some(error);
                    return Poll::Ready(Ok(()));
                }
                Poll::Pending if before > start => return Poll::Ready(Ok(())),
                Poll::Ready(done) => return Poll::Ready(done),
                Poll::Pending => return Poll::Pending,
            }
        }
    }
}

impl<S: AsyncWrite + Unpin> AsyncWrite for Gather<S> {
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
        pieces: &[IoSlice<'_>],
    ) -> Poll<io::Result<usize>> {
        Pin::new(&mut self.stream).poll_write_vectored(context, pieces)
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
    use futures_util::stream;
    use tokio::io::AsyncReadExt as _;
    use tokio_util::io::StreamReader;

    use super::*;

    fn pieces<const N: usize>(pieces: [io::Result<&'static [u8]>; N]) -> impl AsyncRead + Unpin {
        StreamReader::new(stream::iter(pieces))
    }

    #[tokio::test]
    async fn one_read_gives_all_that_is_there_and_the_end_comes_after_it() {
        let (mut stream, mut buffer) = (Gather::new(pieces([Ok(b"one "), Ok(b"two")])), [0; 64]);
        assert_eq!(stream.read(&mut buffer).await.unwrap(), 7);
        assert_eq!(stream.read(&mut buffer).await.unwrap(), 0);
    }

    #[tokio::test]
    async fn a_failure_comes_after_the_bytes_before_it() {
        let failure = io::ErrorKind::ConnectionReset.into();
        let (mut stream, mut buffer) = (Gather::new(pieces([Ok(b"one"), Err(failure)])), [0; 64]);
        assert_eq!(stream.read(&mut buffer).await.unwrap(), 3);
        let error = stream.read(&mut buffer).await.unwrap_err();
        assert_eq!(error.kind(), io::ErrorKind::ConnectionReset);
    }

    #[tokio::test]
    async fn a_full_buffer_is_given_at_once_and_the_rest_later() {
        let (mut stream, mut buffer) = (Gather::new(&b"one two"[..]), [0; 4]);
        assert_eq!(stream.read(&mut buffer).await.unwrap(), 4);
        assert_eq!(stream.read(&mut buffer).await.unwrap(), 3);
    }
}
