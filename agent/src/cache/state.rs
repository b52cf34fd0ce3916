//! The cache's state, changed by whole steps under one lock; no clock and no waiting in here.

use std::{
    collections::{HashMap, HashSet},
    sync::Arc,
    time::{Duration, SystemTime},
};

use signet_identity::{
    TrustDomain,
    bundle::Bundle,
    entry::{Entry, EntryId},
    selector::Selectors,
};

pub(super) use super::groups::{GroupId, Updates};
use super::{
    Bundles, Change, WorkloadIdentity, WorkloadUpdate,
    groups::Groups,
    held::{Held, is_for_workloads, may_prefetch},
    identity::same_certificate,
    index::Index,
    places::Places,
    schedule::Schedule,
    told::Told,
};

/// How much the cache may hold.
#[derive(Clone, Copy, Debug)]
pub(crate) struct Limits {
    /// X.509-SVIDs; those that a workload follows are held beyond it.
    pub(crate) x509_svids: usize,
    /// JWT-SVIDs, the oldest go first.
    pub(crate) jwt_svids: usize,
}

/// What to do about SVIDs now.
#[derive(Debug)]
pub(crate) struct Due {
    /// Entries to sign for, the most urgent first.
    pub(crate) entries: Vec<Arc<Entry>>,
    /// When the next one is due, or the next SVID expires.
    pub(crate) next: Option<SystemTime>,
}

/// Entries, SVIDs, bundles and who follows them.
#[derive(Debug)]
pub(super) struct State {
    held: HashMap<EntryId, Held>,
    index: Index,
    groups: Groups,
    bundles: Arc<Bundles>,
    /// When to have each wanted SVID signed.
    signing: Schedule,
    /// When each held SVID, or its entry, ends.
    expiry: Schedule,
    /// For whom an SVID is held.
    places: Places,
    /// What has not been logged yet.
    told: Told,
}

impl State {
    pub(super) fn new(bundles: Arc<Bundles>, x509_svids: usize) -> Self {
        Self {
            held: HashMap::new(),
            index: Index::default(),
            groups: Groups::default(),
            bundles,
            signing: Schedule::default(),
            expiry: Schedule::default(),
            places: Places::new(x509_svids),
            told: Told::default(),
        }
    }

    /// Takes over a change and tells those whom it concerns. Returns the bundles as they are now.
    pub(super) fn apply(&mut self, mut change: Change) -> Arc<Bundles> {
        if change.reset {
            change.remove_others(self.held.keys(), &self.bundles);
        }
        let mut affected = HashSet::new();
        for id in &change.removed_entries {
            affected.extend(self.remove(id));
        }
        for entry in change.entries {
            affected.extend(self.put(entry));
        }
        self.prefetch();
        if self.update_bundles(change.bundles, &change.removed_bundles) {
            self.replace_tainted();
            affected.extend(self.groups.all());
        }
        self.notify(affected);
        Arc::clone(&self.bundles)
    }

    /// What is to be logged once the lock is free.
    pub(super) fn told(&mut self) -> Told {
        std::mem::take(&mut self.told)
    }

    /// When the SVID that is held for an entry ends.
    pub(super) fn svid_ends(&self, id: &EntryId) -> Option<SystemTime> {
        let identity = self.held.get(id)?.identity.as_ref()?;
        Some(identity.not_after)
    }

    pub(super) fn subscribe(&mut self, selectors: &Selectors) -> (GroupId, Updates) {
        if let Some(joined) = self.groups.join(selectors) {
            return joined;
        }
        for id in self.matching(selectors) {
            if let Some(held) = self.held.get_mut(&id) {
                held.groups += 1;
            }
            self.places.follow(&id);
            self.reschedule(&id);
        }
        let update = self.update_for(selectors);
        self.groups.found(selectors, update)
    }

    pub(super) fn unsubscribe(&mut self, group: GroupId) {
        let Some(selectors) = self.groups.leave(group) else {
            return;
        };
        for id in self.matching(&selectors) {
            if let Some(held) = self.held.get_mut(&id) {
                held.groups = held.groups.saturating_sub(1);
            }
            self.place(&id);
            self.reschedule(&id);
        }
    }

    /// Whether [`State::evict`] has something to do.
    pub(super) fn crowded(&self) -> bool {
        self.places.crowded()
    }

