//! How many connections a cluster may have, over all threads, and who waits for one.
//!
//! There are never more than there may be. Who finds no room waits in turn, for a while, and there
//! are never more who wait than may. A connection that comes back goes to who waits for one to the
//! same endpoint; the first in turn is passed over for that only so often, then the connection is
//! closed for it. What is kept idle elsewhere is closed as soon as somebody waits.

use std::{
    collections::VecDeque,
    hash::{Hash, Hasher},
    sync::{Arc, Mutex, MutexGuard, PoisonError, Weak},
    time::Duration,
};

use tokio::{
    sync::oneshot,
    time::{Instant, timeout_at},
};

use super::kept::Kept;

/// What is kept of one next hop, by one thread.
pub(super) type KeptByOne = Arc<Mutex<Kept>>;

/// How many connections a cluster may have, and who waits for one.
#[derive(Debug)]
pub(crate) struct Bulkhead {
    /// Its name in logs.
    cluster: Arc<str>,
    state: Mutex<State>,
}

/// The bulkhead of an endpoint, if its cluster has one. Two are the same if they count together.
#[derive(Clone, Debug, Default)]
pub(crate) struct Bounds(pub(crate) Option<Arc<Bulkhead>>);

/// What a bulkhead is set to.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(crate) struct Limits {
    /// How many connections there may be.
    pub(crate) connections: u32,
    /// How many requests may have none yet: they wait for room, or for the connection to be made.
    pub(crate) pending: u32,
}

#[derive(Debug)]
struct State {
    limits: Limits,
    connections: u32,
    pending: u32,
    waiting: VecDeque<Waiter>,
    /// Where connections may be idle.
    kept: Vec<Weak<Mutex<Kept>>>,
    next: u64,
}

/// One that waits for a connection to an endpoint.
#[derive(Debug)]
struct Waiter {
    number: u64,
    endpoint: Weak<Mutex<Kept>>,
    /// How often one that came later went before it.
    passed: u32,
    grant: oneshot::Sender<Grant>,
}

/// What one that waited gets.
#[derive(Debug)]
pub(super) enum Grant {
    /// The right to make a connection.
    Room(Room),
    /// Something is kept that it can use, if nobody else takes it.
    Kept,
}

/// The right to a connection, for as long as it lives.
#[derive(Debug)]
pub(crate) struct Room(Option<Arc<Bulkhead>>);

/// A request that has no connection yet, until this is dropped.
#[derive(Debug)]
pub(super) struct Pending {
    bulkhead: Arc<Bulkhead>,
    number: u64,
}

impl Bulkhead {
    /// Nothing is open yet.
    pub(crate) fn new(cluster: Arc<str>, limits: Limits) -> Arc<Self> {
        let state = State {
            limits,
            connections: 0,
            pending: 0,
            waiting: VecDeque::new(),
            kept: Vec::new(),
            next: 0,
        };
        Arc::new(Self {
            cluster,
            state: Mutex::new(state),
        })
    }

    /// From now on it is set to this.
    pub(crate) fn follow(self: &Arc<Self>, limits: Limits) {
        let mut state = self.lock();
        state.limits = limits;
        self.grant(&mut state);
    }

    /// Another thread keeps connections.
    pub(super) fn add(&self, kept: &KeptByOne) {
        let mut state = self.lock();
        state.kept.retain(|kept| kept.strong_count() > 0);
        state.kept.push(Arc::downgrade(kept));
    }

    /// Whether somebody waits for a connection to this endpoint.
    pub(super) fn is_waited_for(&self, kept: &KeptByOne) -> bool {
        self.lock().waiting.iter().any(|waiter| waiter.is_for(kept))
    }

    /// Waits for room, or for what is kept.
    ///
    /// # Errors
    /// Too many wait already, or nothing came until then: says which.
    pub(super) async fn enter(
        self: &Arc<Self>,
        kept: &KeptByOne,
        until: Instant,
    ) -> Result<(Grant, Pending), String> {
        let (grant, mut granted) = oneshot::channel();
        let pending = self.pend(kept, grant)?;
        loop {
            // Who has it may not know that somebody waits, so it is looked at again and again.
            self.let_go_for(pending.number, kept);
            let again = until.min(Instant::now() + AGAIN);
            match timeout_at(again, &mut granted).await {
                Ok(Ok(grant)) => return Ok((grant, pending)),
                Err(_elapsed) if again < until => {}
                Ok(Err(_)) | Err(_) => return Err(self.late()),
            }
        }
    }

