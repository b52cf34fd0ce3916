//! Connections that are kept for the next request.

use std::time::Duration;

use hyper::client::conn::{http1, http2};
use tokio::time::Instant;

use crate::body::Body;

/// What is kept of one next hop.
#[derive(Debug, Default)]
pub(super) struct Kept {
    /// Raised when everything kept becomes void; older connections do not come back.
    generation: u64,
    idle: Vec<Idle>,
    shared: Option<http2::SendRequest<Body>>,
}

/// An HTTP/1.1 connection that nobody uses.
#[derive(Debug)]
struct Idle {
    sender: http1::SendRequest<Body>,
    since: Instant,
}

impl Kept {
    /// By which a connection comes back, if nothing was voided meanwhile.
    pub(super) fn generation(&self) -> u64 {
        self.generation
    }

    /// Voids everything.
    pub(super) fn renew(&mut self) {
        self.generation += 1;
        self.idle.clear();
        self.shared = None;
    }

    /// The HTTP/1.1 connection that was used last, if it is still good.
    pub(super) fn take_idle(&mut self) -> Option<http1::SendRequest<Body>> {
        while let Some(idle) = self.idle.pop() {
            if idle.sender.is_ready() && idle.is_fresh() {
                return Some(idle.sender);
            }
        }
        None
    }

    /// Keeps an HTTP/1.1 connection of this generation, if there is room.
    pub(super) fn put_idle(&mut self, generation: u64, sender: http1::SendRequest<Body>) {
        if self.generation != generation || sender.is_closed() {
            return;
        }
        if self.idle.len() >= MOST_IDLE {
            self.idle.retain(Idle::is_fresh);
        }
        if self.idle.len() < MOST_IDLE {
            let since = Instant::now();
            self.idle.push(Idle { sender, since });
        }
    }

    /// The HTTP/2 connection that everybody shares, if it is still good.
    pub(super) fn shared(&mut self) -> Option<http2::SendRequest<Body>> {
        self.shared.take_if(|sender| sender.is_closed());
        self.shared.clone()
    }

    /// Shares an HTTP/2 connection of this generation.
    pub(super) fn share(&mut self, generation: u64, sender: http2::SendRequest<Body>) {
        if self.generation == generation {
            self.shared = Some(sender);
        }
    }
}

impl Idle {
    fn is_fresh(&self) -> bool {
        self.since.elapsed() < IDLE
    }
}

pub(super) const IDLE: Duration = Duration::from_secs(60);
const MOST_IDLE: usize = 128;
