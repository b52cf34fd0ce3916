//! Orders of entries. An index is a set of pointers that are compared by what stands in the
//! entries themselves: it has no keys of its own, and so costs little more than the pointers.

use std::{
    borrow::Borrow, cmp::Ordering, collections::BTreeSet, fmt, marker::PhantomData, ops::Bound,
    sync::Arc,
};

use signet_identity::{
    SpiffeId,
    entry::{Entry, EntryId},
};

/// An entry that is compared by its id.
#[derive(Debug, Clone)]
pub(super) struct ById(pub(super) Arc<Entry>);

/// Which SPIFFE ID of an entry an [`Index`] is about.
pub(super) trait Key {
    fn of(entry: &Entry) -> &SpiffeId;
}

/// The parent's.
#[derive(Debug)]
pub(super) struct Parent;

/// The one that the entry gives.
#[derive(Debug)]
pub(super) struct Given;

/// Entries in the order of a SPIFFE ID that stands in them, and of their ids below that.
#[derive(Debug)]
pub(super) struct Index<K>(BTreeSet<Indexed<K>>);

impl<K: Key> Index<K> {
    pub(super) fn insert(&mut self, entry: &Arc<Entry>) {
        self.0.insert(Indexed::new(entry));
    }

    pub(super) fn remove(&mut self, entry: &Arc<Entry>) {
        self.0.remove(&Indexed::new(entry));
    }

    /// The entries with this SPIFFE ID, in the order of their ids, those after `after`.
    pub(super) fn after(
        &self,
        id: &SpiffeId,
        after: Option<&EntryId>,
    ) -> impl Iterator<Item = &Arc<Entry>> {
        let start: &dyn Positioned = &Position(id, after);
        self.0
            .range::<dyn Positioned + '_, _>((Bound::Excluded(start), Bound::Unbounded))
            .map(|indexed| &indexed.entry)
            .take_while(move |entry| K::of(entry) == id)
    }
}

impl<K: Key> Default for Index<K> {
    fn default() -> Self {
        Self(BTreeSet::new())
    }
}

impl Key for Parent {
    fn of(entry: &Entry) -> &SpiffeId {
        &entry.parent_id
    }
}

impl Key for Given {
    fn of(entry: &Entry) -> &SpiffeId {
        &entry.spiffe_id
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

/// An entry in an [`Index`].
struct Indexed<K> {
    entry: Arc<Entry>,
    key: PhantomData<K>,
}

impl<K> Indexed<K> {
    fn new(entry: &Arc<Entry>) -> Self {
        Self {
            entry: Arc::clone(entry),
            key: PhantomData,
        }
    }
}

impl<K> fmt::Debug for Indexed<K> {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        self.entry.id.fmt(f)
    }
}

/// Something that has a position in an [`Index`]: an entry, or where to start looking.
trait Positioned {
    /// Nothing stands before every id.
    fn position(&self) -> (&SpiffeId, Option<&EntryId>);
}

/// Where to start looking.
struct Position<'a>(&'a SpiffeId, Option<&'a EntryId>);

impl Positioned for Position<'_> {
    fn position(&self) -> (&SpiffeId, Option<&EntryId>) {
        (self.0, self.1)
    }
}

impl<K: Key> Positioned for Indexed<K> {
    fn position(&self) -> (&SpiffeId, Option<&EntryId>) {
        (K::of(&self.entry), Some(&self.entry.id))
    }
}

impl<'a, K: Key + 'a> Borrow<dyn Positioned + 'a> for Indexed<K> {
    fn borrow(&self) -> &(dyn Positioned + 'a) {
        self
    }
}

impl Ord for dyn Positioned + '_ {
    fn cmp(&self, other: &Self) -> Ordering {
        self.position().cmp(&other.position())
    }
}

impl PartialOrd for dyn Positioned + '_ {
    fn partial_cmp(&self, other: &Self) -> Option<Ordering> {
        Some(self.cmp(other))
    }
}

impl PartialEq for dyn Positioned + '_ {
    fn eq(&self, other: &Self) -> bool {
        self.position() == other.position()
    }
}

impl Eq for dyn Positioned + '_ {}

impl<K: Key> Ord for Indexed<K> {
    fn cmp(&self, other: &Self) -> Ordering {
        self.position().cmp(&other.position())
    }
}

impl<K: Key> PartialOrd for Indexed<K> {
    fn partial_cmp(&self, other: &Self) -> Option<Ordering> {
        Some(self.cmp(other))
    }
}

impl<K: Key> PartialEq for Indexed<K> {
    fn eq(&self, other: &Self) -> bool {
        self.position() == other.position()
    }
}

impl<K: Key> Eq for Indexed<K> {}
