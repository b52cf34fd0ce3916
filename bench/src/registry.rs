//! Makes registration entries through the server's API.

use std::ops::Range;

use anyhow::Context as _;
use signet_proto::spire::api::{
    server::entry::v1::{
        BatchCreateEntryRequest, BatchDeleteEntryRequest, entry_client::EntryClient,
    },
    types::{Entry, EntryMask, Selector, Spiffeid},
};
use tonic::transport::Channel;

use crate::{
    load::{TRUST_DOMAIN, went_well},
    world::my_user,
};

/// An entry below the agent at `parent`, for whatever shows `selectors`.
pub(crate) fn entry(parent: &str, path: String, selectors: &[&str]) -> Entry {
    let id = |path: String| {
        Some(Spiffeid {
            trust_domain: TRUST_DOMAIN.to_owned(),
            path,
        })
    };
    let selector = |text: &&str| {
        let (kind, value) = text.split_once(':').unwrap_or((text, ""));
        Selector {
            r#type: kind.to_owned(),
            value: value.to_owned(),
        }
    };
    Entry {
        spiffe_id: id(path),
        parent_id: id(parent.to_owned()),
        selectors: selectors.iter().map(selector).collect(),
        ..Entry::default()
    }
}

/// An entry for the processes of this user.
pub(crate) fn mine(parent: &str, path: String) -> Entry {
    entry(parent, path, &[&my_user()])
}

/// Creates entries in one batch; all must be new. Answers their ids.
pub(crate) async fn create(admin: &Channel, entries: Vec<Entry>) -> anyhow::Result<Vec<String>> {
    let request = BatchCreateEntryRequest {
        entries,
        output_mask: Some(EntryMask::default()),
    };
    let mut client = EntryClient::new(admin.clone());
    let results = client
        .batch_create_entry(request)
        .await?
        .into_inner()
        .results;
    let id = |result: signet_proto::spire::api::server::entry::v1::batch_create_entry_response::Result| {
        went_well(result.status)?;
        Ok(result.entry.context("no entry")?.id)
    };
    results.into_iter().map(id).collect()
}

/// Deletes entries in one batch; all must be there.
pub(crate) async fn delete(admin: &Channel, ids: Vec<String>) -> anyhow::Result<()> {
    let request = BatchDeleteEntryRequest { ids };
    let mut client = EntryClient::new(admin.clone());
    let results = client
        .batch_delete_entry(request)
        .await?
        .into_inner()
        .results;
    results
        .into_iter()
        .try_for_each(|result| went_well(result.status))
}

/// Fills the store with entries of agents that are not there, two for each.
pub(crate) async fn fill(admin: &Channel, numbers: Range<usize>) -> anyhow::Result<Vec<String>> {
    let all: Vec<usize> = numbers.collect();
    let mut ids = Vec::with_capacity(all.len());
    for batch in all.chunks(BATCH) {
        ids.extend(create(admin, batch.iter().map(|number| other(*number)).collect()).await?);
    }
    Ok(ids)
}

/// An entry like those of a real fleet.
pub(crate) fn other(number: usize) -> Entry {
    let agent = format!("/spire/agent/join_token/{:032x}", number / 2);
    let name = format!("unix:path:/usr/local/bin/service-{number}");
    let user = format!("unix:uid:{}", 1000 + number % 100);
    entry(
        &agent,
        format!("/ns/default/sa/service-{number}"),
        &[&user, &name],
    )
}

/// Entries that are created or deleted in one call.
pub(crate) const BATCH: usize = 500;
