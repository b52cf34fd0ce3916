//! A small HTTP server for what programs ask a daemon without gRPC, such as health probes.
//!
//! HTTP/1.1, one request per connection. Connections are bounded in number and in time, what one
//! address has of them too, and an answer in its size.

mod router;

use std::{convert::Infallible, net::SocketAddr, pin::pin, sync::Arc, time::Duration};

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

use crate::socket::{Acceptor, BindError, ConnectionLimit, Source, TcpConnection, bind_tcp};

pub use router::{Answer, Router, json, text};

/// A listener that answers requests.
#[derive(Debug)]
pub struct HttpServer {
    address: SocketAddr,
    acceptor: Acceptor<TcpListener>,
    answering: Answering,
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
        let limit = ConnectionLimit::new(MOST_CONNECTIONS, MOST_CONNECTIONS / 2);
        Ok(Self {
            address: listener.local_addr().unwrap_or(address),
            acceptor: Acceptor::new(listener, limit),
            answering: Answering {
                router: Arc::new(router),
                limit: ConnectionLimit::new(MOST_ANSWERS, MOST_ANSWERS / 2),
                deadline,
            },
        })
    }

    /// The address that it listens on, with the port that the system chose if it was left to it.
    pub fn local_addr(&self) -> SocketAddr {
        self.address
    }

    /// Answers until `shutdown`, and what was asked before.
    pub async fn serve(self, shutdown: CancellationToken) {
        let connections = TaskTracker::new();
        let handle = |connection: TcpConnection, slot| {
            let (answering, shutdown) = (self.answering.clone(), shutdown.clone());
            async move {
                let _slot = slot;
                let source = Source::of(connection.peer);
                answering.carry(connection.stream, source, shutdown).await;
            }
        };
        self.acceptor.serve(&shutdown, &connections, handle).await;
        connections.close();
        connections.wait().await;
    }
}

impl Answering {
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

#[cfg(test)]
mod tests;
