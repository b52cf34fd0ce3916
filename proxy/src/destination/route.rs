//! Connects to the next hop: the application itself, or the destination's proxy over mTLS.

use std::{io, sync::Arc, time::Duration};

use rustls::{ClientConfig, pki_types::ServerName};
use signet_daemon::socket::notice_dead_peer;
use signet_identity::tls;
use thiserror::Error;
use tokio::{
    io::{AsyncRead, AsyncWrite},
    net::{TcpStream, UnixStream},
    time::timeout,
};
use tokio_rustls::TlsConnector;

use crate::{
    config::Target,
    flow::{End, Upstream, whole},
    read_ahead::ReadAhead,
};

/// A stream to the next hop.
pub(crate) type NextHop = Box<dyn Stream>;

/// Bytes both ways.
pub(crate) trait Stream: AsyncRead + AsyncWrite + Send + Unpin {}

impl<T: AsyncRead + AsyncWrite + Send + Unpin> Stream for T {}

/// Where a port's connections go.
#[derive(Clone, Debug)]
pub(crate) enum Route {
    /// The application behind an inbound port.
    Application(Target),
    /// The proxy of an outbound port's destination.
    Peer {
        /// `host:port`.
        connect: String,
        /// Checks that the other end is one of the expected SPIFFE IDs.
        tls: Arc<ClientConfig>,
    },
}

/// Why the next hop cannot be had.
#[derive(Debug, Error)]
pub(crate) enum DialError {
    #[error("{address} cannot be connected to")]
    Connect { address: String, source: io::Error },
    #[error("{address} did not answer within {DIAL:?}")]
    Timeout { address: String },
    #[error("the identity of {address} is not accepted: {reason}")]
    Identity { address: String, reason: String },
}

impl Route {
    /// Connects, within ten seconds.
    ///
    /// # Errors
    /// The next hop cannot be reached, or is not who is expected.
    pub(crate) async fn dial(&self) -> Result<NextHop, DialError> {
        // What a handshake needs goes when it ends; the connection lives on.
        timeout(DIAL, Box::pin(self.connect()))
            .await
            .map_err(|_elapsed| DialError::Timeout {
                address: self.address(),
            })?
    }

    /// The next hop, for logs.
    pub(crate) fn address(&self) -> String {
        match self {
            Self::Application(Target::Tcp(address)) => address.to_string(),
            Self::Application(Target::Unix(path)) => format!("unix://{}", path.display()),
            Self::Peer { connect, .. } => connect.clone(),
        }
    }

    async fn connect(&self) -> Result<NextHop, DialError> {
        let unreachable = |source| DialError::Connect {
            address: self.address(),
            source,
        };
        match self {
            Self::Application(Target::Tcp(address)) => {
                Ok(Box::new(tcp(address).await.map_err(unreachable)?))
            }
            Self::Application(Target::Unix(path)) => Ok(Box::new(
                UnixStream::connect(path).await.map_err(unreachable)?,
            )),
            Self::Peer { connect, tls } => {
                let stream = tcp(connect).await.map_err(unreachable)?;
                let name = server_name(connect).map_err(unreachable)?;
                let handshake = TlsConnector::from(Arc::clone(tls));
                let handshake = handshake.connect(name, ReadAhead::new(stream));
                let stream = handshake.await.map_err(|error| DialError::Identity {
                    address: connect.clone(),
                    reason: tls::reason(&error),
                })?;
                Ok(Box::new(stream))
            }
        }
    }
}

impl From<DialError> for End {
    fn from(error: DialError) -> Self {
        Self::Upstream(Upstream::Unreachable(whole(&error)))
    }
}

async fn tcp(address: impl tokio::net::ToSocketAddrs) -> io::Result<TcpStream> {
    let stream = TcpStream::connect(address).await?;
    stream.set_nodelay(true)?;
    notice_dead_peer(&stream)?;
    Ok(stream)
}

/// The SNI only; who the other end is, its SPIFFE ID says.
fn server_name(connect: &str) -> io::Result<ServerName<'static>> {
    let host = connect.rsplit_once(':').map_or(connect, |(host, _)| host);
    let host = host.trim_start_matches('[').trim_end_matches(']');
    ServerName::try_from(host.to_owned())
        .map_err(|error| io::Error::new(io::ErrorKind::InvalidInput, error))
}

/// Istio's `connectTimeout`.
const DIAL: Duration = Duration::from_secs(10);
