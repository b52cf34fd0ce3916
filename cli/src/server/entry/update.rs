//! `signet server entry update`: every field is replaced.

use anyhow::{Context as _, ensure};
use signet_proto::spire::api::{
    server::entry::v1::{
        BatchUpdateEntryRequest, BatchUpdateEntryResponse, GetEntryRequest,
        entry_client::EntryClient,
    },
    types::Entry,
};
use tonic::transport::Channel;

use super::{Outcome, batch_text, fields::Fields, file};
use crate::{
    grpc::{self, DEADLINE},
    output::{Answer, Text},
    server::{Administer, Server, parse},
};

/// Updates one entry from flags, or those of a file.
#[derive(Debug, clap::Args)]
pub(crate) struct Update {
    #[command(flatten)]
    fields: Fields,
}

impl Administer for Update {
    async fn administer(self, server: &Server) -> anyhow::Result<Answer> {
        let mut entries = self.entries()?;
        let mut client = EntryClient::new(server.connect().await?);
        if self.fields.data.is_none() && self.fields.attributes.are_given() {
            self.keep_other_attributes(&mut client, &mut entries)
                .await?;
        }
        let request = BatchUpdateEntryRequest {
            entries: entries.clone(),
            input_mask: None,
            output_mask: None,
        };
        let mut response = grpc::call(DEADLINE, client.batch_update_entry(request)).await?;
        for (result, asked) in response.results.iter_mut().zip(entries) {
            if result
                .status
                .as_ref()
                .is_some_and(|status| status.code != 0)
            {
                result.entry = Some(asked);
            }
        }
        Answer::message(
            &response,
            "spire.api.server.entry.v1.BatchUpdateEntryResponse",
            text(&response),
        )
    }
}

impl Update {
    /// The API replaces all attributes at once; one that was not named must not be lost.
    async fn keep_other_attributes(
        &self,
        client: &mut EntryClient<Channel>,
        entries: &mut [Entry],
    ) -> anyhow::Result<()> {
        for entry in entries {
            let request = GetEntryRequest {
                id: entry.id.clone(),
                output_mask: None,
            };
            let existing = grpc::call(DEADLINE, client.get_entry(request))
                .await
                .context("failed to fetch existing entry to merge additional attributes")?;
            entry.additional_attributes =
                self.fields.attributes.over(existing.additional_attributes);
        }
        Ok(())
    }

    fn entries(&self) -> anyhow::Result<Vec<Entry>> {
        if let Some(path) = &self.fields.data {
            return file::read_entries(path);
        }
        let fields = &self.fields;
        let entry_id = parse::given(fields.entry_id.as_deref());
        let parent = parse::given(fields.parent_id.as_deref());
        let id = parse::given(fields.spiffe_id.as_deref());
        ensure!(entry_id.is_some(), "entry ID is required");
        ensure!(
            !fields.selectors.is_empty(),
            "at least one selector is required"
        );
        ensure!(parent.is_some(), "a parent ID is required");
        ensure!(id.is_some(), "a SPIFFE ID is required");
        fields.check_lifetimes()?;
        let parent = parse::spiffe_id(parent.unwrap_or_default())?;
        let id = parse::spiffe_id(id.unwrap_or_default())?;
        Ok(vec![fields.entry(id, parent)?])
    }
}

fn text(response: &BatchUpdateEntryResponse) -> Text {
    let outcomes = response.results.iter().map(|result| Outcome {
        status: result.status.as_ref(),
        entry: result.entry.as_ref(),
    });
    batch_text(outcomes, "update")
}
