//! Connections to one endpoint, kept for the next request.
//!
//! HTTP/1.1 connections are taken by one request at a time and come back when the
//! response body has ended; an HTTP/2 connection is shared. A request that found its kept
//! connection closed under it, and was not sent, goes out once more on a new one.

mod dialer;
mod kept;
mod terms;

use std::{
    sync::{Arc, Mutex, MutexGuard, PoisonError, Weak},
    time::Duration,
};

use http::{Request, Response};
use hyper::{
    body::Incoming,
    client::conn::{TrySendError, http1, http2},
};
use hyper_util::rt::{TokioExecutor, TokioIo, TokioTimer};
use thiserror::Error;
use tokio::time::{sleep_until, timeout};
use tokio_util::task::{AbortOnDropHandle, TaskTracker};

pub(crate) use dialer::{Address, DialError, Dialer, NextHop};
pub(crate) use terms::Terms;

use crate::{
    body::Body,
    config::Protocol,
    flow::{End, Shutdown, Upstream, whole},
    patience::Patience,
};
use kept::{Kept, Used};

/// Why there is no response.
#[derive(Debug, Error)]
pub(crate) enum SendError {
    #[error(transparent)]
    Dial(#[from] DialError),
    #[error("{address} broke the connection")]
    Broken {
        address: String,
        source: hyper::Error,
        /// Whether anything of the request may have been processed.
        sent: bool,
    },
    #[error("{address} sent no response within {RESPONSE:?}")]
    Timeout { address: String },
    #[error("the proxy is stopping")]
    Stopping,
}

/// Connections to one endpoint.
#[derive(Debug)]
pub(crate) struct Pool {
    dialer: Dialer,
    protocol: Protocol,
    terms: Terms,
    tasks: TaskTracker,
    kept: Mutex<Kept>,
}

/// An HTTP/1.1 connection in use, and where it goes back to.
#[derive(Debug)]
pub(crate) struct Lease {
    pool: Arc<Pool>,
    generation: u64,
    used: Used,
}

/// A response, and the connection to give back after its body.
#[derive(Debug)]
pub(crate) struct Answer {
    pub(crate) response: Response<Incoming>,
    pub(crate) lease: Option<Lease>,
}

impl Pool {
    /// An empty pool; connections run on `tasks`.
    pub(crate) fn new(
        dialer: Dialer,
        protocol: Protocol,
        terms: Terms,
        tasks: TaskTracker,
    ) -> Arc<Self> {
        Arc::new(Self {
            dialer,
            protocol,
            terms,
            tasks,
            kept: Mutex::new(Kept::new(terms)),
        })
    }

    /// A connection of one's own.
    ///
    /// # Errors
    /// It cannot be reached, or is not who is expected.
    pub(crate) async fn dial(&self) -> Result<NextHop, DialError> {
        self.dialer.dial(self.terms.connect).await
    }

    /// What the endpoint speaks.
    pub(crate) fn protocol(&self) -> Protocol {
        self.protocol
    }

    /// The next hop, for logs.
    fn address(&self) -> String {
        self.dialer.address.to_string()
    }

    /// Voids what is kept: connections made with an identity or trust that is past.
    pub(crate) fn renew(&self) {
        self.lock().renew();
    }

