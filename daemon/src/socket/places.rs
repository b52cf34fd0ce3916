//! How many connections one user may hold, so that a user who opens them without end does not
//! shut out the others: a socket that everybody may use is only as good as its fairness.

use std::{
    collections::HashMap,
    sync::{Arc, Mutex, PoisonError},
};

use tracing::warn;

/// Connections for each user id.
#[derive(Debug, Clone)]
pub(super) struct Places {
    most: usize,
    users: Arc<Mutex<HashMap<u32, Held>>>,
}

#[derive(Debug, Default)]
struct Held {
    count: usize,
    warned: bool,
}

/// The right to one connection; it ends with the value.
#[derive(Debug)]
pub(super) struct Place {
    user: u32,
    places: Places,
}

impl Places {
    pub(super) fn new(most: usize) -> Self {
        Self {
            most,
            users: Arc::default(),
        }
    }

    /// A place for one more connection of `user`, if there is one left. The first refusal is
    /// logged; the rest would only fill the log.
    pub(super) fn take(&self, user: u32) -> Option<Place> {
        let mut users = self.users.lock().unwrap_or_else(PoisonError::into_inner);
        let held = users.entry(user).or_default();
        if held.count < self.most {
            held.count += 1;
            return Some(Place {
                user,
                places: self.clone(),
            });
        }
        if !held.warned {
            held.warned = true;
            warn!(
                uid = user,
                most = self.most,
                "refusing connections of a user who holds too many"
            );
        }
        None
    }
}

impl Drop for Place {
    fn drop(&mut self) {
        let mut users = self
            .places
            .users
            .lock()
            .unwrap_or_else(PoisonError::into_inner);
        let Some(held) = users.get_mut(&self.user) else {
            return;
        };
        held.count = held.count.saturating_sub(1);
        if held.count == 0 {
            users.remove(&self.user);
        }
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_user_who_takes_all_places_leaves_those_of_the_others() {
        let places = Places::new(2);
        let (first, _second) = (places.take(1000).unwrap(), places.take(1000).unwrap());
        assert!(places.take(1000).is_none());
        let other = places.take(1001).unwrap();
        drop(first);
        assert!(places.take(1000).is_some());
        drop(other);
        assert_eq!(places.users.lock().unwrap().len(), 1);
    }
}
