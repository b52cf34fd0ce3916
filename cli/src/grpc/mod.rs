//! Calls over a Unix socket: connect, wait no longer than a deadline, say what went wrong.

pub(crate) mod socket;
mod status;

use std::{error::Error, io, time::Duration};

use hyper_util::rt::TokioIo;
use signet_identity::endpoint::Endpoint;
use thiserror::Error;
use tokio::{net::UnixStream, time::timeout};
use tonic::{
    Code, Response, Status,
    transport::{self, Channel, Uri},
};
use tower::service_fn;

pub(crate) use self::status::CallError;

/// How long an administrator's call may take.
pub(crate) const DEADLINE: Duration = Duration::from_secs(30);
/// The largest message that is read: a list of bundles is not paged.
pub(crate) const MESSAGE_LIMIT: usize = 64 << 20;

const CONNECT: Duration = Duration::from_secs(5);

/// Who should be listening: for error messages.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub(crate) enum Peer {
    /// A server's admin socket.
    Server,
    /// An agent's Workload API socket.
    Agent,
}

impl Peer {
    fn name(self) -> &'static str {
        match self {
            Self::Server => "server",
            Self::Agent => "agent",
        }
    }
}

/// Why there is nobody to talk to.
#[derive(Debug, Error)]
pub(crate) enum ConnectError {
    #[error(
        "no {} listens at {endpoint}: there is no such socket; start `signet {} run`, \
         or name the socket of one that runs with --socket-path",
        peer.name(), peer.name()
    )]
    Missing { peer: Peer, endpoint: Endpoint },
    #[error(
        "no {} listens at {endpoint}: the socket was left behind by one that no longer runs; \
         start `signet {} run`",
        peer.name(), peer.name()
    )]
    Deserted { peer: Peer, endpoint: Endpoint },
    #[error(
        "may not open {endpoint}: run as the user of the {} or as root",
        peer.name()
    )]
    Forbidden { peer: Peer, endpoint: Endpoint },
    #[error("the {} at {endpoint} did not accept a connection within {CONNECT:?}", peer.name())]
    Slow { peer: Peer, endpoint: Endpoint },
    #[error("cannot connect to the {} at {endpoint}: {source}", peer.name())]
    Other {
        peer: Peer,
        endpoint: Endpoint,
        source: transport::Error,
    },
}

/// A connection to the daemon at `endpoint`.
pub(crate) async fn connect(peer: Peer, endpoint: &Endpoint) -> Result<Channel, ConnectError> {
    match timeout(CONNECT, dial(endpoint)).await {
        Ok(Ok(channel)) => Ok(channel),
        Ok(Err(source)) => Err(explain(peer, endpoint, source)),
        Err(_) => Err(ConnectError::Slow {
            peer,
            endpoint: endpoint.clone(),
        }),
    }
}

async fn dial(endpoint: &Endpoint) -> Result<Channel, transport::Error> {
    match endpoint {
        Endpoint::Unix(path) => {
            let path = path.clone();
            let connector = service_fn(move |_: Uri| {
                let path = path.clone();
                async move { UnixStream::connect(path).await.map(TokioIo::new) }
            });
            // A Unix socket has no authority; gRPC wants one, and this is what Go's client sends.
            let endpoint = transport::Endpoint::from_static("http://localhost");
            endpoint.connect_with_connector(connector).await
        }
        Endpoint::Tcp(address) => {
            let endpoint = transport::Endpoint::from_shared(format!("http://{address}"))?;
            endpoint.connect().await
        }
    }
}

/// Waits for the answer to one call.
pub(crate) async fn call<T>(
    deadline: Duration,
    answer: impl Future<Output = Result<Response<T>, Status>>,
) -> Result<T, CallError> {
    match timeout(deadline, answer).await {
        Ok(answer) => Ok(answer?.into_inner()),
        Err(_) => Err(CallError::late(deadline)),
    }
}

/// Waits for the first message of a stream.
pub(crate) async fn first<T>(
    deadline: Duration,
    stream: impl Future<Output = Result<Response<tonic::Streaming<T>>, Status>>,
) -> Result<T, CallError> {
    let first = async {
        let mut stream = stream.await?.into_inner();
        let ended = || Status::new(Code::Unavailable, "the stream ended without an answer");
        stream.message().await?.ok_or_else(ended).map(Response::new)
    };
    call(deadline, first).await
}

fn explain(peer: Peer, endpoint: &Endpoint, source: transport::Error) -> ConnectError {
    let endpoint = endpoint.clone();
    match io_kind(&source) {
        Some(io::ErrorKind::NotFound) => ConnectError::Missing { peer, endpoint },
        Some(io::ErrorKind::ConnectionRefused) => ConnectError::Deserted { peer, endpoint },
        Some(io::ErrorKind::PermissionDenied) => ConnectError::Forbidden { peer, endpoint },
        _ => ConnectError::Other {
            peer,
            endpoint,
            source,
        },
    }
}

/// The operating system's reason, wherever in the chain it is.
fn io_kind(error: &(dyn Error + 'static)) -> Option<io::ErrorKind> {
    let mut cause = Some(error);
    while let Some(error) = cause {
        if let Some(error) = error.downcast_ref::<io::Error>() {
            return Some(error.kind());
        }
        cause = error.source();
    }
    None
}

#[cfg(test)]
mod tests {
    use super::*;

    #[tokio::test]
    async fn a_missing_socket_is_named_with_the_remedy() {
        let folder = tempfile::tempdir().unwrap();
        let endpoint = Endpoint::Unix(folder.path().join("api.sock"));
        let error = connect(Peer::Server, &endpoint).await.unwrap_err();
        assert_eq!(
            error.to_string(),
            format!(
                "no server listens at {}: there is no such socket; start `signet server run`, \
                 or name the socket of one that runs with --socket-path",
                endpoint
            )
        );
    }

    #[tokio::test]
    async fn a_deserted_socket_is_told_from_a_missing_one() {
        let folder = tempfile::tempdir().unwrap();
        let path = folder.path().join("api.sock");
        drop(std::os::unix::net::UnixListener::bind(&path).unwrap());
        let error = connect(Peer::Agent, &Endpoint::Unix(path))
            .await
            .unwrap_err();
        assert!(matches!(error, ConnectError::Deserted { .. }), "{error}");
    }

    #[tokio::test]
    async fn a_call_ends_at_its_deadline() {
        let never = std::future::pending::<Result<Response<()>, Status>>();
        let error = call(Duration::from_millis(1), never).await.unwrap_err();
        assert_eq!(
            error.to_string(),
            "rpc error: code = DeadlineExceeded desc = no answer within 1ms"
        );
    }
}
