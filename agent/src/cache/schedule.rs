//! What is due when: one time per entry, found in order.

use std::{
    collections::{BTreeSet, HashMap},
    time::SystemTime,
};

use signet_identity::entry::EntryId;

/// Entries by the time at which something is to be done with them.
#[derive(Debug, Default)]
pub(super) struct Schedule {
    order: BTreeSet<(SystemTime, EntryId)>,
    times: HashMap<EntryId, SystemTime>,
}

impl Schedule {
    /// Sets, moves or (with `None`) takes away an entry's time.
    pub(super) fn set(&mut self, id: &EntryId, at: Option<SystemTime>) {
        if let Some(old) = self.times.remove(id) {
            self.order.remove(&(old, id.clone()));
        }
        if let Some(at) = at {
            self.times.insert(id.clone(), at);
            self.order.insert((at, id.clone()));
        }
    }

    /// Entries whose time has come, earliest first.
    pub(super) fn due(&self, now: SystemTime) -> impl Iterator<Item = &EntryId> {
        self.order
            .iter()
            .take_while(move |(at, _)| *at <= now)
            .map(|(_, id)| id)
    }

    /// The earliest time of all.
    pub(super) fn next(&self) -> Option<SystemTime> {
        self.order.first().map(|(at, _)| *at)
    }
}
