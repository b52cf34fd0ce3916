//! Whose X.509-SVIDs are held: always those that a workload follows, and of the others as many as
//! the limit leaves room for, the last followed before those that nobody followed yet.

use std::collections::{BTreeSet, HashSet};

use signet_identity::entry::EntryId;

use super::schedule::Schedule;

/// The places for SVIDs. The limit is a soft one: what is followed has a place beyond it, and what
/// was followed keeps it until [`Places::evict`].
#[derive(Debug)]
pub(super) struct Places {
    limit: usize,
    followed: HashSet<EntryId>,
    /// By when somebody followed them last, in steps of `uses`.
    idle: Schedule<u64>,
    /// Entries that are prefetched as soon as there is room.
    waiting: BTreeSet<EntryId>,
    uses: u64,
}

impl Places {
    pub(super) fn new(limit: usize) -> Self {
        Self {
            limit,
            followed: HashSet::new(),
            idle: Schedule::default(),
            waiting: BTreeSet::new(),
            uses: NEVER,
        }
    }

    /// Whether an SVID is to be held for this entry.
    pub(super) fn has(&self, id: &EntryId) -> bool {
        self.followed.contains(id) || self.idle.get(id).is_some()
    }

    /// Whether more is held than the limit allows, and some of it could be let go.
    pub(super) fn crowded(&self) -> bool {
        self.taken() > self.limit && self.idle.len() > 0
    }

    /// A workload follows the entry.
    pub(super) fn follow(&mut self, id: &EntryId) {
        self.waiting.remove(id);
        self.idle.set(id, None);
        self.followed.insert(id.clone());
    }

    /// Nobody follows the entry; says whether somebody did.
    pub(super) fn unfollow(&mut self, id: &EntryId) -> bool {
        self.followed.remove(id)
    }

    /// The entry has an SVID, which is kept for the next who follows it.
    pub(super) fn keep(&mut self, id: &EntryId) {
        self.uses = self.uses.saturating_add(1);
        self.waiting.remove(id);
        self.idle.set(id, Some(self.uses));
    }

    /// The entry is prefetched when there is room, unless it has a place.
    pub(super) fn wait(&mut self, id: &EntryId) {
        if !self.has(id) {
            self.waiting.insert(id.clone());
        }
    }

    pub(super) fn leave(&mut self, id: &EntryId) {
        self.waiting.remove(id);
        self.followed.remove(id);
        self.idle.set(id, None);
    }

    /// Gives the free places to those that wait; says to whom.
    pub(super) fn fill(&mut self) -> Vec<EntryId> {
        let mut placed = Vec::new();
        while self.taken() < self.limit {
            let Some(id) = self.waiting.pop_first() else {
                break;
            };
            self.idle.set(&id, Some(NEVER));
            placed.push(id);
        }
        placed
    }

    /// Takes the places beyond the limit from those that nobody follows, beginning with the one
    /// that was followed the longest ago; says from whom.
    pub(super) fn evict(&mut self) -> Vec<EntryId> {
        let beyond = self.taken().saturating_sub(self.limit);
        let evicted: Vec<_> = self.idle.in_order().take(beyond).cloned().collect();
        for id in &evicted {
            self.idle.set(id, None);
        }
        evicted
    }

    fn taken(&self) -> usize {
        self.followed.len().saturating_add(self.idle.len())
    }
}

/// The use of an entry that nobody followed yet.
const NEVER: u64 = 0;
