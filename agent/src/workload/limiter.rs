//! Bounds what one user can occupy, so that a single noisy or hostile uid cannot keep the
//! others from being served.

use std::{
    collections::HashMap,
    sync::{Arc, Mutex, PoisonError},
};

use tokio::sync::{AcquireError, OwnedSemaphorePermit, Semaphore};

/// A number of places for all, and a smaller number for each user.
#[derive(Debug)]
pub(crate) struct Limiter {
    all: Arc<Semaphore>,
    each: usize,
    users: Mutex<HashMap<u32, Arc<Semaphore>>>,
}

/// One occupied place; dropping it frees the place.
#[derive(Debug)]
pub(crate) struct Permit {
    _of_user: OwnedSemaphorePermit,
    _of_all: OwnedSemaphorePermit,
}

impl Limiter {
    /// `all` places, of which one user may have `each`.
    pub(crate) fn new(all: usize, each: usize) -> Self {
        Self {
            all: Arc::new(Semaphore::new(all)),
            each,
            users: Mutex::new(HashMap::new()),
        }
    }

    /// A place now, or none.
    pub(crate) fn take_now(&self, uid: u32) -> Option<Permit> {
        Some(Permit {
            _of_user: self.user(uid).try_acquire_owned().ok()?,
            _of_all: Arc::clone(&self.all).try_acquire_owned().ok()?,
        })
    }

    /// A place as soon as there is one, first come first served. The caller sets the deadline.
    pub(crate) async fn take(&self, uid: u32) -> Result<Permit, AcquireError> {
        // The user's own place comes first: while one waits for it, nobody else is kept waiting.
        let of_user = self.user(uid).acquire_owned().await?;
        let of_all = Arc::clone(&self.all).acquire_owned().await?;
        Ok(Permit {
            _of_user: of_user,
            _of_all: of_all,
        })
    }

    fn user(&self, uid: u32) -> Arc<Semaphore> {
        let mut users = self.users.lock().unwrap_or_else(PoisonError::into_inner);
        if users.len() >= REMEMBERED_USERS && !users.contains_key(&uid) {
            // A semaphore that only this map holds has no permit out and nobody in line.
            users.retain(|_, places| Arc::strong_count(places) > 1);
        }
        let places = users
            .entry(uid)
            .or_insert_with(|| Arc::new(Semaphore::new(self.each)));
        Arc::clone(places)
    }
}

/// More users than this at once make each newcomer sweep out the idle ones.
const REMEMBERED_USERS: usize = 256;

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn one_user_cannot_take_the_places_of_another() {
        let limiter = Limiter::new(10, 2);
        let held: Vec<_> = (0..2).map(|_| limiter.take_now(7).unwrap()).collect();
        assert!(limiter.take_now(7).is_none());
        assert!(limiter.take_now(8).is_some());
        drop(held);
        assert!(limiter.take_now(7).is_some());
    }

    #[test]
    fn all_users_together_stay_under_the_total() {
        let limiter = Limiter::new(2, 2);
        let _first = limiter.take_now(1).unwrap();
        let _second = limiter.take_now(2).unwrap();
        assert!(limiter.take_now(3).is_none());
    }

    #[test]
    fn idle_users_are_forgotten() {
        let limiter = Limiter::new(10, 2);
        let kept = limiter.take_now(0).unwrap();
        for uid in 1..2000 {
            drop(limiter.take_now(uid));
        }
        let _second = limiter.take_now(0).unwrap();
        assert!(
            limiter.take_now(0).is_none(),
            "a user with places taken is remembered"
        );
        assert!(limiter.users.lock().unwrap().len() <= REMEMBERED_USERS);
        drop(kept);
    }

    #[tokio::test]
    async fn who_waits_gets_the_next_free_place() {
        let limiter = Limiter::new(1, 1);
        let held = limiter.take_now(1).unwrap();
        let waiting = limiter.take(1);
        tokio::pin!(waiting);
        tokio::select! {
            biased;
            _ = waiting.as_mut() => panic!("two hold the only place"),
            () = std::future::ready(()) => {}
        }
        drop(held);
        waiting.await.unwrap();
    }
}
