//! Where connections and requests go: a destination has endpoints, an endpoint has pools.
//!
//! Endpoints and pools belong to a thread; what all threads know of a destination is its
//! [`Health`].

mod endpoint;
mod health;
mod kept;
mod line;
mod pool;
mod route;

use std::sync::Arc;

use tokio_util::task::TaskTracker;

pub(crate) use endpoint::Endpoint;
pub(crate) use health::Health;
pub(crate) use pool::Lease;
pub(crate) use route::{DialError, Route};

use crate::config::Protocol;

/// What a thread knows of a destination.
#[derive(Debug)]
pub(crate) struct Destination {
    name: Arc<str>,
    /// One, for as long as a port names a single address.
    endpoints: [Endpoint; 1],
}

impl Destination {
    /// A destination whose connections run on `tasks`.
    pub(crate) fn new(
        route: Route,
        protocol: Protocol,
        health: Arc<Health>,
        tasks: TaskTracker,
    ) -> Self {
        Self {
            name: route.address().into(),
            endpoints: [Endpoint::new(route, protocol, health, tasks)],
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