    /// Lets go of SVIDs above the limit that nobody follows; says of how many.
    pub(super) fn evict(&mut self) -> usize {
        let evicted = self.places.evict();
        for id in &evicted {
            let Some(held) = self.held.get_mut(id) else {
                continue;
            };
            *held = Held::new(&held.entry);
            self.expiry.set(id, held.ends_at());
            self.place(id);
            self.reschedule(id);
        }
        evicted.len()
    }

    pub(super) fn matching_entries(&self, selectors: &Selectors) -> Vec<Arc<Entry>> {
        let mut entries: Vec<_> = self
            .index
            .candidates(selectors)
            .filter_map(|id| self.held.get(id))
            .filter(|held| held.entry.selectors.is_subset_of(selectors))
            .map(|held| Arc::clone(&held.entry))
            .collect();
        entries.sort_by(|a, b| (a.created_at, &a.id).cmp(&(b.created_at, &b.id)));
        entries
    }

    /// Which SVIDs to sign now, and when to ask again. What has expired is dropped.
    pub(super) fn due(&mut self, now: SystemTime, at_most: usize) -> Due {
        self.drop_expired(now);
        let entries = self
            .signing
            .due(now)
            .take(at_most)
            .filter_map(|id| self.held.get(id))
            .map(|held| Arc::clone(&held.entry))
            .collect();
        let next = self.signing.next().into_iter().chain(self.expiry.next());
        Due {
            entries,
            next: next.min(),
        }
    }

    /// Takes over signed SVIDs, except those whose entry has changed, ended or gone meanwhile.
    pub(super) fn install(&mut self, signed: Vec<WorkloadIdentity>) {
        let mut affected = HashSet::new();
        for identity in signed {
            let Some(held) = self.held.get_mut(&identity.entry.id) else {
                continue;
            };
            let entry = &held.entry;
            if !self.index.contains(&entry.id) || !same_certificate(entry, &identity.entry) {
                continue;
            }
            let id = held.entry.id.clone();
            held.identity = Some(Arc::new(identity.with_entry(&held.entry)));
            self.expiry.set(&id, held.ends_at());
            held.stale = false;
            held.failures = 0;
            held.not_before = None;
            affected.extend(self.groups.entitled_to(&held.entry.selectors));
            if !self.places.has(&id) {
                self.places.keep(&id);
            }
            self.reschedule(&id);
        }
        self.notify(affected);
    }

    /// Lets failed entries wait, longer each time.
    pub(super) fn postpone(&mut self, failed: &[EntryId], now: SystemTime) {
        for id in failed {
            let Some(held) = self.held.get_mut(id) else {
                continue;
            };
            let pause = Duration::from_secs(1 << held.failures.min(LONGEST_PAUSE_EXPONENT));
            held.failures = held.failures.saturating_add(1);
            held.not_before = Some(now + pause);
            self.reschedule(id);
        }
    }

    pub(super) fn known(&self) -> Vec<Arc<Entry>> {
        self.held
            .values()
            .map(|held| Arc::clone(&held.entry))
            .collect()
    }

    pub(super) fn bundles(&self) -> Arc<Bundles> {
        Arc::clone(&self.bundles)
    }

    /// Every SVID that is held.
    pub(super) fn identities(&self) -> Vec<Arc<WorkloadIdentity>> {
        let held = self.held.values();
        held.filter_map(|held| held.identity.clone()).collect()
    }

    fn put(&mut self, entry: Entry) -> Vec<GroupId> {
        let current = self.held.get(&entry.id);
        if current.is_some_and(|held| *held.entry == entry) {
            return Vec::new();
        }
        let id = entry.id.clone();
        let entry = Arc::new(entry);
        let (old, mut affected) = self.take(&id);
        self.told.put(old.as_ref().map(|old| &old.entry), &entry);
        let mut held = old.map_or_else(|| Held::new(&entry), |old| old.under(&entry));
        if is_for_workloads(&entry) {
            self.index.insert(&id, &entry.selectors);
            let entitled = self.groups.entitled_to(&entry.selectors);
            held.groups = entitled.len();
            affected.extend(entitled);
        }
        self.expiry.set(&id, held.ends_at());
        self.held.insert(id.clone(), held);
        self.place(&id);
        self.reschedule(&id);
        affected
    }

    fn remove(&mut self, id: &EntryId) -> Vec<GroupId> {
        let (old, affected) = self.take(id);
        if let Some(old) = old {
            self.told.removed(&old.entry);
        }
        self.places.leave(id);
        self.signing.set(id, None);
        self.expiry.set(id, None);
        affected
    }

