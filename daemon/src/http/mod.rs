//! A small HTTP server for what programs ask a daemon without gRPC, such as health probes
//! and the questions of an administrator.
//!
//! HTTP/1.1, one request per connection. Connections are bounded in number and in time, what one
//! address has of them too, and an answer in its size.

mod router;

use std::{
    convert::Infallible, io, net::SocketAddr, path::Path, pin::pin, sync::Arc, time::Duration,
};

use http::Request;
use hyper::{body::Incoming, server::conn::http1, service::service_fn};
use hyper_util::rt::{TokioIo, TokioTimer};
use tokio::{
    io::{AsyncRead, AsyncWrite},
    net::TcpListener,
    time::timeout,
};
use tokio_util::{sync::CancellationToken, task::TaskTracker};
use tracing::debug;

use crate::socket::{
    Acceptor, BindError, ConnectionLimit, Handed, Source, TcpConnection, UnixSocket, bind_tcp,
};

pub use router::{Answer, Router, json, text, typed};

/// A listener that answers requests.
#[derive(Debug)]
pub struct HttpServer {
    listening: Listening,
    answering: Answering,
}

/// Where connections come from.
#[derive(Debug)]
enum Listening {
    Tcp(SocketAddr, Acceptor<TcpListener>),
    Unix(UnixSocket),
}

/// What each connection needs.
#[derive(Debug, Clone)]
struct Answering {
    router: Arc<Router>,
    /// How many are read and answered at a time; the rest wait.
    limit: ConnectionLimit,
    /// For the wait, for the head of the request, and for the answer.
    deadline: Duration,
}

impl HttpServer {
    /// Listens on `address` for requests that `router` answers. Must be called inside the runtime.
    ///
    /// # Errors
    /// The address is in use or not to be had.
    pub fn bind(address: SocketAddr, router: Router) -> Result<Self, BindError> {
        Self::bind_with(address, router, DEADLINE)
    }

    pub(crate) fn bind_with(
        address: SocketAddr,
        router: Router,
        deadline: Duration,
    ) -> Result<Self, BindError> {
        let listener = bind_tcp(address)?;
        let address = listener.local_addr().unwrap_or(address);
        Ok(Self {
            listening: Listening::tcp(address, listener),
            answering: Answering::new(router, deadline),
        })
    }

    /// Goes on with what another process listened on: with `listener` at `address`.
    pub fn on(address: SocketAddr, listener: TcpListener, router: Router) -> Self {
        Self {
            listening: Listening::tcp(address, listener),
            answering: Answering::new(router, DEADLINE),
        }
    }

    /// The same of a Unix socket.
    pub fn on_socket(socket: UnixSocket, router: Router) -> Self {
        Self {
            listening: Listening::Unix(socket),
            answering: Answering::new(router, DEADLINE),
        }
    }

    /// What it listens on, for the next process of this daemon.
    ///
    /// # Errors
    /// No descriptor is left.
    pub fn handed(&self) -> io::Result<Handed> {
        match &self.listening {
            Listening::Tcp(address, acceptor) => Handed::tcp(*address, &[acceptor.listener()]),
            Listening::Unix(socket) => socket.handed(),
        }
    }

    /// Listens on a Unix socket, which only the user of this process, and root, may connect to.
    /// Must be called inside the runtime.
    ///
    /// # Errors
    /// The path is in use or not to be had.
    pub fn bind_socket(path: &Path, router: Router) -> Result<Self, BindError> {
        let socket = UnixSocket::bind(path, OWNER_ONLY)?;
        Ok(Self::on_socket(socket, router))
    }

    /// The address that it listens on, with the port that the system chose if it was left to it;
    /// none if it is a Unix socket.
    pub fn local_addr(&self) -> Option<SocketAddr> {
        match &self.listening {
            Listening::Tcp(address, _) => Some(*address),
            Listening::Unix(_) => None,
        }
    }

    /// Answers until `shutdown`, and what was asked before.
    pub async fn serve(self, shutdown: CancellationToken) {
        let connections = TaskTracker::new();
        let answering = || (self.answering.clone(), shutdown.clone());
        match &self.listening {
            Listening::Tcp(_, acceptor) => {
                let handle = |connection: TcpConnection, slot| {
                    let (answering, shutdown) = answering();
                    async move {
                        let _slot = slot;
                        let source = Source::of(connection.peer);
                        answering.carry(connection.stream, source, shutdown).await;
                    }
                };
                acceptor.serve(&shutdown, &connections, handle).await;
            }
            Listening::Unix(socket) => {
                while let Some(stream) = shutdown.run_until_cancelled(socket.accept()).await {
                    let source = Source::User(stream.peer().uid);
                    let (answering, shutdown) = answering();
                    connections.spawn(answering.carry(stream, source, shutdown));
                }
            }
        }
        connections.close();
        connections.wait().await;
    }
}

impl Listening {
    fn tcp(address: SocketAddr, listener: TcpListener) -> Self {
        let limit = ConnectionLimit::new(MOST_CONNECTIONS, MOST_CONNECTIONS / 2);
        Self::Tcp(address, Acceptor::new(listener, limit))
    }
}

impl Answering {
    fn new(router: Router, deadline: Duration) -> Self {
        Self {
            router: Arc::new(router),
            limit: ConnectionLimit::new(MOST_ANSWERS, MOST_ANSWERS / 2),
            deadline,
        }
    }

    /// Whatever carries bytes; TLS would be put around them before.
    async fn carry<S>(self, stream: S, source: Source, shutdown: CancellationToken)
    where
        S: AsyncRead + AsyncWrite + Unpin,
    {
        let waiting = timeout(self.deadline, self.limit.wait(source));
        let Some(Ok(_slot)) = shutdown.run_until_cancelled(waiting).await else {
            return;
        };
        let service = service_fn(async |request: Request<Incoming>| {
            let (head, _body) = request.into_parts();
            Ok::<_, Infallible>(self.router.answer(head).await)
        });
        let mut http = http1::Builder::new();
        http.timer(TokioTimer::new())
            .header_read_timeout(self.deadline)
            .keep_alive(false)
            .max_buf_size(LONGEST_HEAD);
        let mut connection = pin!(http.serve_connection(TokioIo::new(stream), service));
        let answered = timeout(self.deadline * 2, async {
            tokio::select! {
                answered = &mut connection => return answered,
                () = shutdown.cancelled() => {}
            }
            connection.as_mut().graceful_shutdown();
            connection.await
        });
        match answered.await {
            Ok(Ok(())) => {}
            Ok(Err(error)) => debug!(
                error = &error as &dyn std::error::Error,
                "an HTTP request was broken off"
            ),
            Err(_) => debug!("an HTTP request took too long and was cut"),
        }
    }
}

const DEADLINE: Duration = Duration::from_secs(5);
const LONGEST_HEAD: usize = 16 * 1024;
const MOST_CONNECTIONS: usize = 256;
const MOST_ANSWERS: usize = 32;
const OWNER_ONLY: u32 = 0o600;

#[cfg(test)]
mod tests;
