//! The subscribers, grouped by their selectors: workloads with equal selectors see one snapshot.

use std::{
    collections::{HashMap, HashSet},
    sync::Arc,
};

use signet_identity::selector::{Selector, Selectors};
use tokio::sync::watch;

use super::{Bundles, WorkloadUpdate};

/// Names a group.
pub(super) type GroupId = u64;

/// What a subscriber follows.
pub(super) type Updates = watch::Receiver<Arc<WorkloadUpdate>>;

/// All groups with a living subscriber.
#[derive(Debug, Default)]
pub(super) struct Groups {
    last: GroupId,
    groups: HashMap<GroupId, Group>,
    by_selectors: HashMap<Selectors, GroupId>,
    by_selector: HashMap<Selector, HashSet<GroupId>>,
}

/// Subscribers with the same selectors.
#[derive(Debug)]
pub(super) struct Group {
    selectors: Selectors,
    subscribers: usize,
    updates: watch::Sender<Arc<WorkloadUpdate>>,
}

impl Groups {
    /// Joins the group of these selectors, if it exists.
    pub(super) fn join(&mut self, selectors: &Selectors) -> Option<(GroupId, Updates)> {
        let id = *self.by_selectors.get(selectors)?;
        let group = self.groups.get_mut(&id)?;
        group.subscribers += 1;
        Some((id, group.updates.subscribe()))
    }

    /// Founds a group with one subscriber.
    pub(super) fn found(
        &mut self,
        selectors: &Selectors,
        update: WorkloadUpdate,
    ) -> (GroupId, Updates) {
        self.last += 1;
        let (updates, receiver) = watch::channel(Arc::new(update));
        for selector in selectors.iter() {
            self.by_selector
                .entry(selector.clone())
                .or_default()
                .insert(self.last);
        }
        self.by_selectors.insert(selectors.clone(), self.last);
        self.groups.insert(
            self.last,
            Group {
                selectors: selectors.clone(),
                subscribers: 1,
                updates,
            },
        );
        (self.last, receiver)
    }

    /// One subscriber left; returns the group's selectors if it was the last one.
    pub(super) fn leave(&mut self, id: GroupId) -> Option<Selectors> {
        let group = self.groups.get_mut(&id)?;
        group.subscribers = group.subscribers.saturating_sub(1);
        if group.subscribers > 0 {
            return None;
        }
        let group = self.groups.remove(&id)?;
        self.by_selectors.remove(&group.selectors);
        for selector in group.selectors.iter() {
            if let Some(ids) = self.by_selector.get_mut(selector) {
                ids.remove(&id);
                if ids.is_empty() {
                    self.by_selector.remove(selector);
                }
            }
        }
        Some(group.selectors)
    }

    /// The groups that have all of an entry's selectors.
    pub(super) fn entitled_to(&self, entry: &Selectors) -> Vec<GroupId> {
        let smallest = entry
            .iter()
            .map(|selector| self.by_selector.get(selector))
            .min_by_key(|ids| ids.map_or(0, HashSet::len));
        let Some(Some(ids)) = smallest else {
            return Vec::new();
        };
        let entitled = |id: &&GroupId| {
            let group = self.groups.get(*id);
            group.is_some_and(|group| entry.is_subset_of(&group.selectors))
        };
        ids.iter().filter(entitled).copied().collect()
    }

    /// Every group.
    pub(super) fn all(&self) -> Vec<GroupId> {
        self.groups.keys().copied().collect()
    }

    /// The selectors of a group.
    pub(super) fn selectors(&self, id: GroupId) -> Option<&Selectors> {
        self.groups.get(&id).map(|group| &group.selectors)
    }

    /// Hands a snapshot to a group unless it would see no difference.
    pub(super) fn publish(&self, id: GroupId, update: WorkloadUpdate) {
        let Some(group) = self.groups.get(&id) else {
            return;
        };
        group.updates.send_if_modified(|current| {
            let changed = differs(current, &update);
            if changed {
                *current = Arc::new(update);
            }
            changed
        });
    }
}

fn differs(a: &WorkloadUpdate, b: &WorkloadUpdate) -> bool {
    !same(&a.entries, &b.entries) || !same(&a.identities, &b.identities) || !same_bundles(a, b)
}

fn same<T>(a: &[Arc<T>], b: &[Arc<T>]) -> bool {
    a.len() == b.len() && a.iter().zip(b).all(|(a, b)| Arc::ptr_eq(a, b))
}

/// Compares the bundles that the entries let their workload see.
fn same_bundles(a: &WorkloadUpdate, b: &WorkloadUpdate) -> bool {
    let seen = |bundles: &Bundles, update: &WorkloadUpdate| -> Vec<_> {
        let named = update
            .entries
            .iter()
            .flat_map(|entry| &entry.federates_with);
        named
            .map(|trust_domain| bundles.find(trust_domain).map(Arc::as_ptr))
            .collect()
    };
    Arc::ptr_eq(&a.bundles.own, &b.bundles.own)
        && (Arc::ptr_eq(&a.bundles, &b.bundles) || seen(&a.bundles, a) == seen(&b.bundles, b))
}
