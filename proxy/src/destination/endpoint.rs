//! One address of a destination.

use std::sync::Arc;

use tokio_util::task::TaskTracker;

use super::{DialError, Health, Route, line::Line, pool::Pool, route::NextHop};
use crate::config::Protocol;

/// One address of a destination, and the connections to it that are kept.
#[derive(Debug)]
pub(crate) struct Endpoint {
    line: Arc<Line>,
    pool: Arc<Pool>,
}

impl Endpoint {
    pub(super) fn new(
        route: Route,
        protocol: Protocol,
        health: Arc<Health>,
        tasks: TaskTracker,
    ) -> Self {
        let line = Arc::new(Line { route, health });
        Self {
            pool: Pool::new(Arc::clone(&line), protocol, tasks),
            line,
        }
    }

    /// What it speaks.
    pub(crate) fn protocol(&self) -> Protocol {
        self.pool.protocol()
    }

    /// Its connections for requests.
    pub(crate) fn pool(&self) -> &Arc<Pool> {
        &self.pool
    }

    /// A connection of one's own.
    ///
    /// # Errors
    /// It cannot be reached, or is not who is expected.
    pub(crate) async fn dial(&self) -> Result<NextHop, DialError> {
        self.line.dial().await
    }

    pub(super) fn renew(&self) {
        self.pool.renew();
    }
}
