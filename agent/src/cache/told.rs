//! What a change meant for the entries, kept until it can be logged: a log that is slow must not
//! hold the cache's lock.

use std::sync::Arc;

use signet_identity::entry::Entry;
use tracing::{Level, debug};

/// Entries that came, changed or went. Nothing is kept when nobody would see it.
#[derive(Debug, Default)]
pub(super) struct Told(Vec<What>);

#[derive(Debug)]
enum What {
    Created(Arc<Entry>),
    Updated { before: Arc<Entry>, now: Arc<Entry> },
    Removed(Arc<Entry>),
}

impl Told {
    /// An entry came, or took the place of what it was before.
    pub(super) fn put(&mut self, before: Option<&Arc<Entry>>, entry: &Arc<Entry>) {
        let now = Arc::clone(entry);
        self.add(match before {
            Some(before) => What::Updated {
                before: Arc::clone(before),
                now,
            },
            None => What::Created(now),
        });
    }

    pub(super) fn removed(&mut self, entry: &Arc<Entry>) {
        self.add(What::Removed(Arc::clone(entry)));
    }

    fn add(&mut self, what: What) {
        if tracing::enabled!(Level::DEBUG) {
            self.0.push(what);
        }
    }

    pub(super) fn log(self) {
        for what in self.0 {
            what.log();
        }
    }
}

impl What {
    fn log(self) {
        match self {
            Self::Created(entry) => debug!(
                name: "entry_created",
                entry_id = %entry.id,
                spiffe_id = %entry.spiffe_id,
                selectors_added = some(entry.selectors.len()),
                federated_added = some(entry.federates_with.len()),
                "new entry {}",
                entry.id
            ),
            Self::Updated { before, now } => debug!(
                name: "entry_updated",
                entry_id = %now.id,
                spiffe_id = %now.spiffe_id,
                selectors_added = selectors_without(&now, &before),
                selectors_removed = selectors_without(&before, &now),
                federated_added = federated_without(&now, &before),
                federated_removed = federated_without(&before, &now),
                "changed entry {}",
                now.id
            ),
            Self::Removed(entry) => debug!(
                name: "entry_removed",
                entry_id = %entry.id,
                spiffe_id = %entry.spiffe_id,
                "entry {} is gone",
                entry.id
            ),
        }
    }
}

/// How many selectors of the one the other does not have.
fn selectors_without(one: &Entry, other: &Entry) -> Option<usize> {
    let selectors = one.selectors.iter();
    some(
        selectors
            .filter(|selector| !other.selectors.contains(selector))
            .count(),
    )
}

/// How many federated trust domains of the one the other does not have.
fn federated_without(one: &Entry, other: &Entry) -> Option<usize> {
    let domains = one.federates_with.iter();
    some(
        domains
            .filter(|domain| !other.federates_with.contains(domain))
            .count(),
    )
}

/// A field that is there only when it says something.
fn some(count: usize) -> Option<usize> {
    Some(count).filter(|count| *count > 0)
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::testing::entry;

    #[test]
    fn what_changed_of_an_entry_is_counted_and_nothing_is_no_field() {
        let before = entry("a", &["unix:uid:1", "unix:gid:2"]);
        let mut now = entry("a", &["unix:uid:1", "unix:user:x", "unix:path:/y"]);
        now.federates_with = vec!["other.test".parse().unwrap()];
        assert_eq!(selectors_without(&now, &before), Some(2));
        assert_eq!(selectors_without(&before, &now), Some(1));
        assert_eq!(federated_without(&now, &before), Some(1));
        assert_eq!(federated_without(&before, &now), None);
    }
}
