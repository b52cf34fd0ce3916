//! The registration entries, and the ways to find them.

use std::{
    collections::{BTreeSet, HashMap},
    hash::Hash,
    ops::Bound,
    sync::Arc,
};

use signet_identity::{
    SpiffeId, TrustDomain,
    entry::{Entry, EntryId},
};

pub(super) use super::order::ById;
use super::order::{Given, Index, Parent};

/// Entries in the order of their ids.
pub(super) type EntrySet = BTreeSet<ById>;

/// All entries, by id, parent, SPIFFE ID and federated trust domain.
#[derive(Debug, Default)]
pub(super) struct Entries {
    all: EntrySet,
    by_parent: Index<Parent>,
    by_spiffe_id: Index<Given>,
    by_federation: HashMap<TrustDomain, EntrySet>,
}

/// Which entries to look through.
#[derive(Debug, Clone)]
pub(crate) enum Among {
    /// All of them.
    All,
    /// Those with this SPIFFE ID.
    SpiffeId(SpiffeId),
    /// Those below this parent.
    Parent(SpiffeId),
}

impl Entries {
    pub(super) fn get(&self, id: &EntryId) -> Option<&Arc<Entry>> {
        self.all.get(id).map(|entry| &entry.0)
    }

    pub(super) fn len(&self) -> usize {
        self.all.len()
    }

    pub(super) fn ids(&self) -> impl Iterator<Item = &EntryId> {
        self.all.iter().map(|entry| &entry.0.id)
    }

    pub(super) fn children(&self, parent: &SpiffeId) -> impl Iterator<Item = &Arc<Entry>> {
        self.by_parent.after(parent, None)
    }

    pub(super) fn with_spiffe_id(&self, id: &SpiffeId) -> impl Iterator<Item = &Arc<Entry>> {
        self.by_spiffe_id.after(id, None)
    }

    pub(super) fn federating_with(
        &self,
        trust_domain: &TrustDomain,
    ) -> impl Iterator<Item = &Arc<Entry>> {
        let set = self.by_federation.get(trust_domain);
        set.into_iter().flatten().map(|entry| &entry.0)
    }

    /// In the order of their ids, those after `after`.
    pub(super) fn after<'a>(
        &'a self,
        among: &'a Among,
        after: Option<&'a EntryId>,
    ) -> Box<dyn Iterator<Item = &'a Arc<Entry>> + 'a> {
        match among {
            Among::All => {
                let start = after.map_or(Bound::Unbounded, Bound::Excluded);
                let range = (start, Bound::Unbounded);
                Box::new(self.all.range::<EntryId, _>(range).map(|entry| &entry.0))
            }
            Among::SpiffeId(id) => Box::new(self.by_spiffe_id.after(id, after)),
            Among::Parent(id) => Box::new(self.by_parent.after(id, after)),
        }
    }

    /// Everything that stands below `root`, directly or through other entries: those whose
    /// parent is `root`, those whose parent is the SPIFFE ID of one of these, and so on.
    pub(super) fn below(&self, root: &SpiffeId, seen: &mut Descent) {
        let mut parents = vec![root.clone()];
        while let Some(parent) = parents.pop() {
            if !seen.parents.insert(parent.clone()) {
                continue;
            }
            for entry in self.children(&parent) {
                seen.entries.insert(ById(Arc::clone(entry)));
                parents.push(entry.spiffe_id.clone());
            }
        }
    }

    /// Calls `visit` for `parent` and for every ID above it, until it answers true.
    pub(super) fn above(
        &self,
        parent: &SpiffeId,
        mut visit: impl FnMut(&SpiffeId) -> bool,
    ) -> bool {
        let mut seen = BTreeSet::new();
        let mut next = vec![parent];
        while let Some(id) = next.pop() {
            if !seen.insert(id) {
                continue;
            }
            if visit(id) {
                return true;
            }
            next.extend(self.with_spiffe_id(id).map(|entry| &entry.parent_id));
        }
        false
    }

    pub(super) fn insert(&mut self, entry: &Arc<Entry>) {
        self.remove(&entry.id);
        let by_id = ById(Arc::clone(entry));
        for trust_domain in &entry.federates_with {
            add(&mut self.by_federation, trust_domain, &by_id);
        }
        self.by_parent.insert(entry);
        self.by_spiffe_id.insert(entry);
        self.all.insert(by_id);
    }

    pub(super) fn remove(&mut self, id: &EntryId) {
        let Some(ById(entry)) = self.all.take(id) else {
            return;
        };
        for trust_domain in &entry.federates_with {
            take(&mut self.by_federation, trust_domain, id);
        }
        self.by_parent.remove(&entry);
        self.by_spiffe_id.remove(&entry);
    }
}

/// What a walk downwards has found. Entries may form a ring; each ID is entered once.
#[derive(Debug, Default)]
pub(super) struct Descent {
    parents: BTreeSet<SpiffeId>,
    pub(super) entries: EntrySet,
}

pub(super) fn add<K: Hash + Eq + Clone>(index: &mut HashMap<K, EntrySet>, key: &K, entry: &ById) {
    index.entry(key.clone()).or_default().insert(entry.clone());
}

pub(super) fn take<K: Hash + Eq>(index: &mut HashMap<K, EntrySet>, key: &K, id: &EntryId) {
    if let Some(set) = index.get_mut(key) {
        set.remove(id);
        if set.is_empty() {
            index.remove(key);
        }
    }
}
