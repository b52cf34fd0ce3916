//! Finds the entries that a workload matches without looking at all of them.
//!
//! Each entry is filed under one of its selectors, the one with the fewest entries at that time:
//! a workload that has all selectors of an entry has this one too, so looking under each of the
//! workload's selectors finds every candidate.

use std::collections::{BTreeSet, HashMap};

use signet_identity::{
    entry::EntryId,
    selector::{Selector, Selectors},
};

/// Entries by one of their selectors.
#[derive(Debug, Default)]
pub(super) struct Index {
    filed: HashMap<Selector, BTreeSet<EntryId>>,
    filed_under: HashMap<EntryId, Selector>,
}

impl Index {
    /// Whether a workload can match the entry.
    pub(super) fn contains(&self, id: &EntryId) -> bool {
        self.filed_under.contains_key(id)
    }

    /// Files an entry, unless it has no selectors.
    pub(super) fn insert(&mut self, id: &EntryId, selectors: &Selectors) {
        self.remove(id);
        let crowd = |selector: &&Selector| self.filed.get(*selector).map_or(0, BTreeSet::len);
        let Some(rarest) = selectors.iter().min_by_key(crowd).cloned() else {
            return;
        };
        self.filed
            .entry(rarest.clone())
            .or_default()
            .insert(id.clone());
        self.filed_under.insert(id.clone(), rarest);
    }

    /// Takes an entry out.
    pub(super) fn remove(&mut self, id: &EntryId) {
        let Some(selector) = self.filed_under.remove(id) else {
            return;
        };
        if let Some(ids) = self.filed.get_mut(&selector) {
            ids.remove(id);
            if ids.is_empty() {
                self.filed.remove(&selector);
            }
        }
    }

    /// Every entry that can match these selectors; the caller compares the whole set.
    pub(super) fn candidates<'a>(
        &'a self,
        selectors: &'a Selectors,
    ) -> impl Iterator<Item = &'a EntryId> {
        selectors
            .iter()
            .filter_map(|selector| self.filed.get(selector))
            .flatten()
    }
}
