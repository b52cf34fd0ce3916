//! The TLS listener for agents and remote administrators.
//!
//! A client certificate is asked for and not required; one that is shown must be good. Each
//! handshake has a deadline; handshakes and connections have a bound, and one address without a
//! certificate has at most half of each, one SPIFFE ID a few connections. A connection carries
//! its peer's identity to the rules of the API.

use std::{
    io,
    net::SocketAddr,
    pin::Pin,
    sync::Arc,
    task::{Context, Poll},
    time::Duration,
};

use futures_util::Stream;
use rustls::ServerConfig;
use signet_daemon::socket::{
    Acceptor, BindError, ConnectionLimit, Slot, Source, TcpConnection, bind_tcp, give_up_unanswered,
};
use signet_identity::{
    tls::{self, Clients, SharedIdentity, SharedTrust, TlsError},
    x509::Leaf,
};
use tokio::{
    io::{AsyncRead, AsyncWrite, ReadBuf},
    net::{TcpListener, TcpStream},
    sync::mpsc,
    time::timeout,
};
use tokio_rustls::{TlsAcceptor, server::TlsStream};
use tokio_stream::wrappers::ReceiverStream;
use tokio_util::{sync::CancellationToken, task::TaskTracker};
use tonic::transport::server::Connected;
use tracing::debug;

use crate::{
    api::caller::TlsPeer,
    share::{CallerShares, HasItsShare, Permit},
};

/// A bound address on which TLS is spoken.
pub(crate) struct TlsListener {
    tcp: TcpListener,
    config: Arc<ServerConfig>,
}

/// The part of the listener that accepts; it has to run.
pub(crate) struct Handshakes {
    acceptor: Acceptor<TcpListener>,
    handshake: Handshake,
}

/// What each handshake needs.
#[derive(Clone)]
struct Handshake {
    tls: TlsAcceptor,
    /// How many there may be at a time.
    limit: ConnectionLimit,
    /// How many connections each caller may have.
    of_callers: CallerShares,
    ready: mpsc::Sender<io::Result<Connection>>,
}

/// An accepted connection whose handshake is done.
pub(crate) struct Connection {
    stream: TlsStream<TcpStream>,
    peer: TlsPeer,
    _slot: Slot,
    /// Of the caller's share; none without a certificate.
    _permit: Option<Permit>,
}

/// Binds before anything else is started, so that a port in use stops the server early. The kernel
/// notices an agent that is gone without waking anybody, as pings of HTTP/2 would.
pub(crate) fn bind(address: SocketAddr) -> Result<TcpListener, BindError> {
    let listener = bind_tcp(address)?;
    give_up_unanswered(&listener).map_err(|source| BindError::Address { address, source })?;
    Ok(listener)
}

impl TlsListener {
    pub(crate) fn new(
        tcp: TcpListener,
        identity: SharedIdentity,
        trust: SharedTrust,
    ) -> Result<Self, TlsError> {
        let config = tls::server_config(identity, trust, Clients::Optional, &[b"h2"])?;
        Ok(Self { tcp, config })
    }

    /// The connections in the form that tonic serves, and the task that makes them.
    pub(crate) fn split(
        self,
    ) -> (
        Handshakes,
        impl Stream<Item = io::Result<Connection>> + Send,
    ) {
        let (ready, connections) = mpsc::channel(MOST_HANDSHAKES);
        let connection_limit = ConnectionLimit::new(MOST_CONNECTIONS, MOST_CONNECTIONS / 2);
        let handshakes = Handshakes {
            acceptor: Acceptor::new(self.tcp, connection_limit),
            handshake: Handshake {
                tls: self.config.into(),
                limit: ConnectionLimit::new(MOST_HANDSHAKES, MOST_HANDSHAKES / 2),
                of_callers: CallerShares::new("connections", MOST_OF_A_CALLER),
                ready,
            },
        };
        (handshakes, ReceiverStream::new(connections))
    }
}

impl Handshakes {
    /// Accepts until told to stop.
    pub(crate) async fn run(self, shutdown: CancellationToken) {
        let tasks = TaskTracker::new();
        let handle = |connection: TcpConnection, slot| {
            let (handshake, shutdown) = (self.handshake.clone(), shutdown.clone());
            async move {
                let done = handshake.carry(connection, slot);
                shutdown.run_until_cancelled(done).await.unwrap_or(());
            }
        };
        self.acceptor.serve(&shutdown, &tasks, handle).await;
        tasks.close();
        tasks.wait().await;
    }
}

