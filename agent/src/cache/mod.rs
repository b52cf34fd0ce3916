//! What this node may hand to its workloads: entries, their X.509-SVIDs, bundles and JWT-SVIDs.
//!
//! `sync` puts in what the server says, `rotation` puts in what it signed, and the Workload API
//! subscribes by selectors. Each subscriber sees whole snapshots, and only those that differ.

mod bundles;
mod change;
mod groups;
mod held;
mod identity;
mod index;
mod jwt;
mod places;
mod schedule;
mod snapshot;
mod state;
#[cfg(test)]
mod tests;
mod told;

use std::{
    fmt,
    sync::{Arc, Mutex, MutexGuard, PoisonError},
    time::SystemTime,
};

use signet_identity::{
    bundle::Bundle,
    entry::{Entry, EntryId},
    selector::Selectors,
};
use tokio::sync::watch;
use tracing::debug;

pub(crate) use bundles::{Bundles, WorkloadBundle};
pub(crate) use change::Change;
pub(crate) use identity::{SvidError, WorkloadIdentity};
pub(crate) use jwt::{IssuedJwt, JwtError, JwtKey};
pub(crate) use snapshot::{Restored, Snapshot};
pub(crate) use state::{Due, Limits};

use crate::{
    clock,
    upstream::{JwtSvid, Upstream},
};
use jwt::JwtCache;
use state::{GroupId, State};

/// What one set of selectors is entitled to, at one moment.
#[derive(Clone, Debug)]
pub(crate) struct WorkloadUpdate {
    /// Every entry that matches, oldest first; empty means "no identity for this workload".
    pub(crate) entries: Vec<Arc<Entry>>,
    /// The SVIDs of those entries that are signed, in the same order. An entry without one here is
    /// being signed right now.
    pub(crate) identities: Vec<Arc<WorkloadIdentity>>,
    /// All bundles of this node; an entry's `federates_with` says which of them it may see.
    pub(crate) bundles: Arc<Bundles>,
}

/// How many SVIDs of workloads are held.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(crate) struct Count {
    pub(crate) x509_svids: usize,
    pub(crate) jwt_svids: usize,
}

/// The agent's memory, a cheap handle.
#[derive(Clone)]
pub(crate) struct Cache {
    shared: Arc<Shared>,
}

/// A workload's view that follows the cache until it is dropped.
#[derive(Debug)]
pub(crate) struct Subscription {
    /// The latest snapshot; changes only when it differs.
    pub(crate) receiver: watch::Receiver<Arc<WorkloadUpdate>>,
    group: GroupId,
    shared: Arc<Shared>,
}

struct Shared {
    state: Mutex<State>,
    bundles: watch::Sender<Arc<Bundles>>,
    /// Marked changed whenever there may be something to sign.
    wanted: watch::Sender<()>,
    /// Marked changed whenever something of a snapshot has changed.
    changed: watch::Sender<()>,
    /// Marked changed whenever more is held than the limit allows.
    crowded: watch::Sender<()>,
    /// Whether anybody can be told what they are entitled to.
    filled: watch::Sender<bool>,
    jwt: JwtCache,
    upstream: Upstream,
}

impl Cache {
    /// An empty cache that knows the trust domain's own bundle.
    pub(crate) fn new(own: &Bundle, limits: Limits, upstream: Upstream) -> Self {
        let bundles = Arc::new(Bundles::new(own));
        Self {
            shared: Arc::new(Shared {
                state: Mutex::new(State::new(Arc::clone(&bundles), limits.x509_svids)),
                bundles: watch::Sender::new(bundles),
                wanted: watch::Sender::new(()),
                changed: watch::Sender::new(()),
                crowded: watch::Sender::new(()),
                filled: watch::Sender::new(false),
                jwt: JwtCache::new(limits.jwt_svids),
                upstream,
            }),
        }
    }

    /// Follows what a workload with these selectors is entitled to. Workloads with the same
    /// selectors share one snapshot.
    pub(crate) fn subscribe(&self, selectors: &Selectors) -> Subscription {
        let (group, receiver) = self.shared.state().subscribe(selectors);
        self.shared.wanted.send_replace(());
        Subscription {
            receiver,
            group,
            shared: Arc::clone(&self.shared),
        }
    }

    /// The entries whose selectors are all among these, oldest first.
    pub(crate) fn matching_entries(&self, selectors: &Selectors) -> Vec<Arc<Entry>> {
        self.shared.state().matching_entries(selectors)
    }

    /// The latest bundles.
    pub(crate) fn bundles(&self) -> watch::Receiver<Arc<Bundles>> {
        self.shared.bundles.subscribe()
    }

