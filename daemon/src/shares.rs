//! Bounds what one user, address or caller may hold of what all share, so that a single noisy or
//! hostile one cannot keep the others from being served.

use std::{
    collections::HashMap,
    hash::Hash,
    sync::{Arc, Mutex, MutexGuard, PoisonError},
};

use tokio::sync::{OwnedSemaphorePermit, Semaphore};

/// A number of places for all, and a share of them for each key. Clones count together.
#[derive(Debug, Clone)]
pub struct Shares<K> {
    all: Arc<Semaphore>,
    keys: Arc<Keys<K>>,
}

/// The right to one place; it ends with the value.
#[derive(Debug)]
pub struct Permit<K: Eq + Hash> {
    share: Option<Share<K>>,
    _of_all: Option<OwnedSemaphorePermit>,
}

/// A place that nobody has yet.
#[derive(Debug)]
pub struct Free<'s, K> {
    of_all: Option<OwnedSemaphorePermit>,
    keys: &'s Arc<Keys<K>>,
}

impl<K: Clone + Eq + Hash> Shares<K> {
    /// `all` places (`usize::MAX`: as many as are asked for), of which one key may have `each`.
    pub fn new(all: usize, each: usize) -> Self {
        Self {
            all: Arc::new(Semaphore::new(all.min(Semaphore::MAX_PERMITS))),
            keys: Arc::new(Keys {
                each: each.min(Semaphore::MAX_PERMITS),
                held: Mutex::default(),
            }),
        }
    }

    /// A place now, or none.
    pub fn take_now(&self, key: K) -> Option<Permit<K>> {
        let share = Share::of(&self.keys, key).granted_now()?;
        let of_all = Arc::clone(&self.all).try_acquire_owned().ok()?;
        Some(Permit::new(share, Some(of_all)))
    }

    /// A place as soon as there is one, first come first served. The caller sets the deadline.
    pub async fn take(&self, key: K) -> Permit<K> {
        // The own share comes first: who waits for that takes no place of the others'.
        let share = Share::of(&self.keys, key).granted().await;
        let of_all = self.free().await.of_all;
        Permit::new(share, of_all)
    }

    /// A place as soon as there is one, whoever will have it.
    pub async fn free(&self) -> Free<'_, K> {
        // The semaphore is never closed.
        let of_all = Arc::clone(&self.all).acquire_owned().await.ok();
        Free {
            of_all,
            keys: &self.keys,
        }
    }
}

impl<K: Clone + Eq + Hash> Free<'_, K> {
    /// Gives the place to `key`, unless that has its share.
    pub fn give(self, key: K) -> Option<Permit<K>> {
        let share = Share::of(self.keys, key).granted_now()?;
        Some(Permit::new(share, self.of_all))
    }
}

impl<K: Eq + Hash> Permit<K> {
    fn new(share: Share<K>, of_all: Option<OwnedSemaphorePermit>) -> Self {
        Self {
            share: Some(share),
            _of_all: of_all,
        }
    }

    /// From now on this counts among all, and no longer against the share of its key.
    pub fn leave_share(&mut self) {
        self.share = None;
    }
}

#[derive(Debug)]
struct Keys<K> {
    each: usize,
    /// Only of those that hold something or wait for it.
    held: Mutex<HashMap<K, Held>>,
}

/// What one key holds or waits for.
#[derive(Debug)]
struct Held {
    places: Arc<Semaphore>,
    count: usize,
}

/// A place in a key's share, granted or waited for.
#[derive(Debug)]
struct Share<K: Eq + Hash> {
    granted: Option<OwnedSemaphorePermit>,
    places: Arc<Semaphore>,
    key: K,
    keys: Arc<Keys<K>>,
}

impl<K> Keys<K> {
    fn lock(&self) -> MutexGuard<'_, HashMap<K, Held>> {
        self.held.lock().unwrap_or_else(PoisonError::into_inner)
    }
}

impl<K: Clone + Eq + Hash> Share<K> {
    fn of(keys: &Arc<Keys<K>>, key: K) -> Self {
        let places = {
            let mut held = keys.lock();
            let held = held.entry(key.clone()).or_insert_with(|| Held {
                places: Arc::new(Semaphore::new(keys.each)),
                count: 0,
            });
            held.count = held.count.saturating_add(1);
            Arc::clone(&held.places)
        };
        Self {
            granted: None,
            places,
            key,
            keys: Arc::clone(keys),
        }
    }

    fn granted_now(mut self) -> Option<Self> {
        self.granted = Some(Arc::clone(&self.places).try_acquire_owned().ok()?);
        Some(self)
    }

    async fn granted(mut self) -> Self {
        // The semaphore is never closed.
        self.granted = Arc::clone(&self.places).acquire_owned().await.ok();
        self
    }
}

impl<K: Eq + Hash> Drop for Share<K> {
    fn drop(&mut self) {
        let mut keys = self.keys.lock();
        let Some(held) = keys.get_mut(&self.key) else {
            return;
        };
        held.count = held.count.saturating_sub(1);
        if held.count == 0 {
            keys.remove(&self.key);
        }
    }
}

#[cfg(test)]
mod tests {
    use futures_util::FutureExt as _;

    use super::*;

    #[test]
    fn one_user_cannot_take_the_places_of_another() {
        let shares = Shares::new(10, 2);
        let held: Vec<_> = (0..2).map(|_| shares.take_now(7).unwrap()).collect();
        assert!(shares.take_now(7).is_none());
        assert!(shares.take_now(8).is_some());
        drop(held);
        assert!(shares.take_now(7).is_some());
    }

    #[test]
    fn all_together_stay_under_the_total() {
        let shares = Shares::new(2, 2);
        let _first = shares.take_now(1).unwrap();
        let _second = shares.take_now(2).unwrap();
        assert!(shares.take_now(3).is_none());
        assert!(shares.free().now_or_never().is_none());
    }

    #[test]
    fn a_caller_that_holds_nothing_is_not_remembered() {
        let shares = Shares::new(usize::MAX, 1);
        for n in 0..1000 {
            drop(shares.take_now(n));
        }
        let held = shares.take_now(0);
        assert!(shares.take_now(0).is_none());
        assert_eq!(shares.keys.lock().len(), 1);
        drop(held);
        assert!(shares.keys.lock().is_empty());
    }

    #[test]
    fn who_waits_gets_the_next_free_place() {
        let shares = Shares::new(1, 1);
        let held = shares.take_now(1).unwrap();
        let mut waiting = Box::pin(shares.take(1));
        assert!((&mut waiting).now_or_never().is_none());
        drop(held);
        assert!(waiting.now_or_never().is_some());
    }

    #[test]
    fn who_waits_for_its_share_keeps_no_other_out_and_leaves_nothing_behind() {
        let shares = Shares::new(2, 1);
        let first = shares.take(1).now_or_never().unwrap();
        let mut second = Box::pin(shares.take(1));
        assert!((&mut second).now_or_never().is_none());
        drop(shares.take(2).now_or_never().unwrap());
        drop(first);
        drop(second.now_or_never().unwrap());
        // One that gives up while it waits.
        let held = shares.take(1).now_or_never().unwrap();
        assert!(shares.take(1).now_or_never().is_none());
        drop(held);
        assert!(shares.keys.lock().is_empty());
    }

    #[test]
    fn who_has_left_its_share_still_counts_among_all() {
        let shares = Shares::new(2, 1);
        let mut first = shares.take_now(1).unwrap();
        first.leave_share();
        let _second = shares.take_now(1).unwrap();
        assert!(shares.take_now(2).is_none());
    }
}
