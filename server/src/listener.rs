//! The TLS listener for agents and remote administrators.
//!
//! A client certificate is asked for and not required; one that is shown must be good. Each
//! handshake has a deadline, handshakes and connections have a bound, and a connection carries
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
use signet_daemon::socket::{accept_tcp, bind_tcp};
use signet_identity::{
    tls::{self, Clients, SharedIdentity, SharedTrust, TlsError},
    x509::Leaf,
};
use tokio::{
    io::{AsyncRead, AsyncWrite, ReadBuf},
    net::{TcpListener, TcpStream},
    sync::{OwnedSemaphorePermit, Semaphore, mpsc},
    task::JoinSet,
    time::timeout,
};
use tokio_rustls::{TlsAcceptor, server::TlsStream};
use tokio_stream::wrappers::ReceiverStream;
use tokio_util::sync::CancellationToken;
use tonic::transport::server::Connected;
use tracing::debug;

use crate::api::caller::TlsPeer;

/// A bound address on which TLS is spoken.
pub(crate) struct TlsListener {
    tcp: TcpListener,
    config: Arc<ServerConfig>,
}

/// The part of the listener that accepts; it has to run.
pub(crate) struct Acceptor {
    tcp: TcpListener,
    config: Arc<ServerConfig>,
    ready: mpsc::Sender<io::Result<Connection>>,
}

/// An accepted connection whose handshake is done.
pub(crate) struct Connection {
    stream: TlsStream<TcpStream>,
    peer: TlsPeer,
    /// Makes room for another connection when this one is gone.
    _room: OwnedSemaphorePermit,
}

/// Binds before anything else is started, so that a port in use stops the server early.
pub(crate) fn bind(address: SocketAddr) -> Result<TcpListener, signet_daemon::socket::BindError> {
    bind_tcp(address)
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
    pub(crate) fn split(self) -> (Acceptor, impl Stream<Item = io::Result<Connection>> + Send) {
        let (ready, connections) = mpsc::channel(MOST_HANDSHAKES);
        let acceptor = Acceptor {
            tcp: self.tcp,
            config: self.config,
            ready,
        };
        (acceptor, ReceiverStream::new(connections))
    }
}

impl Acceptor {
    /// Accepts until told to stop.
    pub(crate) async fn run(self, shutdown: CancellationToken) {
        let room = Arc::new(Semaphore::new(MOST_CONNECTIONS));
        let mut handshakes = JoinSet::new();
        while let Some(next) = shutdown
            .run_until_cancelled(self.next(&room, &mut handshakes))
            .await
        {
            let Some((stream, address, room)) = next else {
                break;
            };
            let acceptor = TlsAcceptor::from(Arc::clone(&self.config));
            let ready = self.ready.clone();
            handshakes.spawn(async move {
                if let Some(connection) = handshake(acceptor, stream, (address, room)).await {
                    // The receiver is gone only when the server stops.
                    let _ = ready.send(Ok(connection)).await;
                }
            });
        }
        handshakes.shutdown().await;
    }

    /// The next connection for which there is room.
    async fn next(
        &self,
        room: &Arc<Semaphore>,
        handshakes: &mut JoinSet<()>,
    ) -> Option<(TcpStream, SocketAddr, OwnedSemaphorePermit)> {
        while handshakes.try_join_next().is_some() {}
        if handshakes.len() >= MOST_HANDSHAKES {
            handshakes.join_next().await;
        }
        // The semaphore is never closed.
        let room = Arc::clone(room).acquire_owned().await.ok()?;
        let (stream, address) = accept_tcp(&self.tcp).await;
        Some((stream, address, room))
    }
}

async fn handshake(
    acceptor: TlsAcceptor,
    stream: TcpStream,
    (address, room): (SocketAddr, OwnedSemaphorePermit),
) -> Option<Connection> {
    let stream = match timeout(HANDSHAKE, acceptor.accept(stream)).await {
        Ok(Ok(stream)) => stream,
        Ok(Err(error)) => {
            debug!(address = %address, error = &error as &dyn std::error::Error, "a TLS handshake failed");
            return None;
        }
        Err(_elapsed) => {
            debug!(address = %address, "a TLS handshake took too long");
            return None;
        }
    };
    let leaf = match leaf(&stream) {
        Ok(leaf) => leaf,
        Err(error) => {
            debug!(address = %address, error = &error as &dyn std::error::Error, "a client certificate is not an X509-SVID");
            return None;
        }
    };
    Some(Connection {
        stream,
        peer: TlsPeer { address, leaf },
        _room: room,
    })
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

    fn poll_write_vectored(
        mut self: Pin<&mut Self>,
        cx: &mut Context<'_>,
        parts: &[io::IoSlice<'_>],
    ) -> Poll<io::Result<usize>> {
        Pin::new(&mut self.stream).poll_write_vectored(cx, parts)
    }

    fn is_write_vectored(&self) -> bool {
        self.stream.is_write_vectored()
    }
}

const HANDSHAKE: Duration = Duration::from_secs(10);
const MOST_HANDSHAKES: usize = 256;
const MOST_CONNECTIONS: usize = 16_384;
