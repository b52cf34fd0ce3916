//! A gRPC channel to the server over the agent's own TLS: rustls with SPIFFE's rules, which tonic's
//! TLS cannot be given.

use std::{fmt, io, sync::Arc, time::Duration};

use hyper_util::rt::TokioIo;
use rustls::{ClientConfig, pki_types::ServerName};
use signet_daemon::socket;
use tokio::{net::TcpStream, time::timeout};
use tokio_rustls::{TlsConnector, client::TlsStream};
use tonic::transport::{Channel, Endpoint, Uri};
use tower::service_fn;

/// Where the server is.
#[derive(Clone, Debug, PartialEq, Eq)]
pub(crate) struct Target {
    host: String,
    port: u16,
    name: ServerName<'static>,
}

/// A server address that cannot be one.
#[derive(Debug, thiserror::Error)]
#[error("`{0}` is neither a host name nor an IP address")]
pub(crate) struct TargetError(String);

impl Target {
    pub(crate) fn new(host: &str, port: u16) -> Result<Self, TargetError> {
        let host = host.trim_start_matches('[').trim_end_matches(']');
        let Ok(name) = ServerName::try_from(host.to_owned()) else {
            return Err(TargetError(host.to_owned()));
        };
        Ok(Self {
            host: host.to_owned(),
            port,
            name,
        })
    }

    fn uri(&self, scheme: &str) -> Result<Uri, TargetError> {
        let authority = if self.host.contains(':') {
            format!("[{}]:{}", self.host, self.port)
        } else {
            format!("{}:{}", self.host, self.port)
        };
        let uri = Uri::builder().scheme(scheme).authority(authority);
        let Ok(uri) = uri.path_and_query("/").build() else {
            return Err(TargetError(self.host.clone()));
        };
        Ok(uri)
    }
}

impl fmt::Display for Target {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        write!(f, "{}:{}", self.host, self.port)
    }
}

/// A channel that connects when it is first used, and again when a connection has ended.
pub(crate) fn lazy(target: &Target, tls: &Arc<ClientConfig>) -> Result<Channel, TargetError> {
    // tonic would bring TLS of its own for an https endpoint; the server sees `https`.
    let endpoint = Endpoint::from(target.uri("http")?).origin(target.uri("https")?);
    let target = target.clone();
    let tls = Arc::clone(tls);
    let connector = service_fn(move |_: Uri| {
        let target = target.clone();
        let tls = Arc::clone(&tls);
        async move { connect(&target, tls).await.map(TokioIo::new) }
    });
    Ok(endpoint.connect_with_connector_lazy(connector))
}

async fn connect(target: &Target, tls: Arc<ClientConfig>) -> io::Result<TlsStream<TcpStream>> {
    let dial = async {
        let tcp = open(target).await?;
        let connector = TlsConnector::from(tls);
        let handshake = connector.connect(target.name.clone(), tcp).await;
        handshake
            .map_err(|error| io::Error::new(error.kind(), signet_identity::tls::reason(&error)))
    };
    match timeout(CONNECT, dial).await {
        Ok(outcome) => outcome,
        Err(_) => Err(io::Error::new(
            io::ErrorKind::TimedOut,
            format!("no connection to {target} within {CONNECT:?}"),
        )),
    }
}

async fn open(target: &Target) -> io::Result<TcpStream> {
    let tcp = TcpStream::connect((target.host.as_str(), target.port)).await?;
    tcp.set_nodelay(true)?;
    notice_dead_peer(&tcp)?;
    Ok(tcp)
}

/// A watch waits for the server, perhaps for hours: the kernel has to notice that it is gone.
/// HTTP/2 pings would do too, but servers in Go close connections that ping often.
fn notice_dead_peer(tcp: &TcpStream) -> io::Result<()> {
    socket::notice_dead_peer(tcp)?;
    socket::give_up_unanswered(tcp)
}

const CONNECT: Duration = Duration::from_secs(10);

#[cfg(test)]
mod tests {
    use rustix::net::sockopt;
    use tokio::net::TcpListener;

    use super::*;

    #[tokio::test]
    async fn a_dead_server_is_noticed_in_half_a_minute_with_something_under_way_and_without() {
        let listener = TcpListener::bind("127.0.0.1:0").await.unwrap();
        let port = listener.local_addr().unwrap().port();
        let tcp = open(&Target::new("127.0.0.1", port).unwrap())
            .await
            .unwrap();
        assert_eq!(sockopt::tcp_user_timeout(&tcp).unwrap(), 30_000);
        assert!(sockopt::socket_keepalive(&tcp).unwrap());
    }
}
