//! What a change meant for the entries, kept until it can be logged: a log that is slow must not
//! hold the cache's lock.

use std::sync::Arc;

use signet_identity::entry::Entry;
use tracing::{Level, debug};

/// Entries that came, changed or went. Nothing is kept when nobody would see it.
#[derive(Debug, Default)]
pub(super) struct Told(Vec<(What, Arc<Entry>)>);

#[derive(Clone, Copy, Debug)]
pub(super) enum What {
    Created,
    Updated,
    Removed,
}

impl Told {
    pub(super) fn add(&mut self, what: What, entry: &Arc<Entry>) {
        if tracing::enabled!(Level::DEBUG) {
            self.0.push((what, Arc::clone(entry)));
        }
    }

    pub(super) fn log(self) {
        for (what, entry) in self.0 {
            let (entry_id, spiffe_id) = (&entry.id, &entry.spiffe_id);
            match what {
                What::Created => debug!(
                    name: "entry_created",
                    %entry_id,
                    %spiffe_id,
                    selectors_added = entry.selectors.iter().count(),
                    "new entry {entry_id}"
                ),
                What::Updated => debug!(
                    name: "entry_updated",
                    %entry_id,
                    %spiffe_id,
                    "changed entry {entry_id}"
                ),
                What::Removed => debug!(
                    name: "entry_removed",
                    %entry_id,
                    %spiffe_id,
                    "entry {entry_id} is gone"
                ),
            }
        }
    }
}
