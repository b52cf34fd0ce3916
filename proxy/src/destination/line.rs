//! The way to an endpoint, watched: what becomes of each dial is noted in the destination's health.

use std::sync::Arc;

use super::{DialError, Health, Route, route::NextHop};

/// The way to an endpoint.
#[derive(Debug)]
pub(super) struct Line {
    pub(super) route: Route,
    pub(super) health: Arc<Health>,
}

impl Line {
    pub(super) async fn dial(&self) -> Result<NextHop, DialError> {
        let dialled = self.route.dial().await;
        self.health.note(&dialled);
        dialled
    }

    /// The next hop, for logs.
    pub(super) fn address(&self) -> String {
        self.route.address()
    }
}
