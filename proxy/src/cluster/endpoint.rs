//! One endpoint of a cluster.

use std::sync::Arc;

use http::Request;
use tokio_util::task::TaskTracker;

use super::Health;
use crate::{
    body::Body,
    config::Protocol,
    pool::{Answer, DialError, Dialer, NextHop, Pool, SendError},
};

/// One endpoint of a cluster, and the connections to it that are kept.
#[derive(Debug)]
pub(crate) struct Endpoint {
    pool: Arc<Pool>,
    health: Arc<Health>,
}

impl Endpoint {
    pub(super) fn new(
        dialer: Dialer,
        protocol: Protocol,
        health: Arc<Health>,
        tasks: TaskTracker,
    ) -> Self {
        Self {
            pool: Pool::new(dialer, protocol, tasks),
            health,
        }
    }

    /// What it speaks.
    pub(crate) fn protocol(&self) -> Protocol {
        self.pool.protocol()
    }

    /// Sends a request and waits for the head of the response.
    ///
    /// # Errors
    /// No connection, a broken one, or no response in time.
    pub(crate) async fn send(&self, request: Request<Body>) -> Result<Answer, SendError> {
        let sent = self.pool.send(request).await;
        match &sent {
            Err(SendError::Dial(error)) => self.health.failed(error),
            Ok(_) => self.health.reached(),
            Err(SendError::Broken { .. } | SendError::Timeout { .. } | SendError::Stopping) => {}
        }
        sent
    }

    /// A connection of one's own.
    ///
    /// # Errors
    /// It cannot be reached, or is not who is expected.
    pub(crate) async fn dial(&self) -> Result<NextHop, DialError> {
        let dialled = self.pool.dial().await;
        match &dialled {
            Ok(_) => self.health.reached(),
            Err(error) => self.health.failed(error),
        }
        dialled
    }

    pub(super) fn renew(&self) {
        self.pool.renew();
    }
}
