//! One endpoint of a cluster.

use std::{
    sync::{
        Arc,
        atomic::{AtomicU64, AtomicUsize, Ordering},
    },
    time::Duration,
};

use http::Request;
use signet_identity::SpiffeId;
use signet_mesh::PeakEwma;
use tokio::time::Instant;
use tokio_util::task::TaskTracker;

use super::{Health, load::Counted};
use crate::{
    body::Body,
    config::Protocol,
    pool::{Address, Answer, Dialer, NextHop, Pool, SendError, Terms},
};

/// One endpoint of a cluster, and the connections to it that are kept.
#[derive(Debug)]
pub(crate) struct Endpoint {
    name: Arc<str>,
    address: Address,
    /// Who it has to be, if that can be but one.
    peer: Option<Arc<str>>,
    pool: Arc<Pool>,
    health: Arc<Health>,
    /// Requests and connections that are under way.
    active: AtomicUsize,
    /// How long it takes to answer, lately, if somebody wants to know: packed.
    latency: AtomicU64,
    /// When the time of that begins.
    start: Instant,
}

/// A request or connection that is under way at an endpoint, until this is dropped.
#[derive(Debug)]
pub(crate) struct Active {
    endpoint: Arc<Endpoint>,
    /// When it began, if it is timed.
    began: Option<Instant>,
    _request: Counted,
}

impl Endpoint {
    /// An endpoint whose connections run on `tasks`.
    pub(crate) fn new(
        dialer: Dialer,
        protocol: Protocol,
        terms: Terms,
        health: Arc<Health>,
        tasks: TaskTracker,
    ) -> Self {
        let pool = Pool::new(dialer.clone(), protocol, terms, tasks);
        Self::with(pool, &dialer.address, health)
    }

    /// An endpoint that has these connections.
    pub(super) fn with(pool: Arc<Pool>, address: &Address, health: Arc<Health>) -> Self {
        Self {
            name: address.to_string().into(),
            address: address.clone(),
            peer: None,
            pool,
            health,
            active: AtomicUsize::new(0),
            latency: AtomicU64::new(0),
            start: Instant::now(),
        }
    }

    /// The same endpoint, which has to be one of these.
    pub(crate) fn expecting(mut self, ids: &[SpiffeId]) -> Self {
        self.peer = match ids {
            [id] => Some(id.to_string().into()),
            [] | [_, _, ..] => None,
        };
        self
    }

    /// Who it has to be, if that can be but one.
    pub(crate) fn peer(&self) -> Option<&Arc<str>> {
        self.peer.as_ref()
    }

    /// Where it is, for logs.
    pub(crate) fn name(&self) -> &Arc<str> {
        &self.name
    }

    /// By what it differs from the others of a cluster.
    pub(super) fn address(&self) -> &Address {
        &self.address
    }

    /// What it speaks.
    pub(crate) fn protocol(&self) -> Protocol {
        self.pool.protocol()
    }

    /// Counts one more that is under way, as the cluster does; it is timed if it began at a time.
    pub(super) fn begin(self: &Arc<Self>, request: Counted, began: Option<Instant>) -> Active {
        self.active.fetch_add(1, Ordering::Relaxed);
        Active {
            endpoint: Arc::clone(self),
            began,
            _request: request,
        }
    }

    /// Sends a request and waits for the head of the response.
    ///
    /// # Errors
    /// No connection, a broken one, or no response in time.
    pub(crate) async fn send(&self, request: Request<Body>) -> Result<Answer, SendError> {
        let sent = self.pool.send(request).await;
        self.note(sent.as_ref().err());
        sent
    }

    /// A connection of one's own.
    ///
    /// # Errors
    /// It cannot be reached, or is not who is expected, or there are too many.
    pub(crate) async fn dial(&self) -> Result<NextHop, SendError> {
        let dialled = self.pool.dial().await;
        self.note(dialled.as_ref().err());
        dialled
    }

    fn note(&self, error: Option<&SendError>) {
        match error {
            None => self.health.reached(),
            Some(SendError::Dial(error)) => self.health.failed(error),
            Some(
                SendError::Broken { .. }
                | SendError::Timeout { .. }
                | SendError::Full(_)
                | SendError::Stopping,
            ) => {}
        }
    }

    /// Requests and connections that are under way.
    pub(super) fn active(&self) -> usize {
        self.active.load(Ordering::Relaxed)
    }

    /// How long it takes to answer, lately.
    pub(super) fn latency(&self, now: Instant) -> Option<Duration> {
        let packed = self.latency.load(Ordering::Relaxed);
        PeakEwma::unpacked(packed).latency(now.saturating_duration_since(self.start))
    }

    /// Only its thread does this.
    fn took(&self, latency: Duration, now: Instant) {
        let known = PeakEwma::unpacked(self.latency.load(Ordering::Relaxed));
        let known = known.with(latency, now.saturating_duration_since(self.start));
        self.latency.store(known.packed(), Ordering::Relaxed);
    }

    pub(super) fn renew(&self) {
        self.pool.renew();
    }
}

impl Active {
    /// The endpoint has answered, or taken a connection, by now.
    pub(crate) fn answered(&self) {
        if let Some(began) = self.began {
            let now = Instant::now();
            self.endpoint
                .took(now.saturating_duration_since(began), now);
        }
    }

    /// It has not, and is to blame: who fails at once must not be taken for quick.
    pub(crate) fn failed(&self) {
        if let Some(began) = self.began {
            let now = Instant::now();
            let took = now.saturating_duration_since(began);
            self.endpoint.took(took.max(OF_FAILURE), now);
        }
    }
}

impl Drop for Active {
    fn drop(&mut self) {
        self.endpoint.active.fetch_sub(1, Ordering::Relaxed);
    }
}

/// What a failure counts as.
const OF_FAILURE: Duration = Duration::from_secs(1);
