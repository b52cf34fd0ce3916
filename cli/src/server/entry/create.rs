//! `signet server entry create`.

use anyhow::ensure;
use signet_proto::spire::api::{
    server::entry::v1::{
        BatchCreateEntryRequest, BatchCreateEntryResponse, entry_client::EntryClient,
    },
    types::{Entry, Spiffeid},
};

use super::{Outcome, batch_text, fields::Fields, file};
use crate::{
    grpc::{self, DEADLINE},
    output::{Answer, Text},
    server::{Administer, Server, parse},
};

/// Creates one entry from flags, or those of a file.
#[derive(Debug, clap::Args)]
pub(crate) struct Create {
    #[command(flatten)]
    fields: Fields,

    /// The entry applies to matching nodes rather than workloads
    #[arg(long)]
    node: bool,
}

impl Administer for Create {
    async fn administer(self, server: &Server) -> anyhow::Result<Answer> {
        let entries = self.entries()?;
        let mut client = EntryClient::new(server.connect().await?);
        let request = BatchCreateEntryRequest {
            entries: entries.clone(),
            output_mask: None,
        };
        let mut response = grpc::call(DEADLINE, client.batch_create_entry(request)).await?;
        for (result, asked) in response.results.iter_mut().zip(entries) {
            if result
                .status
                .as_ref()
                .is_some_and(|status| status.code != 0)
            {
                // People want to see what they asked for, not the entry that was in its way.
                result.entry = Some(asked);
            }
        }
        Answer::message(
            &response,
            "spire.api.server.entry.v1.BatchCreateEntryResponse",
            text(&response),
        )
    }
}

impl Create {
    fn entries(&self) -> anyhow::Result<Vec<Entry>> {
        if let Some(path) = &self.fields.data {
            return file::read_entries(path);
        }
        let fields = &self.fields;
        let parent = parse::given(fields.parent_id.as_deref());
        let id = parse::given(fields.spiffe_id.as_deref());
        ensure!(
            !fields.selectors.is_empty(),
            "at least one selector is required"
        );
        ensure!(
            !self.node || fields.federates_with.is_empty(),
            "node entries can not federate"
        );
        ensure!(
            parent.is_some() || self.node,
            "a parent ID is required if the node flag is not set"
        );
        ensure!(id.is_some(), "a SPIFFE ID is required");
        fields.check_lifetimes()?;
        let id = parse::spiffe_id(id.unwrap_or_default())?;
        let parent = if self.node {
            Spiffeid {
                trust_domain: id.trust_domain.clone(),
                path: "/spire/server".to_owned(),
            }
        } else {
            parse::spiffe_id(parent.unwrap_or_default())?
        };
        Ok(vec![fields.entry(id, parent)?])
    }
}

fn text(response: &BatchCreateEntryResponse) -> Text {
    let outcomes = response.results.iter().map(|result| Outcome {
        status: result.status.as_ref(),
        entry: result.entry.as_ref(),
    });
    batch_text(outcomes, "create")
}