    /// Takes an entry out of everything but the places and the schedules; says who was entitled to
    /// it.
    fn take(&mut self, id: &EntryId) -> (Option<Held>, Vec<GroupId>) {
        let Some(held) = self.held.remove(id) else {
            return (None, Vec::new());
        };
        self.index.remove(id);
        let entitled = self.groups.entitled_to(&held.entry.selectors);
        (Some(held), entitled)
    }

    /// Gives an entry the place that is its due now.
    fn place(&mut self, id: &EntryId) {
        let Some(held) = self.held.get(id) else {
            return;
        };
        if held.groups > 0 {
            return self.places.follow(id);
        }
        let kept = held.identity.is_some();
        if self.places.unfollow(id) && kept {
            self.places.keep(id);
        }
        if may_prefetch(&held.entry) {
            self.places.wait(id);
        } else if !kept {
            self.places.leave(id);
        }
    }

    fn prefetch(&mut self) {
        for id in self.places.fill() {
            self.reschedule(&id);
        }
    }

    fn update_bundles(&mut self, changed: Vec<Bundle>, removed: &[TrustDomain]) -> bool {
        let mut next = Bundles::clone(&self.bundles);
        let differs = next.update(changed, removed);
        if differs {
            self.bundles = Arc::new(next);
        }
        differs
    }

    /// SVIDs under a tainted authority are replaced now: the authority is about to be revoked.
    pub(super) fn replace_tainted(&mut self) {
        let authorities = &self.bundles.own.bundle().x509_authorities;
        let tainted: HashSet<Vec<u8>> = authorities
            .iter()
            .filter(|authority| authority.tainted)
            .filter_map(|authority| authority.details().ok()?.subject_key_id)
            .collect();
        if tainted.is_empty() {
            return;
        }
        let mut stale = Vec::new();
        for (id, held) in &mut self.held {
            let issuer = held
                .identity
                .as_ref()
                .and_then(|i| i.issuer_key_id.as_ref());
            if !held.stale && issuer.is_some_and(|issuer| tainted.contains(issuer)) {
                held.stale = true;
                stale.push(id.clone());
            }
        }
        for id in &stale {
            self.reschedule(id);
        }
    }

    fn drop_expired(&mut self, now: SystemTime) {
        let expired: Vec<EntryId> = self.expiry.due(now).cloned().collect();
        let mut affected = HashSet::new();
        for id in &expired {
            self.expiry.set(id, None);
            let Some(held) = self.held.get_mut(id) else {
                continue;
            };
            if held.entry_has_ended(now) {
                affected.extend(self.retire(id));
            } else {
                held.identity = None;
                self.expiry.set(id, held.ends_at());
                affected.extend(self.groups.entitled_to(&held.entry.selectors));
            }
            self.reschedule(id);
        }
        self.prefetch();
        self.notify(affected);
    }

    /// An entry that has ended stays known until the server takes it away, which SPIRE's does
    /// minutes later; but it entitles nobody, and no SVID is signed for it.
    fn retire(&mut self, id: &EntryId) -> Vec<GroupId> {
        let (old, affected) = self.take(id);
        if let Some(old) = old {
            self.held.insert(id.clone(), Held::new(&old.entry));
        }
        self.places.leave(id);
        affected
    }

    fn reschedule(&mut self, id: &EntryId) {
        let held = self.held.get(id).filter(|_| self.places.has(id));
        self.signing.set(id, held.map(Held::sign_at));
    }

    fn notify(&self, groups: HashSet<GroupId>) {
        for id in groups {
            if let Some(selectors) = self.groups.selectors(id) {
                self.groups.publish(id, self.update_for(selectors));
            }
        }
    }

    fn matching(&self, selectors: &Selectors) -> Vec<EntryId> {
        let entries = self.matching_entries(selectors);
        entries.iter().map(|entry| entry.id.clone()).collect()
    }

    fn update_for(&self, selectors: &Selectors) -> WorkloadUpdate {
        let entries = self.matching_entries(selectors);
        let held = entries.iter().filter_map(|entry| self.held.get(&entry.id));
        WorkloadUpdate {
            identities: held.filter_map(|held| held.identity.clone()).collect(),
            entries,
            bundles: Arc::clone(&self.bundles),
        }
    }
}

/// The longest pause after failures is 2⁶ s.
const LONGEST_PAUSE_EXPONENT: u32 = 6;
