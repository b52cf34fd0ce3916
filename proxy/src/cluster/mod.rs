//! Where connections and requests go: a cluster has endpoints, an endpoint has a pool of
//! connections.
//!
//! Endpoints and pools belong to a thread; what all threads know of a cluster is its [`Health`].

mod endpoint;
mod health;

use std::sync::Arc;

use tokio_util::task::TaskTracker;

pub(crate) use endpoint::Endpoint;
pub(crate) use health::Health;

use crate::{config::Protocol, pool::Dialer};

/// What a thread knows of a cluster.
#[derive(Debug)]
pub(crate) struct Cluster {
    name: Arc<str>,
    /// One, for as long as a port names a single address.
    endpoints: [Endpoint; 1],
}

impl Cluster {
    /// A cluster whose connections run on `tasks`.
    pub(crate) fn new(
        dialer: Dialer,
        protocol: Protocol,
        health: Arc<Health>,
        tasks: TaskTracker,
    ) -> Self {
        Self {
            name: dialer.address.to_string().into(),
            endpoints: [Endpoint::new(dialer, protocol, health, tasks)],
        }
    }

    /// Its name in logs.
    pub(crate) fn name(&self) -> Arc<str> {
        Arc::clone(&self.name)
    }

    /// The endpoint for the next connection or request.
    pub(crate) fn endpoint(&self) -> &Endpoint {
        let [endpoint] = &self.endpoints;
        endpoint
    }

    /// Voids kept connections, because they were made with an identity or trust that is past.
    pub(crate) fn renew(&self) {
        self.endpoints.iter().for_each(Endpoint::renew);
    }
}
