//! Connects to an endpoint: the application itself, or a peer over mTLS.

use std::{
    fmt, io,
    net::SocketAddr,
    path::{Path, PathBuf},
    sync::Arc,
    time::Duration,
};

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

/// Connects to one endpoint.
#[derive(Clone, Debug)]
pub(crate) struct Dialer {
    /// Where it is.
    pub(crate) address: Address,
    /// Checks that the other end is one of the expected SPIFFE IDs; none for an application.
    pub(crate) tls: Option<Arc<ClientConfig>>,
}

/// Where an endpoint is.
#[derive(Clone, Debug, PartialEq, Eq, Hash)]
pub(crate) enum Address {
    /// An address and port.
    Tcp(SocketAddr),
    /// `host:port`, which is looked up for each connection.
    Name(Arc<str>),
    /// A Unix socket.
    Unix(PathBuf),
}

/// Why the next hop cannot be had.
#[derive(Debug, Error)]
pub(crate) enum DialError {
    #[error("{address} cannot be connected to")]
    Connect { address: String, source: io::Error },
    #[error("{address} did not answer within {within:?}")]
    Timeout { address: String, within: Duration },
    #[error("the identity of {address} is not accepted: {reason}")]
    Identity { address: String, reason: String },
}

impl Dialer {
    /// Connects, within this time.
    ///
    /// # Errors
    /// The endpoint cannot be reached, or is not who is expected.
    pub(crate) async fn dial(&self, within: Duration) -> Result<NextHop, DialError> {
        // What a handshake needs goes when it ends; the connection lives on.
        timeout(within, Box::pin(self.connect()))
            .await
            .map_err(|_elapsed| DialError::Timeout {
                address: self.address.to_string(),
                within,
            })?
    }

    async fn connect(&self) -> Result<NextHop, DialError> {
        let unreachable = |source| DialError::Connect {
            address: self.address.to_string(),
            source,
        };
        let stream = match &self.address {
            Address::Tcp(address) => tcp(address).await,
            Address::Name(name) => tcp(&**name).await,
            Address::Unix(path) => {
                let stream = self.unix(path).await.map_err(unreachable)?;
                return Ok(Box::new(stream));
            }
        };
        let stream = stream.map_err(unreachable)?;
        let Some(tls) = &self.tls else {
            return Ok(Box::new(stream));
        };
        let name = self.address.server_name().map_err(unreachable)?;
        let handshake = TlsConnector::from(Arc::clone(tls));
        let handshake = handshake.connect(name, ReadAhead::new(stream));
        let stream = handshake.await.map_err(|error| DialError::Identity {
            address: self.address.to_string(),
            reason: tls::reason(&error),
        })?;
        Ok(Box::new(stream))
    }

    async fn unix(&self, path: &Path) -> io::Result<UnixStream> {
        if self.tls.is_some() {
            let why = "TLS is not spoken on a Unix socket";
            return Err(io::Error::new(io::ErrorKind::Unsupported, why));
        }
        UnixStream::connect(path).await
    }
}

impl Address {
    /// The SNI only; who the other end is, its SPIFFE ID says.
    fn server_name(&self) -> io::Result<ServerName<'static>> {
        let text = self.to_string();
        let host = text.rsplit_once(':').map_or(&*text, |(host, _)| host);
        let host = host.trim_start_matches('[').trim_end_matches(']');
        ServerName::try_from(host.to_owned())
            .map_err(|error| io::Error::new(io::ErrorKind::InvalidInput, error))
    }
}

impl fmt::Display for Address {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        match self {
            Self::Tcp(address) => write!(f, "{address}"),
            Self::Name(name) => f.write_str(name),
            Self::Unix(path) => write!(f, "unix://{}", path.display()),
        }
    }
}

impl From<Target> for Address {
    fn from(target: Target) -> Self {
        match target {
            Target::Tcp(address) => Self::Tcp(address),
            Target::Unix(path) => Self::Unix(path),
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
