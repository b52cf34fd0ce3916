//! Polling as SPIRE's own agent does it: entries by `SyncAuthorizedEntries`, which sends only what
//! the agent does not have, then the bundles that those entries name.

use std::{
    collections::{BTreeSet, HashMap, HashSet},
    sync::Arc,
};

use futures_util::{StreamExt as _, stream};
use signet_identity::{
    TrustDomain,
    bundle::Bundle,
    entry::{Entry, EntryId},
    unix,
};
use signet_proto::spire::api::server::entry::v1::{
    EntryRevision, SyncAuthorizedEntriesRequest, SyncAuthorizedEntriesResponse,
};
use tokio::sync::mpsc;
use tracing::warn;

use super::push::add_entry;
use crate::{
    cache::{Cache, Change},
    upstream::{CallError, Feed, Upstream},
};

/// Everything that differs from the cache.
pub(super) async fn changes(upstream: &Upstream, cache: &Cache) -> Result<Change, CallError> {
    let known = cache.known();
    let mut change = entries(upstream, &known).await?;
    let wanted = federated(&known, &change);
    change.bundles.push(upstream.bundle().await?);
    let fetch = |trust_domain| federated_bundle(upstream.clone(), trust_domain);
    let bundles: Vec<_> = stream::iter(wanted)
        .map(fetch)
        .buffer_unordered(FEDERATED_AT_ONCE)
        .collect()
        .await;
    for bundle in bundles {
        change.bundles.extend(bundle?);
    }
    let held = cache.bundles().borrow().federated.clone();
    let got: HashSet<_> = change.bundles.iter().map(|b| &b.trust_domain).collect();
    let gone = held.into_keys().filter(|held| !got.contains(held));
    change.removed_bundles = gone.collect();
    Ok(change)
}

/// The dialogue about entries.
async fn entries(upstream: &Upstream, known: &[Arc<Entry>]) -> Result<Change, CallError> {
    let (requests, outgoing) = mpsc::channel(1);
    say(&requests, Vec::new()).await?;
    let mut feed = upstream.sync_entries(outgoing).await?;
    let first = hear(&mut feed).await?;
    let mut change = Change::default();
    let mut listed = HashSet::new();
    if first.entry_revisions.is_empty() {
        for wire in &first.entries {
            listed.insert(wire.id.clone());
            add_entry(&mut change, wire);
        }
    } else {
        let page = first.entry_revisions.len();
        let revisions = revisions(first, &mut feed).await?;
        let missing = missing(&revisions, known);
        listed.extend(revisions.into_iter().map(|revision| revision.id));
        for ids in missing.chunks(page) {
            say(&requests, ids.to_vec()).await?;
            receive(&mut feed, &mut change).await?;
        }
    }
    let gone = known
        .iter()
        .filter(|entry| !listed.contains(entry.id.as_str()));
    change
        .removed_entries
        .extend(gone.map(|entry| entry.id.clone()));
    Ok(change)
}

async fn say(
    requests: &mpsc::Sender<SyncAuthorizedEntriesRequest>,
    ids: Vec<String>,
) -> Result<(), CallError> {
    let request = SyncAuthorizedEntriesRequest {
        output_mask: None,
        ids,
    };
    let sent = requests.send(request).await;
    sent.map_err(|_closed| CallError::Failed("the connection ended".to_owned()))
}

async fn revisions(
    first: SyncAuthorizedEntriesResponse,
    feed: &mut Feed<SyncAuthorizedEntriesResponse>,
) -> Result<Vec<EntryRevision>, CallError> {
    let mut revisions = first.entry_revisions;
    let mut more = first.more;
    while more {
        let page = hear(feed).await?;
        revisions.extend(page.entry_revisions);
        more = page.more;
    }
    Ok(revisions)
}

