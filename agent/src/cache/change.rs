//! One step of what the server says.

use std::collections::HashSet;

use signet_identity::{
    TrustDomain,
    bundle::Bundle,
    entry::{Entry, EntryId},
};

use super::Bundles;

/// One consistent step of what the server says.
#[derive(Debug, Default)]
pub(crate) struct Change {
    /// Everything that is not in this change is void.
    pub(crate) reset: bool,
    /// Entries that are new or changed.
    pub(crate) entries: Vec<Entry>,
    /// Entries that are gone.
    pub(crate) removed_entries: Vec<EntryId>,
    /// Bundles that are new or changed.
    pub(crate) bundles: Vec<Bundle>,
    /// Federated bundles that are gone.
    pub(crate) removed_bundles: Vec<TrustDomain>,
}

impl Change {
    /// What is held and not in this change is among what it removes.
    pub(super) fn remove_others<'a>(
        &mut self,
        held: impl Iterator<Item = &'a EntryId>,
        bundles: &Bundles,
    ) {
        let named: HashSet<&EntryId> = self.entries.iter().map(|entry| &entry.id).collect();
        self.removed_entries = held.filter(|id| !named.contains(id)).cloned().collect();
        let named = self.bundles.iter().map(|bundle| &bundle.trust_domain);
        let named: HashSet<&TrustDomain> = named.collect();
        let federated = bundles.federated.keys();
        self.removed_bundles = federated
            .filter(|trust_domain| !named.contains(trust_domain))
            .cloned()
            .collect();
    }
}
