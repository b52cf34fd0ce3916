//! A TCP stream whose first bytes can be looked at before anybody reads them.

use std::{
    future::poll_fn,
    io,
    pin::Pin,
    task::{Context, Poll},
    time::Duration,
};

use rustls::server::Acceptor;
use tokio::{
    io::{AsyncRead, ReadBuf},
    net::TcpStream,
    time::timeout,
};

use crate::{
    buffer::{Buffer, LARGEST},
    layered::{Layer, Layered},
    read_ahead::ReadAhead,
    sniff::{self, Begins},
};

/// The stream, and what was looked at.
pub(crate) type Peeked = Layered<First>;

/// What was looked at.
#[derive(Debug)]
pub(crate) struct First(Buffer);

impl Peeked {
    /// A stream of which nothing was looked at.
    pub(crate) fn new(stream: TcpStream) -> Self {
        Self {
            stream,
            layer: First(Buffer::new(LARGEST)),
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
                if let Some(begins) = sniff::begins(self.layer.0.pending()) {
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
            let mut rest = self.layer.0.pending().get(read..).unwrap_or_default();
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
        let Self {
            stream,
            layer: First(first),
        } = self;
        if first.pending().len() >= MOST {
            return Ok(false);
        }
        let read = poll_fn(|context| first.poll_fill(context, Pin::new(stream)));
        Ok(read.await? > 0)
    }

    /// To be read ahead from now on, from the first byte.
    pub(crate) fn into_read_ahead(self) -> ReadAhead {
        ReadAhead::after(self.stream, self.layer.0)
    }
}

impl<S: AsyncRead> Layer<S> for First {
    fn poll_read(
        &mut self,
        stream: Pin<&mut S>,
        context: &mut Context<'_>,
        wanted: &mut ReadBuf<'_>,
    ) -> Poll<io::Result<()>> {
        let Self(first) = self;
        if first.pending().is_empty() {
            return stream.poll_read(context, wanted);
        }
        first.give(wanted);
        Poll::Ready(Ok(()))
    }
}

/// How long a client may be silent before it is taken to wait for the server.
pub(crate) const SNIFF: Duration = Duration::from_millis(200);
/// How long the whole ClientHello of a client that speaks TLS may take.
const CLIENT_HELLO: Duration = Duration::from_secs(10);
/// A ClientHello that is longer is not looked into.
const MOST: usize = 16 * 1024;