/// The entries that the agent does not have, or has in another revision.
fn missing(revisions: &[EntryRevision], known: &[Arc<Entry>]) -> Vec<String> {
    let known: HashMap<&str, &Arc<Entry>> = known
        .iter()
        .map(|entry| (entry.id.as_str(), entry))
        .collect();
    let differs = |revision: &&EntryRevision| {
        known.get(revision.id.as_str()).is_none_or(|entry| {
            entry.revision != revision.revision_number
                || unix::seconds(entry.created_at) != revision.created_at
        })
    };
    let missing = revisions.iter().filter(differs);
    missing.map(|revision| revision.id.clone()).collect()
}

async fn receive(
    feed: &mut Feed<SyncAuthorizedEntriesResponse>,
    change: &mut Change,
) -> Result<(), CallError> {
    loop {
        let page = hear(feed).await?;
        for wire in &page.entries {
            add_entry(change, wire);
        }
        if !page.more {
            return Ok(());
        }
    }
}

async fn hear(
    feed: &mut Feed<SyncAuthorizedEntriesResponse>,
) -> Result<SyncAuthorizedEntriesResponse, CallError> {
    let answer = feed.next_soon("SyncAuthorizedEntries").await?;
    answer.ok_or_else(|| CallError::Answer("the list of entries broke off".to_owned()))
}

/// The trust domains that the entries name, as they will be after the change.
fn federated(known: &[Arc<Entry>], change: &Change) -> BTreeSet<TrustDomain> {
    let replaced: HashSet<&EntryId> = change
        .removed_entries
        .iter()
        .chain(change.entries.iter().map(|entry| &entry.id))
        .collect();
    let kept = known.iter().map(Arc::as_ref);
    let kept = kept.filter(|entry| !replaced.contains(&entry.id));
    let entries = kept.chain(&change.entries);
    entries
        .flat_map(|entry| entry.federates_with.iter().cloned())
        .collect()
}

async fn federated_bundle(
    upstream: Upstream,
    trust_domain: TrustDomain,
) -> Result<Option<Bundle>, CallError> {
    match upstream.federated_bundle(&trust_domain).await {
        Ok(bundle) => Ok(Some(bundle)),
        Err(CallError::NotFound(message)) => {
            warn!(%trust_domain, message, "the server has no bundle of a federated trust domain");
            Ok(None)
        }
        Err(error) => Err(error),
    }
}

const FEDERATED_AT_ONCE: usize = 10;

#[cfg(test)]
mod tests {
    use std::time::{Duration, SystemTime};

    use super::*;
    use crate::testing::entry;

    fn revision(id: &str, revision_number: i64, created_at: i64) -> EntryRevision {
        EntryRevision {
            id: id.to_owned(),
            revision_number,
            created_at,
        }
    }

    #[test]
    fn only_new_changed_and_recreated_entries_are_asked_for() {
        let known: Vec<_> = ["same", "changed", "recreated"]
            .into_iter()
            .map(|id| {
                let mut entry = entry(id, &["unix:uid:1"]);
                entry.created_at = SystemTime::UNIX_EPOCH + Duration::from_secs(100);
                Arc::new(entry)
            })
            .collect();
        let revisions = [
            revision("same", 0, 100),
            revision("changed", 1, 100),
            revision("recreated", 0, 200),
            revision("new", 0, 300),
        ];
        assert_eq!(missing(&revisions, &known), ["changed", "recreated", "new"]);
    }

    #[test]
    fn bundles_are_wanted_for_the_entries_as_they_will_be() {
        let federating = |id: &str, with: &str| {
            let mut entry = entry(id, &["unix:uid:1"]);
            entry.federates_with = vec![with.parse().unwrap()];
            entry
        };
        let known = [
            Arc::new(federating("kept", "kept.test")),
            Arc::new(federating("gone", "gone.test")),
            Arc::new(federating("changed", "before.test")),
        ];
        let change = Change {
            entries: vec![federating("changed", "after.test")],
            removed_entries: vec!["gone".parse().unwrap()],
            ..Change::default()
        };
        let names: Vec<String> = federated(&known, &change)
            .iter()
            .map(ToString::to_string)
            .collect();
        assert_eq!(names, ["after.test", "kept.test"]);
    }
}
