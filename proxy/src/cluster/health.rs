//! What all threads know of a destination: whether it was last seen to be reachable.

use std::sync::atomic::{AtomicBool, Ordering};

use tracing::{info, warn};

use crate::pool::DialError;

/// Whether a destination could be connected to, as connections have found it. That it cannot be
/// any more, or can be again, is said once, whichever thread finds out.
#[derive(Debug)]
pub(crate) struct Health {
    /// The port's name.
    port: Box<str>,
    failing: AtomicBool,
}

impl Health {
    /// Nothing is known yet of the destination of this port.
    pub(crate) fn new(port: &str) -> Self {
        Self {
            port: port.into(),
            failing: AtomicBool::new(false),
        }
    }

    /// Notes that it was reached.
    pub(super) fn reached(&self) {
        if self.changes_to(false) {
            let port = &*self.port;
            info!(port, "the destination can be reached again");
        }
    }

    /// Notes that it could not be connected to.
    pub(super) fn failed(&self, error: &DialError) {
        if self.changes_to(true) {
            let port = &*self.port;
            warn!(
                port,
                error = error as &dyn std::error::Error,
                "the destination cannot be reached; every request to it fails until it can"
            );
        }
    }

    /// Whether it could not be connected to when that was tried last.
    pub(crate) fn is_failing(&self) -> bool {
        self.failing.load(Ordering::Relaxed)
    }

    /// Whether this is news.
    fn changes_to(&self, failing: bool) -> bool {
        self.failing.load(Ordering::Relaxed) != failing
            && self.failing.swap(failing, Ordering::Relaxed) != failing
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    fn gone() -> DialError {
        DialError::Timeout {
            address: "127.0.0.1:1".to_owned(),
            within: std::time::Duration::from_secs(10),
        }
    }

    #[test]
    fn a_destination_is_failing_from_its_first_failure_to_its_next_success() {
        let health = Health::new("web");
        let failing = || health.failing.load(Ordering::Relaxed);
        health.reached();
        assert!(!failing());
        health.failed(&gone());
        health.failed(&gone());
        assert!(failing());
        health.reached();
        assert!(!failing());
    }
}