impl Handshake {
    async fn carry(self, connection: TcpConnection, mut slot: Slot) {
        let address = connection.peer;
        let Some((stream, leaf)) = self.peer(connection).await else {
            return;
        };
        let permit = match leaf.as_ref().map(|leaf| self.of_callers.take(&leaf.id)) {
            None => None,
            Some(Ok(permit)) => {
                slot.authenticated();
                Some(permit)
            }
            // It was said; there is no stream yet on which to tell the caller.
            Some(Err(HasItsShare { .. })) => return,
        };
        let connection = Connection {
            stream,
            peer: TlsPeer { address, leaf },
            _slot: slot,
            _permit: permit,
        };
        // The receiver is gone only when the server stops.
        let _ = self.ready.send(Ok(connection)).await;
    }

    /// The handshake, and who is at the other end.
    async fn peer(
        &self,
        connection: TcpConnection,
    ) -> Option<(TlsStream<TcpStream>, Option<Arc<Leaf>>)> {
        let TcpConnection {
            stream,
            peer: address,
        } = connection;
        let Ok(_slot) = timeout(WAIT, self.limit.wait(Source::of(address))).await else {
            debug!(address = %address, "there was no slot for a TLS handshake in time");
            return None;
        };
        let stream = match timeout(HANDSHAKE, self.tls.accept(stream)).await {
            Ok(Ok(stream)) => stream,
            Ok(Err(error)) => {
                debug!(
                    address = %address,
                    error = &error as &dyn std::error::Error,
                    "a TLS handshake failed",
                );
                return None;
            }
            Err(_elapsed) => {
                debug!(address = %address, "a TLS handshake took too long");
                return None;
            }
        };
        match leaf(&stream) {
            Ok(leaf) => Some((stream, leaf)),
            Err(error) => {
                debug!(
                    address = %address,
                    error = &error as &dyn std::error::Error,
                    "a client certificate is not an X509-SVID",
                );
                None
            }
        }
    }
}

fn leaf(
    stream: &TlsStream<TcpStream>,
) -> Result<Option<Arc<Leaf>>, signet_identity::x509::ProfileError> {
    let (_, session) = stream.get_ref();
    Ok(tls::peer_leaf(session.peer_certificates())?.map(Arc::new))
}

impl Connected for Connection {
    type ConnectInfo = TlsPeer;

    fn connect_info(&self) -> TlsPeer {
        self.peer.clone()
    }
}

impl AsyncRead for Connection {
    fn poll_read(
        mut self: Pin<&mut Self>,
        cx: &mut Context<'_>,
        buffer: &mut ReadBuf<'_>,
    ) -> Poll<io::Result<()>> {
        Pin::new(&mut self.stream).poll_read(cx, buffer)
    }
}

impl AsyncWrite for Connection {
    fn poll_write(
        mut self: Pin<&mut Self>,
        cx: &mut Context<'_>,
        bytes: &[u8],
    ) -> Poll<io::Result<usize>> {
        Pin::new(&mut self.stream).poll_write(cx, bytes)
    }

    fn poll_flush(mut self: Pin<&mut Self>, cx: &mut Context<'_>) -> Poll<io::Result<()>> {
        Pin::new(&mut self.stream).poll_flush(cx)
    }

    fn poll_shutdown(mut self: Pin<&mut Self>, cx: &mut Context<'_>) -> Poll<io::Result<()>> {
        Pin::new(&mut self.stream).poll_shutdown(cx)
    }

    // An answer of less than a kilobyte then goes out in one record: HTTP/2 keeps data of 256 bytes
    // apart from the frames around it when it may write several pieces at once, which TLS copies
    // all the same.
    fn is_write_vectored(&self) -> bool {
        false
    }
}

const HANDSHAKE: Duration = Duration::from_secs(10);
/// How long a connection may wait for the handshakes of others.
const WAIT: Duration = Duration::from_secs(10);
/// At a time; of one address, half of them.
const MOST_HANDSHAKES: usize = 256;
/// Of one address, half of them, not counting those that have shown a certificate.
const MOST_CONNECTIONS: usize = 16_384;
/// With one SPIFFE ID. An agent has one, a second while one replaces the other, and for up to half
/// a minute those that it has lost; an administrator's ID may be that of several.
pub(crate) const MOST_OF_A_CALLER: usize = 64;

#[cfg(test)]
mod tests {
    use rustix::net::sockopt;

    use super::*;

    #[tokio::test]
    async fn an_agent_that_acknowledges_nothing_is_given_up_after_half_a_minute() {
        let listener = bind("127.0.0.1:0".parse().unwrap()).unwrap();
        let address = listener.local_addr().unwrap();
        let _agent = TcpStream::connect(address).await.unwrap();
        let (accepted, _) = listener.accept().await.unwrap();
        assert_eq!(sockopt::tcp_user_timeout(&accepted).unwrap(), 30_000);
    }
}
