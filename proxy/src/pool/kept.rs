//! Connections that are kept for the next request.

use std::{sync::Arc, time::Duration};

use hyper::client::conn::{http1, http2};
use tokio::{
    sync::{OwnedSemaphorePermit, Semaphore},
    time::Instant,
};
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
    /// Those of HTTP/2: one, or as many as are needed if one carries only so many requests.
    shared: Vec<Shared>,
    /// Closes what is idle for too long, while there is something that could become so.
    sweeper: Option<AbortOnDropHandle<()>>,
}

/// A connection of HTTP/1.1, and how many requests it has had.
#[derive(Debug)]
pub(super) struct Used {
    pub(super) sender: http1::SendRequest<Body>,
    pub(super) requests: u32,
    pub(super) made: Instant,
    /// For how long nobody used it.
    pub(super) rested: Duration,
}

/// A connection of HTTP/2, for one request.
#[derive(Debug)]
pub(super) struct Stream {
    pub(super) sender: http2::SendRequest<Body>,
    /// Its place on the connection, if those are counted.
    pub(super) place: Option<OwnedSemaphorePermit>,
}

/// One that nobody uses.
#[derive(Debug)]
struct Idle {
    used: Used,
    since: Instant,
}

/// A connection of HTTP/2 that requests share.
#[derive(Debug)]
struct Shared {
    sender: http2::SendRequest<Body>,
    requests: u32,
    made: Instant,
    /// How many more requests it may carry at this time, if those are counted.
    places: Option<Arc<Semaphore>>,
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
            shared: Vec::new(),
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
        self.shared.clear();
    }

    /// The HTTP/1.1 connection that was used last, if it is still good.
    pub(super) fn take_idle(&mut self) -> Option<Used> {
        let now = Instant::now();
        while let Some(mut idle) = self.idle.pop() {
            if idle.used.sender.is_ready() && idle.ends(self.terms) > now {
                idle.used.rested = now.duration_since(idle.since);
                return Some(idle.used);
            }
        }
        None
    }

    /// Keeps an HTTP/1.1 connection of this generation, if there is room and it may have more
    /// requests; whether it did.
    pub(super) fn put_idle(&mut self, generation: u64, used: Used) -> bool {
        let is_void = self.generation != generation || used.sender.is_closed();
        if is_void || self.is_worn(used.requests) || self.is_old(used.made) {
            return false;
        }
        if self.idle.len() >= MOST_IDLE {
            self.sweep();
        }
        let has_room = self.idle.len() < MOST_IDLE;
        if has_room {
            let since = Instant::now();
            self.idle.push(Idle { used, since });
        }
        has_room
    }

    /// A connection of HTTP/2 for one more request, if one is still good and has a place.
    pub(super) fn shared(&mut self) -> Option<Stream> {
        let (terms, now) = (self.terms, Instant::now());
        self.shared.retain(|it| it.is_good(terms, now));
        let free = |(index, shared): (usize, &Shared)| Some((index, shared.place()?));
        let (index, place) = self.shared.iter().enumerate().find_map(free)?;
        let shared = self.shared.get_mut(index)?;
        shared.requests = shared.requests.saturating_add(1);
        shared.since = now;
        let (sender, requests) = (shared.sender.clone(), shared.requests);
        if self.is_worn(requests) {
            self.shared.remove(index);
        }
        Some(Stream {
            sender,
            place: place.0,
        })
    }

    /// Shares an HTTP/2 connection of this generation, which has one request already: the one that
    /// gets this.
    pub(super) fn share(
        &mut self,
        generation: u64,
        sender: &http2::SendRequest<Body>,
    ) -> Option<OwnedSemaphorePermit> {
        let places = self.terms.streams.map(usize::try_from);
        let places = places.map(|most| Arc::new(Semaphore::new(most.unwrap_or(usize::MAX >> 3))));
        let now = Instant::now();
        let shared = Shared {
            sender: sender.clone(),
            requests: 1,
            made: now,
            places,
            since: now,
        };
        let place = shared.place().and_then(|place| place.0);
        if self.generation == generation && !self.is_worn(1) {
            if self.terms.streams.is_none() {
                self.shared.clear();
            }
            self.shared.push(shared);
        }
        place
    }

    /// Closes a connection that is idle, the one that was so for longest, or gives up one of
    /// HTTP/2, which is closed when its requests have ended. Whether there was one.
    pub(super) fn let_go(&mut self) -> bool {
        if self.idle.is_empty() {
            return self.shared.pop().is_some();
        }
        drop(self.idle.remove(0));
        true
    }

    /// Closes what was idle for too long; when to look again, if there is something left.
    pub(super) fn sweep(&mut self) -> Option<Instant> {
        let (terms, now) = (self.terms, Instant::now());
        self.idle
            .retain(|idle| !idle.used.sender.is_closed() && idle.ends(terms) > now);
        self.shared.retain(|it| it.is_good(terms, now));
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
        self.sweeper.is_none() && !(self.shared.is_empty() && self.idle.is_empty())
    }

    /// Who closes what is idle for too long.
    pub(super) fn is_swept_by(&mut self, sweeper: AbortOnDropHandle<()>) {
        self.sweeper = Some(sweeper);
    }

    /// Whether a connection that had so many requests gets no more.
    fn is_worn(&self, requests: u32) -> bool {
        self.terms.requests.is_some_and(|most| requests >= most)
    }

    /// Whether a connection that was made then gets no more.
    fn is_old(&self, made: Instant) -> bool {
        let end = self.terms.life.map(|life| made + life);
        end.is_some_and(|end| end <= Instant::now())
    }
}

/// A place on a connection, which is nothing if places are not counted.
struct Place(Option<OwnedSemaphorePermit>);

impl Idle {
    fn ends(&self, terms: Terms) -> Instant {
        ends(self.since, self.used.made, terms)
    }
}

impl Shared {
    fn ends(&self, terms: Terms) -> Instant {
        ends(self.since, self.made, terms)
    }

    fn is_good(&self, terms: Terms, now: Instant) -> bool {
        !self.sender.is_closed() && self.ends(terms) > now
    }

    /// A place for one more request; none if it carries as many as it may.
    fn place(&self) -> Option<Place> {
        let Some(places) = &self.places else {
            return Some(Place(None));
        };
        let place = Arc::clone(places).try_acquire_owned().ok()?;
        Some(Place(Some(place)))
    }
}

/// When a connection gets no more requests that has had none since then, and was made before.
fn ends(since: Instant, made: Instant, terms: Terms) -> Instant {
    let idle = since + terms.idle;
    terms.life.map_or(idle, |life| idle.min(made + life))
}

const MOST_IDLE: usize = 128;
