//! Connections to one next hop, kept for the next request.
//!
//! HTTP/1.1 connections are taken by one request at a time and come back when the
//! response body has ended; an HTTP/2 connection is shared. A request that found its kept
//! connection closed under it, and was not sent, goes out once more on a new one.

use std::{
    mem,
    sync::{Arc, Mutex, PoisonError},
    time::{Duration, Instant},
};

use http::{Request, Response};
use hyper::{
    body::Incoming,
    client::conn::{TrySendError, http1, http2},
};
use hyper_util::rt::{TokioExecutor, TokioIo, TokioTimer};
use thiserror::Error;
use tokio::time::timeout;
use tokio_util::task::TaskTracker;

use crate::{
    config::Protocol,
    dial::{DialError, Route},
};

/// Why there is no response.
#[derive(Debug, Error)]
pub(crate) enum SendError {
    #[error(transparent)]
    Dial(#[from] DialError),
    #[error("{place} broke the connection")]
    Broken { place: String, source: hyper::Error },
    #[error("{place} sent no response within {RESPONSE:?}")]
    Timeout { place: String },
    #[error("the proxy is stopping")]
    Stopping,
}

/// Connections to one next hop.
#[derive(Debug)]
pub(crate) struct Pool {
    route: Route,
    protocol: Protocol,
    tasks: TaskTracker,
    kept: Mutex<Kept>,
}

#[derive(Debug, Default)]
struct Kept {
    /// Raised when everything kept becomes void; older connections do not come back.
    generation: u64,
    idle: Vec<(http1::SendRequest<Incoming>, Instant)>,
    shared: Option<http2::SendRequest<Incoming>>,
}

/// An HTTP/1.1 connection in use, and where it goes back to.
#[derive(Debug)]
pub(crate) struct Lease {
    pool: Arc<Pool>,
    generation: u64,
    sender: http1::SendRequest<Incoming>,
}

/// A response, and the connection to give back after its body.
pub(crate) type Answer = (Response<Incoming>, Option<Lease>);

impl Pool {
    /// An empty pool; connections run on `tasks`.
    pub(crate) fn new(route: Route, protocol: Protocol, tasks: TaskTracker) -> Arc<Self> {
        Arc::new(Self {
            route,
            protocol,
            tasks,
            kept: Mutex::default(),
        })
    }

    /// What the next hop speaks.
    pub(crate) fn protocol(&self) -> Protocol {
        self.protocol
    }

    /// The next hop, for logs.
    pub(crate) fn place(&self) -> String {
        self.route.place()
    }

    /// Voids what is kept: connections made with an identity or trust that is past.
    pub(crate) fn renew(&self) {
        let mut kept = self.lock();
        kept.generation += 1;
        kept.idle.clear();
        kept.shared = None;
    }

    /// Sends a request and waits for the head of the response; an HTTP/1.1 connection has to
    /// be given back when the body has ended.
    ///
    /// # Errors
    /// No connection, a broken one, or no response in time.
    pub(crate) async fn send(
        self: &Arc<Self>,
        request: Request<Incoming>,
    ) -> Result<Answer, SendError> {
        let sending = async {
            match self.protocol {
                Protocol::Http2 => self.send_http2(request).await,
                Protocol::Http | Protocol::Tcp => self.send_http1(request).await,
            }
        };
        timeout(RESPONSE, sending)
            .await
            .map_err(|_elapsed| SendError::Timeout {
                place: self.place(),
            })?
    }

    async fn send_http1(
        self: &Arc<Self>,
        mut request: Request<Incoming>,
    ) -> Result<Answer, SendError> {
        while let Some(mut lease) = self.take_idle() {
            match lease.sender.try_send_request(request).await {
                Ok(response) => return Ok((response, Some(lease))),
                Err(mut failure) => {
                    request = self
                        .unsent(&mut failure)
                        .ok_or_else(|| self.broken(failure))?
                }
            }
        }
        let mut lease = self.connect_http1().await?;
        let sent = lease.sender.try_send_request(request).await;
        let response = sent.map_err(|failure| self.broken(failure))?;
        Ok((response, Some(lease)))
    }

