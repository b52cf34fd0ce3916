//! Since when endpoints are part of a cluster, or are back in it after an ejection.

use std::{
    collections::HashMap,
    sync::{
        Arc, Mutex, MutexGuard, PoisonError,
        atomic::{AtomicU64, Ordering},
    },
    time::Duration,
};

use crate::pool::Address;

/// Since when each endpoint of a cluster has its place, for all threads. It is empty while no
/// policy asks for it.
#[derive(Debug, Default)]
pub(super) struct Warmth(Mutex<HashMap<Address, Arc<Since>>>);

/// A moment of the cluster's time, in milliseconds.
#[derive(Debug)]
pub(super) struct Since(AtomicU64);

impl Warmth {
    /// These are the endpoints from now on; those that stay are as old as they were.
    pub(super) fn follow(&self, endpoints: &[Address], now: Duration) {
        let mut known = self.lock();
        known.retain(|address, _| endpoints.contains(address));
        for address in endpoints {
            if !known.contains_key(address) {
                known.insert(address.clone(), Since::new(now));
            }
        }
    }

    /// Nobody asks for it any more.
    pub(super) fn forget(&self) {
        self.lock().clear();
    }

    /// Since when this one has its place.
    pub(super) fn of(&self, address: &Address, now: Duration) -> Arc<Since> {
        let mut known = self.lock();
        let since = known.entry(address.clone());
        Arc::clone(since.or_insert_with(|| Since::new(now)))
    }

    /// This one is back.
    pub(super) fn renew(&self, address: &Address, now: Duration) {
        if let Some(since) = self.lock().get(address) {
            since.0.store(milliseconds(now), Ordering::Relaxed);
        }
    }

    fn lock(&self) -> MutexGuard<'_, HashMap<Address, Arc<Since>>> {
        self.0.lock().unwrap_or_else(PoisonError::into_inner)
    }
}

impl Since {
    fn new(now: Duration) -> Arc<Self> {
        Arc::new(Self(AtomicU64::new(milliseconds(now))))
    }

    /// How long ago it was.
    pub(super) fn age(&self, now: Duration) -> Duration {
        now.saturating_sub(Duration::from_millis(self.0.load(Ordering::Relaxed)))
    }
}

fn milliseconds(time: Duration) -> u64 {
    u64::try_from(time.as_millis()).unwrap_or(u64::MAX)
}