    /// Sends a request and waits for the head of the response; an HTTP/1.1 connection has to
    /// be given back when the body has ended.
    ///
    /// # Errors
    /// No connection, a broken one, or no response in time.
    pub(crate) async fn send(
        self: &Arc<Self>,
        request: Request<Body>,
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
                address: self.address(),
            })?
    }

    async fn send_http1(self: &Arc<Self>, mut request: Request<Body>) -> Result<Answer, SendError> {
        while let Some(mut lease) = self.take_idle() {
            match lease.used.sender.try_send_request(request).await {
                Ok(response) => return Ok(Answer::leased(response, lease)),
                Err(mut failure) => {
                    request = self
                        .unsent(&mut failure)
                        .ok_or_else(|| self.broken(failure))?
                }
            }
        }
        let mut lease = self.connect_http1().await?;
        let sent = lease.used.sender.try_send_request(request).await;
        let response = sent.map_err(|failure| self.broken(failure))?;
        Ok(Answer::leased(response, lease))
    }

    async fn send_http2(self: &Arc<Self>, mut request: Request<Body>) -> Result<Answer, SendError> {
        let shared = self.lock().shared();
        if let Some(mut sender) = shared {
            match sender.try_send_request(request).await {
                Ok(response) => return Ok(Answer::shared(response)),
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
        Ok(Answer::shared(response))
    }

    async fn connect_http1(self: &Arc<Self>) -> Result<Lease, SendError> {
        let generation = self.lock().generation();
        let stream = TokioIo::new(Patience::new(self.dial().await?));
        let handshake = http1::Builder::new().handshake(stream).await;
        let (sender, connection) = handshake.map_err(|source| self.broken_by(source, false))?;
        self.carry(connection.with_upgrades())?;
        Ok(Lease {
            pool: Arc::clone(self),
            generation,
            used: Used {
                sender,
                requests: 1,
            },
        })
    }

    async fn connect_http2(self: &Arc<Self>) -> Result<http2::SendRequest<Body>, SendError> {
        let generation = self.lock().generation();
        let stream = TokioIo::new(self.dial().await?);
        let handshake = http2::Builder::new(TokioExecutor::new())
            .timer(TokioTimer::new())
            .keep_alive_interval(PING)
            .initial_stream_window_size(WINDOW)
            .initial_connection_window_size(WINDOW * 4)
            .handshake(stream)
            .await;
        let (sender, connection) = handshake.map_err(|source| self.broken_by(source, false))?;
        self.carry(connection)?;
        self.keep(|kept| kept.share(generation, sender.clone()));
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
        let mut used = kept.take_idle()?;
        used.requests = used.requests.saturating_add(1);
        Some(Lease {
            pool: Arc::clone(self),
            generation: kept.generation(),
            used,
        })
    }

    /// Keeps something, until it was idle for too long.
    fn keep(self: &Arc<Self>, put: impl FnOnce(&mut Kept)) {
        let mut kept = self.lock();
        put(&mut kept);
        if kept.is_unswept() {
            let sweeper = self.tasks.spawn(sweep(Arc::downgrade(self)));
            kept.is_swept_by(AbortOnDropHandle::new(sweeper));
        }
    }

    fn unsent(&self, failure: &mut TrySendError<Request<Body>>) -> Option<Request<Body>> {
        failure.take_message()
    }

    fn broken(&self, mut failure: TrySendError<Request<Body>>) -> SendError {
        let sent = self.unsent(&mut failure).is_none();
        self.broken_by(failure.into_error(), sent)
    }

    fn broken_by(&self, source: hyper::Error, sent: bool) -> SendError {
        SendError::Broken {
            address: self.address(),
            source,
            sent,
        }
    }

    fn lock(&self) -> MutexGuard<'_, Kept> {
        self.kept.lock().unwrap_or_else(PoisonError::into_inner)
    }
}

impl Answer {
    fn leased(response: Response<Incoming>, lease: Lease) -> Self {
        Self {
            response,
            lease: Some(lease),
        }
    }

    fn shared(response: Response<Incoming>) -> Self {
        Self {
            response,
            lease: None,
        }
    }
}

impl Lease {
    /// Gives the connection back once its response has ended.
    pub(crate) fn give_back(self) {
        let Self {
            pool,
            generation,
            used,
        } = self;
        pool.keep(|kept| kept.put_idle(generation, used));
    }
}

impl SendError {
    /// Whether it says something about the endpoint, rather than about the client, whose body broke
    /// off, or the proxy.
    pub(crate) fn is_of_endpoint(&self) -> bool {
        match self {
            Self::Dial(_) | Self::Timeout { .. } => true,
            Self::Broken { source, .. } => !source.is_user(),
            Self::Stopping => false,
        }
    }

    /// Whether HTTP/2 refused the request before it was processed (RFC 9113 §8.7).
    pub(crate) fn is_refused(&self) -> bool {
        let mut cause = std::error::Error::source(self);
        while let Some(error) = cause {
            if let Some(error) = error.downcast_ref::<h2::Error>() {
                return error.reason() == Some(h2::Reason::REFUSED_STREAM);
            }
            cause = error.source();
        }
        false
    }
}

impl From<SendError> for End {
    fn from(error: SendError) -> Self {
        match error {
            SendError::Dial(error) => error.into(),
            SendError::Stopping => Self::Shutdown(Shutdown::Stopping),
            SendError::Broken { .. } => Self::Upstream(Upstream::Broken(whole(&error))),
            SendError::Timeout { .. } => Self::Upstream(Upstream::Timeout(whole(&error))),
        }
    }
}

/// Closes what is idle for too long, as long as there is anything.
async fn sweep(pool: Weak<Pool>) {
    let sweep = || pool.upgrade().and_then(|pool| pool.lock().sweep());
    while let Some(next) = sweep() {
        sleep_until(next).await;
    }
}

/// Envoy's stream idle timeout: nothing from the next hop for this long is no answer.
const RESPONSE: Duration = Duration::from_secs(300);
const PING: Duration = Duration::from_secs(30);
const WINDOW: u32 = 1 << 20;

#[cfg(test)]
mod tests;
