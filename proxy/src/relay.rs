//! Carries bytes both ways between two streams, counts them, and ends a silent pair.

use std::{
    io,
    pin::Pin,
    sync::atomic::{AtomicU64, Ordering},
    task::{Context, Poll, ready},
    time::Duration,
};

use tokio::{
    io::{AsyncRead, AsyncWrite, ReadBuf, copy_bidirectional_with_sizes},
    time::sleep,
};

/// Bytes of one connection, as its client sees them.
#[derive(Debug, Default)]
pub(crate) struct Traffic {
    received: AtomicU64,
    sent: AtomicU64,
}

impl Traffic {
    /// Bytes that came from the client.
    pub(crate) fn received(&self) -> u64 {
        self.received.load(Ordering::Relaxed)
    }

    /// Bytes that went to the client.
    pub(crate) fn sent(&self) -> u64 {
        self.sent.load(Ordering::Relaxed)
    }
}

/// Copies until both sides have ended, one fails, or nothing moved for an hour.
///
/// # Errors
/// The failure of either side; [`io::ErrorKind::TimedOut`] for silence.
pub(crate) async fn relay<C, S>(client: C, mut server: S, traffic: &Traffic) -> io::Result<()>
where
    C: AsyncRead + AsyncWrite + Unpin,
    S: AsyncRead + AsyncWrite + Unpin,
{
    let mut client = Counted {
        stream: client,
        traffic,
    };
    let copying = copy_bidirectional_with_sizes(&mut client, &mut server, BUFFER, BUFFER);
    tokio::select! {
        outcome = copying => outcome.map(|_| ()),
        () = silence(traffic) => Err(io::Error::new(io::ErrorKind::TimedOut, "idle for too long")),
    }
}

async fn silence(traffic: &Traffic) {
    let mut last = None;
    loop {
        let now = (traffic.received(), traffic.sent());
        if last == Some(now) {
            return;
        }
        last = Some(now);
        sleep(IDLE).await;
    }
}

struct Counted<'a, S> {
    stream: S,
    traffic: &'a Traffic,
}

impl<S: AsyncRead + Unpin> AsyncRead for Counted<'_, S> {
    fn poll_read(
        mut self: Pin<&mut Self>,
        context: &mut Context<'_>,
        buffer: &mut ReadBuf<'_>,
    ) -> Poll<io::Result<()>> {
        let before = buffer.filled().len();
        ready!(Pin::new(&mut self.stream).poll_read(context, buffer))?;
        add(
            &self.traffic.received,
            buffer.filled().len().saturating_sub(before),
        );
        Poll::Ready(Ok(()))
    }
}

impl<S: AsyncWrite + Unpin> AsyncWrite for Counted<'_, S> {
    fn poll_write(
        mut self: Pin<&mut Self>,
        context: &mut Context<'_>,
        bytes: &[u8],
    ) -> Poll<io::Result<usize>> {
        let written = ready!(Pin::new(&mut self.stream).poll_write(context, bytes))?;
        add(&self.traffic.sent, written);
        Poll::Ready(Ok(written))
    }

    fn poll_flush(mut self: Pin<&mut Self>, context: &mut Context<'_>) -> Poll<io::Result<()>> {
        Pin::new(&mut self.stream).poll_flush(context)
    }

    fn poll_shutdown(mut self: Pin<&mut Self>, context: &mut Context<'_>) -> Poll<io::Result<()>> {
        Pin::new(&mut self.stream).poll_shutdown(context)
    }
}

fn add(counter: &AtomicU64, bytes: usize) {
    counter.fetch_add(u64::try_from(bytes).unwrap_or(u64::MAX), Ordering::Relaxed);
}

/// A TLS record's payload: one read, one record.
const BUFFER: usize = 16 * 1024;
/// Istio's `connectionPool.tcp.idleTimeout`.
const IDLE: Duration = Duration::from_secs(3600);

#[cfg(test)]
mod tests {
    use tokio::io::{AsyncReadExt as _, AsyncWriteExt as _, duplex};

    use super::*;

    #[tokio::test]
    async fn bytes_pass_both_ways_and_are_counted() {
        let (mut client, client_end) = duplex(64);
        let (mut server, server_end) = duplex(64);
        let traffic = Traffic::default();
        let talk = async {
            client.write_all(b"ping").await.unwrap();
            let mut got = [0; 4];
            server.read_exact(&mut got).await.unwrap();
            server.write_all(b"pong!").await.unwrap();
            server.shutdown().await.unwrap();
            let mut answer = Vec::new();
            client.read_to_end(&mut answer).await.unwrap();
            client.shutdown().await.unwrap();
            (got, answer)
        };
        let (outcome, (got, answer)) = tokio::join!(relay(client_end, server_end, &traffic), talk);
        outcome.unwrap();
        assert_eq!((&got, answer.as_slice()), (b"ping", b"pong!".as_slice()));
        assert_eq!((traffic.received(), traffic.sent()), (4, 5));
    }

    #[tokio::test(start_paused = true)]
    async fn a_silent_pair_is_ended() {
        let (_client, client_end) = duplex(64);
        let (_server, server_end) = duplex(64);
        let outcome = relay(client_end, server_end, &Traffic::default()).await;
        assert_eq!(outcome.unwrap_err().kind(), io::ErrorKind::TimedOut);
    }
}
