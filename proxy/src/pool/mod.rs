//! Connections to one endpoint, kept for the next request.
//!
//! HTTP/1.1 connections are taken by one request at a time and come back when the
//! response body has ended; an HTTP/2 connection is shared. A request that found its kept
//! connection closed under it, and was not sent, goes out once more on another; one that was sent,
//! if it may be, on a new one.

mod bulkhead;
mod connect;
mod dialer;
mod error;
mod held;
mod kept;
mod once_more;
mod our_end;
mod probe;
mod terms;
mod tunnels;
mod way;

use std::sync::{Arc, Mutex, MutexGuard, PoisonError, Weak};

use http::{Request, Response};
use hyper::{body::Incoming, client::conn::TrySendError};
use tokio::{
    sync::OwnedSemaphorePermit,
    time::{Instant, sleep_until, timeout},
};
use tokio_util::task::{AbortOnDropHandle, TaskTracker};

pub(crate) use bulkhead::{Bounds, Bulkhead, Limits};
pub(crate) use dialer::{Address, DialError, Dialer, NextHop, Secure};
pub(crate) use error::SendError;
pub(crate) use our_end::{OurEnd, OwnConnections};
pub(crate) use probe::Probe;
pub(crate) use terms::{PINGS, Terms};
pub(crate) use tunnels::Tunnels;
pub(crate) use way::Way;

use crate::{body::Body, config::Protocol};
use bulkhead::{Grant, KeptByOne};
use error::RESPONSE;
use held::Held;
use kept::{Kept, Stream, Used};
use once_more::OnceMore;

/// Connections to one endpoint.
#[derive(Debug)]
pub(crate) struct Pool {
    way: Way,
    protocol: Protocol,
    terms: Terms,
    tasks: TaskTracker,
    kept: KeptByOne,
    /// None if there may be any number of connections.
    bulkhead: Option<Arc<Bulkhead>>,
}

/// A connection in use, and where it goes back to.
#[derive(Debug)]
pub(crate) struct Lease {
    pool: Arc<Pool>,
    of: Leased,
}

#[derive(Debug)]
enum Leased {
    /// A whole one, of HTTP/1.1.
    Whole { generation: u64, used: Used },
    /// One of so many places on one of HTTP/2.
    Place(OwnedSemaphorePermit),
}

