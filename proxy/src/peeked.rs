//! A TCP stream whose first bytes can be looked at before anybody reads them.

use std::{
    future::poll_fn,
    io::{self, IoSlice},
    pin::Pin,
    task::{Context, Poll},
    time::Duration,
};

use rustls::server::Acceptor;
use tokio::{
    io::{AsyncRead, AsyncWrite, ReadBuf},
    net::TcpStream,
    time::timeout,
};

use crate::{
    buffer::{Buffer, LARGEST},
    read_ahead::ReadAhead,
    sniff::{self, Begins},
};

/// The stream, and what was looked at.
#[derive(Debug)]
pub(crate) struct Peeked {
    stream: TcpStream,
    first: Buffer,
}

impl Peeked {
    /// A stream of which nothing was looked at.
    pub(crate) fn new(stream: TcpStream) -> Self {
        Self {
            stream,
            first: Buffer::new(LARGEST),
        }
    }

    /// What it begins with, as far as that is said within [`SNIFF`]: a client that waits for the
    /// server's first word is not held up for longer.
    ///
    /// # Errors
    /// The connection is broken.
    pub(crate) async fn begins(&mut self) -> io::Result<Begins> {
        self.begins_within(SNIFF).await
    }

    /// The same for a client that speaks first.
    ///
    /// # Errors
    /// The connection is broken.
    pub(crate) async fn begins_within(&mut self, within: Duration) -> io::Result<Begins> {
        let told = async {
            loop {
                if let Some(begins) = sniff::begins(self.first.pending()) {
                    return Ok(begins);
                }
                if !self.more().await? {
                    return Ok(Begins::Other);
                }
            }
        };
        timeout(within, told).await.unwrap_or(Ok(Begins::Other))
    }

    /// The server name that a client of TLS asks for (RFC 6066 §3); none if it asks for none, or
    /// speaks no TLS.
    ///
    /// # Errors
    /// The connection is broken, or the ClientHello took too long.
    pub(crate) async fn server_name(&mut self) -> io::Result<Option<String>> {
        let late =
            |_elapsed| io::Error::new(io::ErrorKind::TimedOut, "no ClientHello came in time");
        timeout(CLIENT_HELLO, self.client_hello())
            .await
            .map_err(late)?
    }

    async fn client_hello(&mut self) -> io::Result<Option<String>> {
        let (mut acceptor, mut read) = (Acceptor::default(), 0);
        loop {
            let mut rest = self.first.pending().get(read..).unwrap_or_default();
            while !rest.is_empty() {
                read += acceptor.read_tls(&mut rest)?;
                match acceptor.accept() {
                    Ok(Some(accepted)) => {
                        let hello = accepted.client_hello();
                        return Ok(hello.server_name().map(str::to_owned));
                    }
                    Ok(None) => {}
                    Err(_no_hello) => return Ok(None),
                }
            }
            if !self.more().await? {
                return Ok(None);
            }
        }
    }

    /// Waits for more first bytes; whether there are, and may be.
    async fn more(&mut self) -> io::Result<bool> {
        let Self { stream, first } = self;
        if first.pending().len() >= MOST {
            return Ok(false);
        }
        let read = poll_fn(|context| first.poll_fill(context, Pin::new(stream)));
        Ok(read.await? > 0)
    }

    /// To be read ahead from now on, from the first byte.
    pub(crate) fn into_read_ahead(self) -> ReadAhead {
        ReadAhead::after(self.stream, self.first)
    }
}

impl AsyncRead for Peeked {
    fn poll_read(
        mut self: Pin<&mut Self>,
        context: &mut Context<'_>,
        wanted: &mut ReadBuf<'_>,
    ) -> Poll<io::Result<()>> {
        let Self { stream, first } = &mut *self;
        let pending = first.pending();
        if pending.is_empty() {
            return Pin::new(stream).poll_read(context, wanted);
        }
        let (given, _) = pending.split_at(pending.len().min(wanted.remaining()));
        wanted.put_slice(given);
        let given = given.len();
        first.consume(given);
        Poll::Ready(Ok(()))
    }
}

impl AsyncWrite for Peeked {
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

/// How long a client may be silent before it is taken to wait for the server.
pub(crate) const SNIFF: Duration = Duration::from_millis(200);
/// How long the whole ClientHello of a client that speaks TLS may take.
const CLIENT_HELLO: Duration = Duration::from_secs(10);
/// A ClientHello that is longer is not looked into.
const MOST: usize = 16 * 1024;
