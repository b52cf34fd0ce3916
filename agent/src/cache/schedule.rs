//! What comes when: one time per entry, found in order.

use std::{
    collections::{BTreeSet, HashMap},
    time::SystemTime,
};

use signet_identity::entry::EntryId;

/// Entries in the order of a time, which may be any that can be ordered.
#[derive(Debug)]
pub(super) struct Schedule<T = SystemTime> {
    order: BTreeSet<(T, EntryId)>,
    times: HashMap<EntryId, T>,
}

impl<T> Default for Schedule<T> {
    fn default() -> Self {
        Self {
            order: BTreeSet::new(),
            times: HashMap::new(),
        }
    }
}

impl<T: Copy + Ord> Schedule<T> {
    /// Sets, moves or (with `None`) takes away an entry's time.
    pub(super) fn set(&mut self, id: &EntryId, at: Option<T>) {
        if let Some(old) = self.times.remove(id) {
            self.order.remove(&(old, id.clone()));
        }
        if let Some(at) = at {
            self.times.insert(id.clone(), at);
            self.order.insert((at, id.clone()));
        }
    }

    /// An entry's time, if it has one.
    pub(super) fn get(&self, id: &EntryId) -> Option<T> {
        self.times.get(id).copied()
    }

    /// Entries whose time has come, earliest first.
    pub(super) fn due(&self, now: T) -> impl Iterator<Item = &EntryId> {
        let due = self.order.iter().take_while(move |(at, _)| *at <= now);
        due.map(|(_, id)| id)
    }

    /// Every entry, earliest first.
    pub(super) fn in_order(&self) -> impl Iterator<Item = &EntryId> {
        self.order.iter().map(|(_, id)| id)
    }

    /// The earliest time of all.
    pub(super) fn next(&self) -> Option<T> {
        self.order.first().map(|(at, _)| *at)
    }

    pub(super) fn len(&self) -> usize {
        self.times.len()
    }
}
