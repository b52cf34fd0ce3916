//! The registration entries, and the ways to find them.

use std::borrow::Borrow;
use std::cmp::Ordering;
use std::collections::{BTreeSet, HashMap};
use std::hash::Hash;
use std::ops::Bound;
use std::sync::Arc;

use signet_identity::entry::{Entry, EntryId};
use signet_identity::{SpiffeId, TrustDomain};

/// Entries in the order of their ids. A pointer for each is all that an index costs.
pub(super) type EntrySet = BTreeSet<ById>;

/// An entry that is compared by its id.
#[derive(Debug, Clone)]
pub(super) struct ById(pub(super) Arc<Entry>);

/// All entries, by id, parent, SPIFFE ID and federated trust domain.
#[derive(Debug, Default)]
pub(super) struct Entries {
    all: EntrySet,
    by_parent: HashMap<SpiffeId, EntrySet>,
    by_spiffe_id: HashMap<SpiffeId, EntrySet>,
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
        within(&self.by_parent, parent)
    }

    pub(super) fn with_spiffe_id(&self, id: &SpiffeId) -> impl Iterator<Item = &Arc<Entry>> {
        within(&self.by_spiffe_id, id)
    }

    pub(super) fn federating_with(
        &self,
        trust_domain: &TrustDomain,
    ) -> impl Iterator<Item = &Arc<Entry>> {
        within(&self.by_federation, trust_domain)
    }

    /// In the order of their ids, those after `after`.
    pub(super) fn after(
        &self,
        among: &Among,
        after: Option<&EntryId>,
    ) -> impl Iterator<Item = &Arc<Entry>> {
        let set = match among {
            Among::All => Some(&self.all),
            Among::SpiffeId(id) => self.by_spiffe_id.get(id),
            Among::Parent(id) => self.by_parent.get(id),
        };
        let start = after.map_or(Bound::Unbounded, Bound::Excluded);
        set.into_iter()
            .flat_map(move |set| set.range::<EntryId, _>((start, Bound::Unbounded)))
            .map(|entry| &entry.0)
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
        add(&mut self.by_parent, &entry.parent_id, &by_id);
        add(&mut self.by_spiffe_id, &entry.spiffe_id, &by_id);
        self.all.insert(by_id);
    }

    pub(super) fn remove(&mut self, id: &EntryId) {
        let Some(ById(entry)) = self.all.take(id) else {
            return;
        };
        for trust_domain in &entry.federates_with {
            take(&mut self.by_federation, trust_domain, id);
        }
        take(&mut self.by_parent, &entry.parent_id, id);
        take(&mut self.by_spiffe_id, &entry.spiffe_id, id);
    }
}

/// What a walk downwards has found. Entries may form a ring; each ID is entered once.
#[derive(Debug, Default)]
pub(super) struct Descent {
    parents: BTreeSet<SpiffeId>,
    pub(super) entries: EntrySet,
}

fn within<'a, K: Hash + Eq>(
    index: &'a HashMap<K, EntrySet>,
    key: &K,
) -> impl Iterator<Item = &'a Arc<Entry>> + use<'a, K> {
    index.get(key).into_iter().flatten().map(|entry| &entry.0)
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

impl PartialEq for ById {
    fn eq(&self, other: &Self) -> bool {
        self.0.id == other.0.id
    }
}

impl Eq for ById {}

impl PartialOrd for ById {
    fn partial_cmp(&self, other: &Self) -> Option<Ordering> {
        Some(self.cmp(other))
    }
}

impl Ord for ById {
    fn cmp(&self, other: &Self) -> Ordering {
        self.0.id.cmp(&other.0.id)
    }
}

impl Borrow<EntryId> for ById {
    fn borrow(&self) -> &EntryId {
        &self.0.id
    }
}
