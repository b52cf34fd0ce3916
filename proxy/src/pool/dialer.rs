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
use signet_mesh::TcpKeepalive;
use socket2::SockRef;
use thiserror::Error;
use tokio::{
    io::{AsyncRead, AsyncWrite},
    net::{TcpStream, UnixStream},
    time::timeout,
};
use tokio_rustls::TlsConnector;

use super::{
    held::Held,
    our_end::{OurEnd, Remembered},
    terms::Terms,
};
use crate::{
    config::Target,
    dns::Lookup,
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
    /// Checks that the other end is who is expected; none for an application.
    pub(crate) tls: Option<Secure>,
    our_end: OurEnd,
}

/// By what TLS an endpoint is called.
#[derive(Clone, Debug)]
pub(crate) struct Secure {
    /// Checks who is at the other end.
    pub(crate) config: Arc<ClientConfig>,
    /// The name that is asked for; none in the mesh, where a SPIFFE ID says who it is.
    pub(crate) server_name: Option<ServerName<'static>>,
}

impl From<Arc<ClientConfig>> for Secure {
    /// Of the mesh.
    fn from(config: Arc<ClientConfig>) -> Self {
        Self {
            config,
            server_name: None,
        }
    }
}

/// Where an endpoint is.
#[derive(Clone, Debug, PartialEq, Eq, Hash)]
pub(crate) enum Address {
    /// An address and port.
    Tcp(SocketAddr),
    /// A name, at whose addresses connections are tried in turn.
    Name(Lookup),
    /// A Unix socket.
    Unix(PathBuf),
}

/// Why the next hop cannot be had.
#[derive(Debug, Error)]
pub(crate) enum DialError {
    #[error("{address} cannot be connected to")]
    Connect { address: String, source: io::Error },
    #[error("{address} cannot be resolved: {reason}")]
    Unresolved { address: String, reason: Arc<str> },
    #[error("{address} did not answer within {within:?}")]
    Timeout { address: String, within: Duration },
    #[error("the identity of {address} is not accepted: {reason}")]
    Identity { address: String, reason: String },
    #[error("{address} lets no tunnel through to {called}: {reason}")]
    Refused {
        address: String,
        called: SocketAddr,
        reason: String,
    },
    #[error("{address} has all {streams} streams that one thread may have there")]
    Full { address: String, streams: usize },
}

impl Dialer {
    /// Connects to `address` from whichever address the system chooses.
    pub(crate) fn new(address: impl Into<Address>, tls: Option<Secure>) -> Self {
        Self {
            address: address.into(),
            tls,
            our_end: OurEnd::Any,
        }
    }

    /// The same from `our_end`, if it connects to an address of TCP.
    pub(crate) fn from(mut self, our_end: OurEnd) -> Self {
        self.our_end = our_end;
        self
    }

    /// Connects, on these terms.
    ///
    /// # Errors
    /// The endpoint cannot be reached, or is not who is expected.
    pub(crate) async fn dial(&self, terms: &Terms) -> Result<NextHop, DialError> {
        let within = terms.connect;
        // What a handshake needs goes when it ends; the connection lives on.
        timeout(within, Box::pin(self.connect(terms.probes)))
            .await
            .map_err(|_elapsed| DialError::Timeout {
                address: self.address.to_string(),
                within,
            })?
    }

    async fn connect(&self, probes: Option<TcpKeepalive>) -> Result<NextHop, DialError> {
        let unreachable = |source| DialError::Connect {
            address: self.address.to_string(),
            source,
        };
        let stream = match &self.address {
            Address::Tcp(address) => self.tcp(*address, probes).await,
            Address::Name(lookup) => {
                let addresses = lookup.addresses().await;
                let addresses = addresses.map_err(|reason| DialError::Unresolved {
                    address: lookup.to_string(),
                    reason,
                })?;
                let stream = TcpStream::connect(&*addresses).await;
                stream.and_then(|stream| Ok((tuned(stream, probes)?, None)))
            }
            Address::Unix(path) => {
                let stream = self.unix(path).await.map_err(unreachable)?;
                return Ok(Box::new(stream));
            }
        };
        let (stream, remembered) = stream.map_err(unreachable)?;
        let Some(tls) = &self.tls else {
            return Ok(match remembered {
                None => Box::new(stream),
                Some(remembered) => Box::new(Held::new(stream, remembered)),
            });
        };
        let name = match &tls.server_name {
            Some(name) => name.clone(),
            None => self.address.server_name().map_err(unreachable)?,
        };
        let handshake = TlsConnector::from(Arc::clone(&tls.config));
        let handshake = handshake.connect(name, ReadAhead::new(stream));
        let stream = handshake.await.map_err(|error| DialError::Identity {
            address: self.address.to_string(),
            reason: tls::reason(&error),
        })?;
        Ok(Box::new(stream))
    }

    async fn tcp(
        &self,
        address: SocketAddr,
        probes: Option<TcpKeepalive>,
    ) -> io::Result<(TcpStream, Option<Remembered>)> {
        let (stream, remembered) = self.our_end.connect(address).await?;
        Ok((tuned(stream, probes)?, remembered))
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
            Self::Name(lookup) => write!(f, "{lookup}"),
            Self::Unix(path) => write!(f, "unix://{}", path.display()),
        }
    }
}

impl From<SocketAddr> for Address {
    fn from(address: SocketAddr) -> Self {
        Self::Tcp(address)
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

/// Small writes do not wait, and the kernel probes it.
fn tuned(stream: TcpStream, probes: Option<TcpKeepalive>) -> io::Result<TcpStream> {
    stream.set_nodelay(true)?;
    match probes {
        None => notice_dead_peer(&stream)?,
        Some(probes) => {
            let mut wanted = socket2::TcpKeepalive::new();
            if let Some(count) = probes.probes {
                wanted = wanted.with_retries(count);
            }
            if let Some(time) = probes.time {
                wanted = wanted.with_time(time);
            }
            if let Some(interval) = probes.interval {
                wanted = wanted.with_interval(interval);
            }
            let socket = SockRef::from(&stream);
            socket.set_keepalive(true)?;
            socket.set_tcp_keepalive(&wanted)?;
        }
    }
    Ok(stream)
}

#[cfg(test)]
mod tests {
    use tokio::net::TcpListener;

    use super::*;

    #[tokio::test]
    async fn the_kernel_probes_a_connection_as_it_is_written() {
        let listener = TcpListener::bind("127.0.0.1:0").await.unwrap();
        let probes = TcpKeepalive {
            probes: Some(3),
            time: Some(Duration::from_secs(7)),
            interval: Some(Duration::from_secs(2)),
        };
        let address = listener.local_addr().unwrap();
        let stream = TcpStream::connect(address).await.unwrap();
        let stream = tuned(stream, Some(probes)).unwrap();
        let socket = SockRef::from(&stream);
        assert!(socket.keepalive().unwrap());
        assert_eq!(socket.tcp_keepalive_retries().unwrap(), 3);
        assert_eq!(socket.tcp_keepalive_time().unwrap(), Duration::from_secs(7));
        let interval = socket.tcp_keepalive_interval().unwrap();
        assert_eq!(interval, Duration::from_secs(2));
    }
}
