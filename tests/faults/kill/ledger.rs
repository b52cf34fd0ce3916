//! What the API has acknowledged, and whether it still holds.

use std::{
    collections::{BTreeMap, BTreeSet},
    sync::{Mutex, PoisonError},
};

/// Entries by the number in their SPIFFE ID.
#[derive(Default)]
pub(super) struct Ledger {
    entries: Mutex<BTreeMap<u64, State>>,
}

/// How far an entry has come, as far as its client was told.
#[derive(Clone, Debug, PartialEq, Eq)]
pub(super) enum State {
    /// Its creation was acknowledged, with this id.
    Created(String),
    /// Its deletion was asked for, and not acknowledged.
    Deleting,
    /// Its deletion was acknowledged.
    Deleted,
}

impl Ledger {
    pub(super) fn note(&self, number: u64, state: State) {
        self.lock().insert(number, state);
    }

    pub(super) fn snapshot(&self) -> BTreeMap<u64, State> {
        self.lock().clone()
    }

    /// How many creations and deletions were acknowledged.
    pub(super) fn acknowledged(&self) -> (usize, usize) {
        let entries = self.lock();
        let deleted = |state: &&State| **state == State::Deleted;
        (entries.len(), entries.values().filter(deleted).count())
    }

    fn lock(&self) -> std::sync::MutexGuard<'_, BTreeMap<u64, State>> {
        self.entries.lock().unwrap_or_else(PoisonError::into_inner)
    }
}

/// Compares what the server lists with what was acknowledged before it was asked and what was
/// known after: what changed in between may be either way.
pub(super) fn compare(
    before: &BTreeMap<u64, State>,
    listed: &BTreeMap<u64, String>,
    after: &BTreeMap<u64, State>,
) {
    let mut lost = BTreeSet::new();
    let mut risen = BTreeSet::new();
    for (number, state) in before {
        match state {
            State::Created(id) if after.get(number) == Some(state) => {
                if listed.get(number) != Some(id) {
                    lost.insert(number);
                }
            }
            State::Deleted if listed.contains_key(number) => {
                risen.insert(number);
            }
            State::Created(_) | State::Deleting | State::Deleted => {}
        }
    }
    assert!(lost.is_empty(), "created, acknowledged and gone: {lost:?}");
    assert!(
        risen.is_empty(),
        "deleted, acknowledged and there: {risen:?}"
    );
}