    /// Comes into the queue, and out of it at once if there is room.
    fn pend(
        self: &Arc<Self>,
        kept: &KeptByOne,
        grant: oneshot::Sender<Grant>,
    ) -> Result<Pending, String> {
        let mut state = self.lock();
        if state.pending >= state.limits.pending {
            return Err(format!(
                "{} has {} requests without a connection, which is as many as it may have",
                self.cluster, state.pending
            ));
        }
        state.pending = state.pending.saturating_add(1);
        let number = state.next;
        state.next = state.next.wrapping_add(1);
        state.waiting.push_back(Waiter {
            number,
            endpoint: Arc::downgrade(kept),
            passed: 0,
            grant,
        });
        self.grant(&mut state);
        Ok(Pending {
            bulkhead: Arc::clone(self),
            number,
        })
    }

    /// A connection of this endpoint has no request any more, or has room for one more: whoever
    /// waits for it is told. Whether it is to be closed instead, for somebody else.
    pub(super) fn came_back(&self, kept: &KeptByOne) -> bool {
        let mut state = self.lock();
        let waiting = &mut state.waiting;
        loop {
            let own = waiting.iter().position(|waiter| waiter.is_for(kept));
            let (Some(first), Some(own)) = (waiting.front_mut(), own) else {
                return !waiting.is_empty();
            };
            if own > 0 && first.passed >= MOST_PASSED {
                return true;
            }
            first.passed = first.passed.saturating_add(1);
            let waiter = waiting.remove(own);
            if waiter.is_some_and(|waiter| waiter.grant.send(Grant::Kept).is_ok()) {
                return false;
            }
        }
    }

    /// A connection was made that everybody who waits for this endpoint can use.
    pub(super) fn shares(&self, kept: &KeptByOne) {
        let mut state = self.lock();
        let all = std::mem::take(&mut state.waiting);
        let (own, others) = all.into_iter().partition(|waiter| waiter.is_for(kept));
        state.waiting = others;
        drop(state);
        let own: VecDeque<Waiter> = own;
        for waiter in own {
            // Who has gone does not need it.
            let _ = waiter.grant.send(Grant::Kept);
        }
    }

    /// If it is the turn of this one, something that is idle for other endpoints goes.
    fn let_go_for(&self, number: u64, own: &KeptByOne) {
        let state = self.lock();
        if state.waiting.front().is_none_or(|it| it.number != number) {
            return;
        }
        let all: Vec<_> = state.kept.iter().filter_map(Weak::upgrade).collect();
        drop(state);
        let mut others = all.iter().filter(|kept| !Arc::ptr_eq(kept, own));
        others.any(|kept| {
            let mut kept = kept.lock().unwrap_or_else(PoisonError::into_inner);
            kept.let_go()
        });
    }

    /// Gives room to those whose turn it is, as long as there is some.
    fn grant(self: &Arc<Self>, state: &mut State) {
        while state.connections < state.limits.connections {
            let Some(waiter) = state.waiting.pop_front() else {
                return;
            };
            state.connections = state.connections.saturating_add(1);
            let room = Room(Some(Arc::clone(self)));
            if let Err(Grant::Room(mut room)) = waiter.grant.send(Grant::Room(room)) {
                // It has gone. Nothing is to be locked again by what comes back.
                room.0 = None;
                state.connections = state.connections.saturating_sub(1);
            }
        }
    }

    fn late(&self) -> String {
        let most = self.lock().limits.connections;
        format!(
            "{} has {most} connections, which is as many as it may have, and none became free in \
             time",
            self.cluster
        )
    }

    fn lock(&self) -> MutexGuard<'_, State> {
        self.state.lock().unwrap_or_else(PoisonError::into_inner)
    }
}

impl Waiter {
    fn is_for(&self, kept: &KeptByOne) -> bool {
        std::ptr::eq(self.endpoint.as_ptr(), Arc::as_ptr(kept))
    }
}

impl Drop for Room {
    fn drop(&mut self) {
        if let Some(bulkhead) = self.0.take() {
            let mut state = bulkhead.lock();
            state.connections = state.connections.saturating_sub(1);
            bulkhead.grant(&mut state);
        }
    }
}

impl Drop for Pending {
    fn drop(&mut self) {
        let mut state = self.bulkhead.lock();
        state.pending = state.pending.saturating_sub(1);
        state.waiting.retain(|waiter| waiter.number != self.number);
    }
}

impl PartialEq for Bounds {
    fn eq(&self, other: &Self) -> bool {
        self.0.as_ref().map(Arc::as_ptr) == other.0.as_ref().map(Arc::as_ptr)
    }
}

impl Eq for Bounds {}

impl Hash for Bounds {
    fn hash<H: Hasher>(&self, state: &mut H) {
        self.0.as_ref().map(Arc::as_ptr).hash(state);
    }
}

/// So often one that waits for another endpoint is passed over.
const MOST_PASSED: u32 = 16;
/// So often the first in turn looks for something idle.
const AGAIN: Duration = Duration::from_millis(100);
