//! Registration entries: made, changed, deleted and looked up. Reading is from memory; writing
//! goes to the store and comes back when the directory has seen it.

mod filter;
#[cfg(test)]
mod tests;

use std::{sync::Arc, time::SystemTime};

use signet_identity::{
    TrustDomain,
    entry::{Draft, Entry, EntryError, EntryId, EntryIdError},
};
use uuid::Uuid;

pub(crate) use filter::{Filter, How, Match};

use crate::{
    directory::Directory,
    store::{CreateEntry, Store, StoreError, UpdateEntry},
};

/// The registration entries of this server.
#[derive(Debug, Clone)]
pub(crate) struct Registration {
    store: Store,
    directory: Directory,
}

/// Why an entry was not made.
#[derive(Debug, thiserror::Error)]
pub(crate) enum CreateError {
    /// This one has the same SPIFFE ID, parent and selectors.
    #[error("similar entry already exists")]
    Similar(Box<Entry>),
    /// The chosen id belongs to another entry.
    #[error("an entry with the ID {0} already exists; choose another one, or none")]
    IdTaken(EntryId),
    /// It federates with somebody unknown.
    #[error("unable to find federated bundle \"spiffe://{0}\"; store that bundle first")]
    NoBundle(TrustDomain),
    /// A random id that is no id.
    #[error("no entry ID could be made")]
    Id(#[from] EntryIdError),
    /// The database.
    #[error(transparent)]
    Store(#[from] StoreError),
}

/// Why an entry was not changed.
#[derive(Debug, thiserror::Error)]
pub(crate) enum UpdateError {
    /// There is none.
    #[error("entry not found")]
    NotFound,
    /// It would have become like this one.
    #[error("similar entry already exists")]
    Similar(Box<Entry>),
    /// It would federate with somebody unknown.
    #[error("unable to find federated bundle \"spiffe://{0}\"; store that bundle first")]
    NoBundle(TrustDomain),
    /// What it would become is not an entry.
    #[error("failed to convert entry: {0}")]
    Invalid(#[source] EntryError),
    /// The database.
    #[error(transparent)]
    Store(#[from] StoreError),
}

/// One page of a list, and where the next one starts if there is more.
#[derive(Debug)]
pub(crate) struct Page {
    /// In the order of their ids.
    pub(crate) entries: Vec<Arc<Entry>>,
    /// The last entry of this page.
    pub(crate) next: Option<EntryId>,
}

impl Registration {
    pub(crate) fn new(store: Store, directory: Directory) -> Self {
        Self { store, directory }
    }

    /// Makes entries, with ids of ours unless the drafts have them. They are stored together;
    /// each stands for itself and has its answer at its place.
    pub(crate) async fn create(
        &self,
        drafts: Vec<Draft>,
        now: SystemTime,
    ) -> Result<Vec<Result<Entry, CreateError>>, CreateError> {
        let entries: Vec<Entry> = drafts
            .into_iter()
            .map(|draft| named(draft, now))
            .collect::<Result<_, _>>()?;
        let written = self.store.create_entries(entries.clone()).await?;
        let outcomes = self.directory.seen(written).await;
        Ok(entries
            .into_iter()
            .zip(outcomes)
            .map(|(entry, outcome)| created(entry, outcome))
            .collect())
    }

    /// Changes an entry to what `edit` makes of its present form.
    pub(crate) async fn update(
        &self,
        id: EntryId,
        edit: impl FnOnce(Entry) -> Result<Entry, EntryError> + Send + 'static,
    ) -> Result<Entry, UpdateError> {
        let written = self.store.update_entry(id, edit).await?;
        let entry = match self.directory.seen(written).await {
            UpdateEntry::Updated(entry) => *entry,
            UpdateEntry::NotFound => return Err(UpdateError::NotFound),
            UpdateEntry::Similar(similar) => return Err(UpdateError::Similar(similar)),
            UpdateEntry::NoBundle(trust_domain) => return Err(UpdateError::NoBundle(trust_domain)),
            UpdateEntry::Refused(error) => return Err(UpdateError::Invalid(error)),
        };
        tracing::info!(
            entry_id = %entry.id,
            revision = entry.revision,
            "updated entry {}",
            entry.id,
        );
        Ok(entry)
    }

    /// Deletes entries; false stands in the place of one that was not there.
    pub(crate) async fn delete(&self, ids: Vec<EntryId>) -> Result<Vec<bool>, StoreError> {
        let written = self.store.delete_entries(ids.clone()).await?;
        let gone = self.directory.seen(written).await;
        for (id, _) in ids.iter().zip(&gone).filter(|(_, gone)| **gone) {
            tracing::info!(entry_id = %id, "deleted entry {id}");
        }
        Ok(gone)
    }

    /// The entry with this id.
    pub(crate) fn get(&self, id: &EntryId) -> Option<Arc<Entry>> {
        self.directory.entry(id)
    }

    /// At most `size` entries after `after` that pass the filter.
    pub(crate) fn list(&self, filter: &Filter, after: Option<&EntryId>, size: usize) -> Page {
        // One more than asked for tells whether this is the last page.
        let more = size.saturating_add(1);
        let among = filter.among();
        let mut entries = self
            .directory
            .entries(&among, after, more, |entry| filter.accepts(entry));
        let next = if entries.len() > size {
            entries.truncate(size);
            entries.last().map(|last| last.id.clone())
        } else {
            None
        };
        Page { entries, next }
    }

    /// How many entries pass the filter.
    pub(crate) fn count(&self, filter: &Filter) -> usize {
        if filter.is_empty() {
            return self.directory.entry_count();
        }
        let among = filter.among();
        self.directory
            .entries(&among, None, usize::MAX, |entry| filter.accepts(entry))
            .len()
    }
}

fn named(draft: Draft, now: SystemTime) -> Result<Entry, EntryIdError> {
    let id = match &draft.id {
        Some(id) => id.clone(),
        None => Uuid::new_v4().to_string().parse()?,
    };
    Ok(draft.into_entry(id, now))
}

fn created(entry: Entry, outcome: CreateEntry) -> Result<Entry, CreateError> {
    match outcome {
        CreateEntry::Created => {
            tracing::info!(
                entry_id = %entry.id,
                spiffe_id = %entry.spiffe_id,
                parent_id = %entry.parent_id,
                "created entry {}",
                entry.id,
            );
            Ok(entry)
        }
        CreateEntry::Similar(similar) => Err(CreateError::Similar(similar)),
        CreateEntry::IdTaken => Err(CreateError::IdTaken(entry.id)),
        CreateEntry::NoBundle(trust_domain) => Err(CreateError::NoBundle(trust_domain)),
    }
}
