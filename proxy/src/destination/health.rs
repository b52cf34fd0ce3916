//! What all threads know of a destination: whether it was last seen to be reachable.

use std::sync::atomic::{AtomicBool, Ordering};

use tracing::{info, warn};

use super::DialError;

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

    /// Notes how an attempt to connect has ended.
    pub(super) fn note<T>(&self, dialled: &Result<T, DialError>) {
        let failing = dialled.is_err();
        if self.failing.load(Ordering::Relaxed) == failing
            || self.failing.swap(failing, Ordering::Relaxed) == failing
        {
            return;
        }
        let port = &*self.port;
        match dialled {
            Ok(_) => info!(port, "the destination can be reached again"),
            Err(error) => warn!(
                port,
                error = error as &dyn std::error::Error,
                "the destination cannot be reached; every request to it fails until it can"
            ),
        }
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    fn gone() -> Result<(), DialError> {
        Err(DialError::Timeout {
            address: "127.0.0.1:1".to_owned(),
        })
    }

    #[test]
    fn a_destination_is_failing_from_its_first_failure_to_its_next_success() {
        let health = Health::new("web");
        let failing = || health.failing.load(Ordering::Relaxed);
        health.note(&Ok(()));
        assert!(!failing());
        health.note(&gone());
        health.note(&gone());
        assert!(failing());
        health.note(&Ok(()));
        assert!(!failing());
    }
}
