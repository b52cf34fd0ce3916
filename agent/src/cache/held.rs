//! What the cache holds for one entry.

use std::{
    sync::Arc,
    time::{Duration, SystemTime},
};

use signet_identity::entry::Entry;

use super::{WorkloadIdentity, identity::same_certificate};

/// An entry, its SVID if there is one, and who wants it.
#[derive(Debug)]
pub(super) struct Held {
    pub(super) entry: Arc<Entry>,
    pub(super) identity: Option<Arc<WorkloadIdentity>>,
    /// The identity's certificate no longer says what it should.
    pub(super) stale: bool,
    /// Groups that are entitled to the entry now.
    pub(super) groups: usize,
    pub(super) failures: u32,
    pub(super) not_before: Option<SystemTime>,
}

impl Held {
    pub(super) fn new(entry: &Arc<Entry>) -> Self {
        Self {
            entry: Arc::clone(entry),
            identity: None,
            stale: false,
            groups: 0,
            failures: 0,
            not_before: None,
        }
    }

    /// What remains of this under a new revision of the entry.
    pub(super) fn under(self, entry: &Arc<Entry>) -> Self {
        let stale = self.stale || !same_certificate(&self.entry, entry);
        let identity = self
            .identity
            // Under another SPIFFE ID the old SVID is nobody's any more.
            .filter(|_| self.entry.spiffe_id == entry.spiffe_id && is_for_workloads(entry))
            .map(|identity| Arc::new(identity.with_entry(entry)));
        Self {
            stale: stale && identity.is_some(),
            identity,
            ..Self::new(entry)
        }
    }

    /// When to have an SVID signed.
    pub(super) fn sign_at(&self) -> SystemTime {
        // In the order of the schedule, those that a workload waits for stand before the rest.
        let at_once = match self.groups {
            0 => SystemTime::UNIX_EPOCH + Duration::from_secs(1),
            _ => SystemTime::UNIX_EPOCH,
        };
        let current = self.identity.as_ref().filter(|_| !self.stale);
        let at = current.map_or(at_once, |identity| identity.renew_at);
        self.not_before.map_or(at, |not_before| at.max(not_before))
    }

    /// When the SVID may no longer be handed out, or the entry ends.
    pub(super) fn ends_at(&self) -> Option<SystemTime> {
        let not_after = self.identity.as_ref().map(|identity| identity.not_after);
        not_after.into_iter().chain(self.entry.expires_at).min()
    }

    pub(super) fn entry_has_ended(&self, now: SystemTime) -> bool {
        self.entry.expires_at.is_some_and(|end| end <= now)
    }
}

/// Whether a workload can be entitled to the entry: not if its SVID goes to a store, and without
/// selectors it must match nobody, not everybody.
pub(super) fn is_for_workloads(entry: &Entry) -> bool {
    !entry.store_svid && !entry.selectors.is_empty()
}

/// Whether the SVID may be signed before anybody asks.
pub(super) fn may_prefetch(entry: &Entry) -> bool {
    is_for_workloads(entry) && !entry.attributes.disable_x509_svid_prefetch
}