/// One of HTTP/1.1 for one request.
#[derive(Debug)]
struct Taken {
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
        way: impl Into<Way>,
        protocol: Protocol,
        terms: Terms,
        tasks: TaskTracker,
    ) -> Arc<Self> {
        Self::within(Bounds::default(), way, protocol, terms, tasks)
    }

    /// The same for a cluster that has a bulkhead.
    pub(crate) fn within(
        bounds: Bounds,
        way: impl Into<Way>,
        protocol: Protocol,
        terms: Terms,
        tasks: TaskTracker,
    ) -> Arc<Self> {
        let kept = Arc::new(Mutex::new(Kept::new(terms)));
        if let Some(bulkhead) = &bounds.0 {
            bulkhead.add(&kept);
        }
        Arc::new(Self {
            way: way.into(),
            protocol,
            terms,
            tasks,
            kept,
            bulkhead: bounds.0,
        })
    }

    /// A connection of one's own.
    ///
    /// # Errors
    /// It cannot be reached, or is not who is expected, or there are too many.
    pub(crate) async fn dial(&self) -> Result<NextHop, SendError> {
        let Some(bulkhead) = &self.bulkhead else {
            return Ok(self.way.dial(&self.terms).await?);
        };
        let until = Instant::now() + self.terms.connect;
        loop {
            let entered = bulkhead.enter(&self.kept, until).await;
            let (grant, _pending) = entered.map_err(SendError::Full)?;
            match grant {
                Grant::Room(room) => {
                    let stream = self.way.dial(&self.terms).await?;
                    return Ok(Box::new(Held::new(stream, room)));
                }
                // It is of no use here.
                Grant::Kept => self.came_back(),
            }
        }
    }

    /// What the endpoint speaks.
    pub(crate) fn protocol(&self) -> Protocol {
        self.protocol
    }

    /// The next hop, for logs.
    fn address(&self) -> String {
        self.way.name()
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
        let mut is_repeated = false;
        loop {
            let free = (!is_repeated).then(|| self.take_free()).flatten();
            let mut taken = match free {
                Some(taken) => taken,
                // Apart, as all that becomes of a new one needs much room.
                None => Box::pin(self.connection()).await?,
            };
            let is_new = taken.used.requests == 1;
            let mut once_more = None;
            if !is_new && !is_repeated {
                once_more = OnceMore::of(&request, taken.used.rested).map(Box::new);
            }
            let mut failure = match taken.used.sender.try_send_request(request).await {
                Ok(response) => return Ok(Answer::leased(response, self.lease(taken))),
                Err(failure) if is_new => return Err(self.broken(failure)),
                Err(failure) => failure,
            };
            request = if let Some(unsent) = self.unsent(&mut failure) {
                unsent
            } else {
                is_repeated = true;
                let again = once_more.and_then(|it| it.after(failure.error()));
                again.ok_or_else(|| self.broken(failure))?
            };
        }
    }

    async fn send_http2(self: &Arc<Self>, mut request: Request<Body>) -> Result<Answer, SendError> {
        let shared = self.lock().shared();
        if let Some(mut stream) = shared {
            match stream.sender.try_send_request(request).await {
                Ok(response) => return Ok(Answer::shared(response, self.place(stream))),
                Err(mut failure) => {
                    request = self
                        .unsent(&mut failure)
                        .ok_or_else(|| self.broken(failure))?
                }
            }
        }
        let mut stream = Box::pin(self.stream()).await?;
        let sent = stream.sender.try_send_request(request).await;
        let response = sent.map_err(|failure| self.broken(failure))?;
        Ok(Answer::shared(response, self.place(stream)))
    }

    /// A connection that nobody uses, and nobody waits for.
    fn take_free(&self) -> Option<Taken> {
        let bulkhead = self.bulkhead.as_ref();
        let is_waited_for = bulkhead.is_some_and(|it| it.is_waited_for(&self.kept));
        if is_waited_for {
            return None;
        }
        self.take_idle()
    }

    fn take_idle(&self) -> Option<Taken> {
        let mut kept = self.lock();
        let mut used = kept.take_idle()?;
        used.requests = used.requests.saturating_add(1);
        Some(Taken {
            generation: kept.generation(),
            used,
        })
    }

    fn lease(self: &Arc<Self>, taken: Taken) -> Lease {
        let Taken { generation, used } = taken;
        Lease {
            pool: Arc::clone(self),
            of: Leased::Whole { generation, used },
        }
    }

    fn place(self: &Arc<Self>, stream: Stream) -> Option<Lease> {
        Some(Lease {
            pool: Arc::clone(self),
            of: Leased::Place(stream.place?),
        })
    }

    /// Something that is kept has room for a request: who waits for it is told, or it goes.
    fn came_back(&self) {
        let bulkhead = self.bulkhead.as_ref();
        if bulkhead.is_some_and(|it| it.came_back(&self.kept)) {
            self.lock().let_go();
        }
    }

    /// Keeps something, until it was idle for too long.
    fn keep<T>(self: &Arc<Self>, put: impl FnOnce(&mut Kept) -> T) -> T {
        let mut kept = self.lock();
        let put = put(&mut kept);
        if kept.is_unswept() {
            let sweeper = self.tasks.spawn(sweep(Arc::downgrade(self)));
            kept.is_swept_by(AbortOnDropHandle::new(sweeper));
        }
        put
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

    fn shared(response: Response<Incoming>, lease: Option<Lease>) -> Self {
        Self { response, lease }
    }
}

impl Lease {
    /// Gives the connection back once its response has ended.
    pub(crate) fn give_back(self) {
        let Self { pool, of } = self;
        let has_room = match of {
            Leased::Whole { generation, used } => pool.keep(|kept| kept.put_idle(generation, used)),
            Leased::Place(place) => {
                drop(place);
                true
            }
        };
        if has_room {
            pool.came_back();
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

#[cfg(test)]
mod tests;
