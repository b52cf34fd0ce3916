//! Carries bytes both ways between two streams, counts them, and ends a silent pair.

use std::{
    future::{pending, poll_fn},
    io, mem,
    pin::Pin,
    task::{Context, Poll, ready},
    time::Duration,
};

use signet_mesh::TcpPool;
use thiserror::Error;
use tokio::{
    io::{AsyncRead, AsyncWrite},
    time::sleep,
};

use crate::{
    buffer::Buffer,
    flow::{Downstream, End, Traffic, Upstream},
};

/// Why bytes no longer pass.
#[derive(Debug, Error)]
pub(crate) enum Broken {
    #[error("the client's side")]
    Client(#[source] io::Error),
    #[error("the server's side")]
    Server(#[source] io::Error),
    #[error("idle for too long")]
    Silent,
    #[error("it has lived for as long as it may")]
    Aged,
}

/// Copies until both sides have ended, one fails, nothing moved for as long as `terms` say, or
/// their time is over.
///
/// # Errors
/// The failure of either side, the silence of both, or that it took too long.
pub(crate) async fn relay<C, S>(
    mut client: C,
    mut server: S,
    traffic: &Traffic,
    terms: &TcpPool,
) -> Result<(), Broken>
where
    C: AsyncRead + AsyncWrite + Unpin,
    S: AsyncRead + AsyncWrite + Unpin,
{
    let (mut up, mut down) = (Way::new(), Way::new());
    let copying = poll_fn(|context| {
        let upward = up.poll(context, &mut client, &mut server);
        traffic.add_received(mem::take(&mut up.read));
        let downward = down.poll(context, &mut server, &mut client);
        traffic.add_sent(mem::take(&mut down.written));
        let upward = upward.map_err(|fault| match fault {
            Fault::Sender(error) => Broken::Client(error),
            Fault::Receiver(error) => Broken::Server(error),
        });
        let downward = downward.map_err(|fault| match fault {
            Fault::Sender(error) => Broken::Server(error),
            Fault::Receiver(error) => Broken::Client(error),
        });
        match (upward?, downward?) {
            (Poll::Ready(()), Poll::Ready(())) => Poll::Ready(Ok(())),
            (Poll::Pending, _) | (_, Poll::Pending) => Poll::Pending,
        }
    });
    tokio::select! {
        outcome = copying => outcome,
        () = silence(traffic, terms.idle_timeout) => Err(Broken::Silent),
        () = after(terms.max_connection_duration) => Err(Broken::Aged),
    }
}

/// Without a time, never.
async fn after(time: Option<Duration>) {
    match time {
        Some(time) => sleep(time).await,
        None => pending().await,
    }
}

async fn silence(traffic: &Traffic, longest: Option<Duration>) {
    let Some(longest) = longest else {
        return pending().await;
    };
    let mut last = None;
    loop {
        let now = (traffic.received(), traffic.sent());
        if last == Some(now) {
            return;
        }
        last = Some(now);
        sleep(longest).await;
    }
}

/// Which end of a direction failed.
#[derive(Debug)]
enum Fault {
    Sender(io::Error),
    Receiver(io::Error),
}

/// One of the two directions.
#[derive(Debug)]
struct Way {
    buffer: Buffer,
    state: State,
    /// Why the sender ended, if it did not do so in order.
    fault: Option<io::Error>,
    /// Bytes since they were last counted.
    read: usize,
    written: usize,
}

#[derive(Clone, Copy, Debug)]
enum State {
    /// The sender may have more.
    Open,
    /// The sender has ended; the receiver is to have all that came before, and to be told.
    Ending,
    Ended,
}

impl Way {
    fn new() -> Self {
        Self {
            buffer: Buffer::new(RECORD),
            state: State::Open,
            fault: None,
            read: 0,
            written: 0,
        }
    }

    fn poll<F, T>(
        &mut self,
        context: &mut Context<'_>,
        from: &mut F,
        to: &mut T,
    ) -> Poll<Result<(), Fault>>
    where
        F: AsyncRead + Unpin,
        T: AsyncWrite + Unpin,
    {
        loop {
            let silent = self.fill(context, from);
            while !self.buffer.pending().is_empty() {
                let written = ready!(self.buffer.poll_drain(context, Pin::new(to)))
                    .map_err(Fault::Receiver)?;
                if written == 0 {
                    let error = io::ErrorKind::WriteZero.into();
                    return Poll::Ready(Err(Fault::Receiver(error)));
                }
                self.written += written;
            }
            match self.state {
                State::Open if silent => {
                    // What a TLS stream could not write at once goes out now.
                    ready!(Pin::new(to).poll_flush(context)).map_err(Fault::Receiver)?;
                    return Poll::Pending;
                }
                State::Open => {}
                State::Ending => {
                    ready!(Pin::new(&mut *to).poll_flush(context)).map_err(Fault::Receiver)?;
                    if let Some(fault) = self.fault.take() {
                        return Poll::Ready(Err(Fault::Sender(fault)));
                    }
                    let shutdown = ready!(Pin::new(&mut *to).poll_shutdown(context));
                    shutdown.map_err(Fault::Receiver)?;
                    self.state = State::Ended;
                }
                State::Ended => return Poll::Ready(Ok(())),
            }
        }
    }

    /// Reads all there is at the moment; whether the sender was found silent.
    fn fill<F: AsyncRead + Unpin>(&mut self, context: &mut Context<'_>, from: &mut F) -> bool {
        while matches!(self.state, State::Open) && !self.buffer.is_full() {
            match self.buffer.poll_fill(context, Pin::new(from)) {
                Poll::Ready(Ok(0)) => self.state = State::Ending,
                Poll::Ready(Ok(read)) => self.read += read,
                Poll::Ready(Err(fault)) => {
                    self.fault = Some(fault);
                    self.state = State::Ending;
                }
                Poll::Pending => return true,
            }
        }
        false
    }
}

impl From<Result<(), Broken>> for End {
    fn from(outcome: Result<(), Broken>) -> Self {
        match outcome {
            Ok(()) => Self::Complete,
            Err(Broken::Client(error)) => {
                Self::Downstream(Downstream::Broken(error.to_string().into()))
            }
            Err(Broken::Server(error)) => {
                Self::Upstream(Upstream::Broken(error.to_string().into()))
            }
            Err(Broken::Silent) => Self::Downstream(Downstream::Silent),
            Err(Broken::Aged) => Self::Downstream(Downstream::Aged),
        }
    }
}

/// A TLS record's payload. Sealing several at a time costs more: they leave the nearest cache.
const RECORD: usize = 16 * 1024;

#[cfg(test)]
mod tests {
    use futures_util::stream;
    use tokio::{
        io::{AsyncReadExt as _, AsyncWriteExt as _, duplex},
        time::Instant,
    };
    use tokio_util::io::StreamReader;

    use super::*;

    #[tokio::test]
    async fn bytes_pass_both_ways_and_are_counted() {
        let (mut client, client_end) = duplex(64);
        let (mut server, server_end) = duplex(64);
        let (traffic, terms) = (Traffic::default(), TcpPool::default());
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
        let (outcome, (got, answer)) =
            tokio::join!(relay(client_end, server_end, &traffic, &terms), talk);
        outcome.unwrap();
        assert_eq!((&got, answer.as_slice()), (b"ping", b"pong!".as_slice()));
        assert_eq!((traffic.received(), traffic.sent()), (4, 5));
    }

    #[tokio::test]
    async fn what_is_larger_than_any_buffer_passes_whole_and_in_order_both_ways_at_once() {
        let (client, client_end) = duplex(1000);
        let (server, server_end) = duplex(1000);
        let sent: Vec<u8> = (0..=255).cycle().take(500_000).collect();
        let exchange = async |stream: tokio::io::DuplexStream| {
            let (mut read, mut write) = tokio::io::split(stream);
            let send = async {
                write.write_all(&sent).await.unwrap();
                write.shutdown().await.unwrap();
            };
            let mut received = Vec::new();
            let (_, ()) = tokio::join!(read.read_to_end(&mut received), send);
            received
        };
        let (traffic, terms) = (Traffic::default(), TcpPool::default());
        let (outcome, at_client, at_server) = tokio::join!(
            relay(client_end, server_end, &traffic, &terms),
            exchange(client),
            exchange(server)
        );
        outcome.unwrap();
        assert!(at_client == sent && at_server == sent);
        assert_eq!((traffic.received(), traffic.sent()), (500_000, 500_000));
    }

    #[tokio::test]
    async fn what_came_before_a_fault_is_delivered() {
        let (mut client, client_end) = duplex(64);
        let fault = io::Error::from(io::ErrorKind::UnexpectedEof);
        let pieces = stream::iter([Ok("last".as_bytes()), Ok(b" words"), Err(fault)]);
        let server = tokio::io::join(StreamReader::new(pieces), tokio::io::sink());
        let (traffic, terms) = (Traffic::default(), TcpPool::default());
        let mut received = String::new();
        let (outcome, read) = tokio::join!(
            relay(client_end, server, &traffic, &terms),
            client.read_to_string(&mut received)
        );
        let fault = outcome.unwrap_err();
        assert!(
            matches!(&fault, Broken::Server(error) if error.kind() == io::ErrorKind::UnexpectedEof)
        );
        read.unwrap();
        assert_eq!(received, "last words");
        assert_eq!(traffic.sent(), 10);
    }

    /// How two that say nothing end on these terms, and after how many seconds.
    async fn silence_of(terms: TcpPool) -> (Broken, u64) {
        let (_client, client_end) = duplex(64);
        let (_server, server_end) = duplex(64);
        let began = Instant::now();
        let outcome = relay(client_end, server_end, &Traffic::default(), &terms).await;
        (outcome.unwrap_err(), began.elapsed().as_secs())
    }

    #[tokio::test(start_paused = true)]
    async fn a_silent_pair_is_ended_after_an_hour_or_as_it_is_written() {
        let (end, after) = silence_of(TcpPool::default()).await;
        assert!(matches!(end, Broken::Silent) && after == 3600, "{after}");
        let terms = TcpPool {
            idle_timeout: Some(Duration::from_secs(4)),
            ..TcpPool::default()
        };
        let (end, after) = silence_of(terms).await;
        assert!(matches!(end, Broken::Silent) && after == 4, "{after}");
    }

    #[tokio::test(start_paused = true)]
    async fn a_pair_is_ended_when_its_time_is_over() {
        let terms = TcpPool {
            idle_timeout: None,
            max_connection_duration: Some(Duration::from_secs(9)),
            ..TcpPool::default()
        };
        let (end, after) = silence_of(terms).await;
        assert!(matches!(end, Broken::Aged) && after == 9, "{after}");
    }
}