    /// A JWT-SVID of `entry` for exactly this audience, from memory if a good one is there.
    pub(crate) async fn jwt_svid(
        &self,
        entry: &Arc<Entry>,
        audience: Vec<String>,
    ) -> Result<JwtSvid, JwtError> {
        let fetch = |audience: Vec<String>| async move {
            let asked = self.shared.upstream.new_jwt_svid(&entry.id, audience);
            let svid = asked.await.map_err(JwtError::from)?;
            self.shared.changed.send_replace(());
            Ok(svid)
        };
        if entry.attributes.jwt_svid_include_jti {
            // A token with an id of its own must not be handed out twice.
            return fetch(audience).await;
        }
        let key = JwtKey::new(entry, audience);
        self.shared.jwt.svid(key, clock::now, fetch).await
    }

    /// Takes over what the server said, or an earlier run left; from now on it is served.
    pub(crate) fn apply(&self, change: Change) {
        let (bundles, told) = {
            let mut state = self.shared.state();
            (state.apply(change), state.told())
        };
        told.log();
        bundles.log_what_differs_from(&self.shared.bundles.borrow());
        let changed = self.shared.bundles.send_if_modified(|current| {
            let changed = !Arc::ptr_eq(current, &bundles);
            *current = Arc::clone(&bundles);
            changed
        });
        if changed {
            self.shared.jwt.retain_keys_of(bundles.own.bundle());
        }
        self.shared.wanted.send_replace(());
        self.shared.changed.send_replace(());
        self.shared.filled.send_replace(true);
    }

    /// Which SVIDs to sign now, and when to ask again. Drops what has expired.
    pub(crate) fn due(&self, now: SystemTime, at_most: usize) -> Due {
        self.shared.state().due(now, at_most)
    }

    /// When the SVID that is held for an entry ends.
    pub(crate) fn svid_ends(&self, id: &EntryId) -> Option<SystemTime> {
        self.shared.state().svid_ends(id)
    }

    /// Takes over signed SVIDs.
    pub(crate) fn install(&self, signed: Vec<WorkloadIdentity>) {
        self.shared.change(|state| state.install(signed));
        self.shared.changed.send_replace(());
    }

    /// Lets go of SVIDs above the limit that nobody follows. Only what the server could sign anew
    /// may go: while it cannot be reached, all that is held stays.
    pub(crate) fn evict(&self) {
        let evicted = self.shared.state().evict();
        if evicted > 0 {
            debug!("{evicted} X.509-SVIDs that no workload follows are no longer held");
            self.shared.changed.send_replace(());
        }
    }

    /// Wakes when there may be something to evict.
    pub(crate) fn crowded(&self) -> watch::Receiver<()> {
        self.shared.crowded.subscribe()
    }

    /// Notes that these entries could not be signed, so that others come first for a while.
    pub(crate) fn postpone(&self, failed: &[EntryId], now: SystemTime) {
        self.shared.state().postpone(failed, now);
    }

    /// Wakes when there may be something to sign.
    pub(crate) fn wanted(&self) -> watch::Receiver<()> {
        self.shared.wanted.subscribe()
    }

    /// Wakes when something of a [`Snapshot`] may have changed.
    pub(crate) fn changes(&self) -> watch::Receiver<()> {
        self.shared.changed.subscribe()
    }

    /// Becomes true once it is known what workloads are entitled to: before that they could only
    /// be told, wrongly, that they have no identity.
    pub(crate) fn filled(&self) -> watch::Receiver<bool> {
        self.shared.filled.subscribe()
    }

    /// How many SVIDs are held.
    pub(crate) fn count(&self) -> Count {
        Count {
            x509_svids: self.shared.state().identities().len(),
            jwt_svids: self.shared.jwt.held().len(),
        }
    }

    /// The entries that are known, with the revision they are known in.
    pub(crate) fn known(&self) -> Vec<Arc<Entry>> {
        self.shared.state().known()
    }
}

impl fmt::Debug for Cache {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.debug_struct("Cache").finish_non_exhaustive()
    }
}

impl fmt::Debug for Shared {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.debug_struct("Shared").finish_non_exhaustive()
    }
}

impl Drop for Subscription {
    fn drop(&mut self) {
        self.shared.change(|state| state.unsubscribe(self.group));
    }
}

impl Shared {
    /// Changes the state in a way that may crowd it.
    fn change(&self, change: impl FnOnce(&mut State)) {
        let crowded = {
            let mut state = self.state();
            change(&mut state);
            state.crowded()
        };
        if crowded {
            self.crowded.send_replace(());
        }
    }

    fn state(&self) -> MutexGuard<'_, State> {
        // The state is changed by whole steps that do not panic half-way.
        self.state.lock().unwrap_or_else(PoisonError::into_inner)
    }
}