    async fn send_http2(
        self: &Arc<Self>,
        mut request: Request<Incoming>,
    ) -> Result<Answer, SendError> {
        if let Some(mut sender) = self.shared() {
            match sender.try_send_request(request).await {
                Ok(response) => return Ok((response, None)),
                Err(mut failure) => {
                    request = self
                        .unsent(&mut failure)
                        .ok_or_else(|| self.broken(failure))?
                }
            }
        }
        let mut sender = self.connect_http2().await?;
        let sent = sender.try_send_request(request).await;
        let response = sent.map_err(|failure| self.broken(failure))?;
        Ok((response, None))
    }

    async fn connect_http1(self: &Arc<Self>) -> Result<Lease, SendError> {
        let generation = self.lock().generation;
        let stream = TokioIo::new(self.route.dial().await?);
        let handshake = http1::Builder::new().handshake(stream).await;
        let (sender, connection) = handshake.map_err(|source| self.broken_by(source))?;
        self.carry(connection)?;
        Ok(Lease {
            pool: Arc::clone(self),
            generation,
            sender,
        })
    }

    async fn connect_http2(&self) -> Result<http2::SendRequest<Incoming>, SendError> {
        let generation = self.lock().generation;
        let stream = TokioIo::new(self.route.dial().await?);
        let handshake = http2::Builder::new(TokioExecutor::new())
            .timer(TokioTimer::new())
            .keep_alive_interval(PING)
            .initial_stream_window_size(WINDOW)
            .initial_connection_window_size(WINDOW * 4)
            .handshake(stream)
            .await;
        let (sender, connection) = handshake.map_err(|source| self.broken_by(source))?;
        self.carry(connection)?;
        let mut kept = self.lock();
        if kept.generation == generation {
            kept.shared = Some(sender.clone());
        }
        Ok(sender)
    }

    /// A connection lives as long as its requests; a failure reaches them, so it is not
    /// reported here too.
    fn carry<C>(&self, connection: C) -> Result<(), SendError>
    where
        C: Future<Output = hyper::Result<()>> + Send + 'static,
    {
        if self.tasks.is_closed() {
            return Err(SendError::Stopping);
        }
        self.tasks.spawn(async move {
            drop(connection.await);
        });
        Ok(())
    }

    fn take_idle(self: &Arc<Self>) -> Option<Lease> {
        let mut kept = self.lock();
        while let Some((sender, since)) = kept.idle.pop() {
            if sender.is_ready() && since.elapsed() < IDLE {
                let generation = kept.generation;
                return Some(Lease {
                    pool: Arc::clone(self),
                    generation,
                    sender,
                });
            }
        }
        None
    }

    fn shared(&self) -> Option<http2::SendRequest<Incoming>> {
        let mut kept = self.lock();
        if kept
            .shared
            .as_ref()
            .is_some_and(|sender| sender.is_closed())
        {
            kept.shared = None;
        }
        kept.shared.clone()
    }

    fn unsent(&self, failure: &mut TrySendError<Request<Incoming>>) -> Option<Request<Incoming>> {
        failure.take_message()
    }

    fn broken(&self, failure: TrySendError<Request<Incoming>>) -> SendError {
        self.broken_by(failure.into_error())
    }

    fn broken_by(&self, source: hyper::Error) -> SendError {
        SendError::Broken {
            place: self.place(),
            source,
        }
    }

    fn lock(&self) -> std::sync::MutexGuard<'_, Kept> {
        self.kept.lock().unwrap_or_else(PoisonError::into_inner)
    }
}

impl Lease {
    /// Gives the connection back once its response has ended.
    pub(crate) fn give_back(self) {
        let mut kept = self.pool.lock();
        if kept.generation != self.generation || self.sender.is_closed() {
            return;
        }
        if kept.idle.len() >= MOST_IDLE {
            let fresh = |(_, since): &(_, Instant)| since.elapsed() < IDLE;
            let mut idle = mem::take(&mut kept.idle);
            idle.retain(fresh);
            kept.idle = idle;
        }
        if kept.idle.len() < MOST_IDLE {
            kept.idle.push((self.sender, Instant::now()));
        }
    }
}

/// Envoy's stream idle timeout: nothing from the next hop for this long is no answer.
const RESPONSE: Duration = Duration::from_secs(300);
const IDLE: Duration = Duration::from_secs(60);
const MOST_IDLE: usize = 128;
const PING: Duration = Duration::from_secs(30);
const WINDOW: u32 = 1 << 20;
