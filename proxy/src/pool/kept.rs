//! Connections that are kept for the next request.

use hyper::client::conn::{http1, http2};
use tokio::time::Instant;
use tokio_util::task::AbortOnDropHandle;

use super::terms::Terms;
use crate::body::Body;

/// What is kept of one next hop.
#[derive(Debug)]
pub(super) struct Kept {
    terms: Terms,
    /// Raised when everything kept becomes void; older connections do not come back.
    generation: u64,
    idle: Vec<Idle>,
    shared: Option<Shared>,
    /// Closes what is idle for too long, while there is something that could become so.
    sweeper: Option<AbortOnDropHandle<()>>,
}

/// A connection of HTTP/1.1, and how many requests it has had.
#[derive(Debug)]
pub(super) struct Used {
    pub(super) sender: http1::SendRequest<Body>,
    pub(super) requests: u32,
}

/// One that nobody uses.
#[derive(Debug)]
struct Idle {
    used: Used,
    since: Instant,
}

/// The connection of HTTP/2 that all requests share.
#[derive(Debug)]
struct Shared {
    sender: http2::SendRequest<Body>,
    requests: u32,
    /// When it got the last one.
    since: Instant,
}

impl Kept {
    /// Nothing yet.
    pub(super) fn new(terms: Terms) -> Self {
        Self {
            terms,
            generation: 0,
            idle: Vec::new(),
            shared: None,
            sweeper: None,
        }
    }

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
    pub(super) fn take_idle(&mut self) -> Option<Used> {
        let now = Instant::now();
        while let Some(idle) = self.idle.pop() {
            if idle.used.sender.is_ready() && idle.ends(self.terms) > now {
                return Some(idle.used);
            }
        }
        None
    }

    /// Keeps an HTTP/1.1 connection of this generation, if there is room and it may have more
    /// requests.
    pub(super) fn put_idle(&mut self, generation: u64, used: Used) {
        let is_void = self.generation != generation || used.sender.is_closed();
        if is_void || self.is_worn(used.requests) {
            return;
        }
        if self.idle.len() >= MOST_IDLE {
            self.sweep();
        }
        if self.idle.len() < MOST_IDLE {
            let since = Instant::now();
            self.idle.push(Idle { used, since });
        }
    }

    /// The HTTP/2 connection that everybody shares, for one more request, if it is still good.
    pub(super) fn shared(&mut self) -> Option<http2::SendRequest<Body>> {
        let (terms, now) = (self.terms, Instant::now());
        self.shared
            .take_if(|it| it.sender.is_closed() || it.ends(terms) <= now);
        let shared = self.shared.as_mut()?;
        shared.requests = shared.requests.saturating_add(1);
        shared.since = now;
        let (sender, requests) = (shared.sender.clone(), shared.requests);
        if self.is_worn(requests) {
            self.shared = None;
        }
        Some(sender)
    }

    /// Shares an HTTP/2 connection of this generation, which has one request already.
    pub(super) fn share(&mut self, generation: u64, sender: http2::SendRequest<Body>) {
        if self.generation == generation && !self.is_worn(1) {
            self.shared = Some(Shared {
                sender,
                requests: 1,
                since: Instant::now(),
            });
        }
    }

    /// Closes what was idle for too long; when to look again, if there is something left.
    pub(super) fn sweep(&mut self) -> Option<Instant> {
        let (terms, now) = (self.terms, Instant::now());
        self.idle
            .retain(|idle| !idle.used.sender.is_closed() && idle.ends(terms) > now);
        self.shared
            .take_if(|it| it.sender.is_closed() || it.ends(terms) <= now);
        let idle = self.idle.iter().map(|idle| idle.ends(terms));
        let shared = self.shared.iter().map(|shared| shared.ends(terms));
        let next = idle.chain(shared).min();
        if next.is_none() {
            self.sweeper = None;
        }
        next
    }

    /// Whether something is kept that nobody would close.
    pub(super) fn is_unswept(&self) -> bool {
        self.sweeper.is_none() && (self.shared.is_some() || !self.idle.is_empty())
    }

    /// Who closes what is idle for too long.
    pub(super) fn is_swept_by(&mut self, sweeper: AbortOnDropHandle<()>) {
        self.sweeper = Some(sweeper);
    }

    /// Whether a connection that had so many requests gets no more.
    fn is_worn(&self, requests: u32) -> bool {
        self.terms.requests.is_some_and(|most| requests >= most)
    }
}

impl Idle {
    fn ends(&self, terms: Terms) -> Instant {
        self.since + terms.idle
    }
}

impl Shared {
    fn ends(&self, terms: Terms) -> Instant {
        self.since + terms.idle
    }
}

const MOST_IDLE: usize = 128;
