//! `signet server entry delete`.

use std::{fmt::Write as _, path::PathBuf};

use anyhow::bail;
use signet_proto::spire::api::server::entry::v1::{
    BatchDeleteEntryRequest, BatchDeleteEntryResponse, entry_client::EntryClient,
};

use super::{file, reason};
use crate::{
    grpc::{self, DEADLINE},
    output::{Answer, Text},
    server::{Administer, Server, parse},
};

/// Deletes one entry, or those that a file names.
#[derive(Debug, clap::Args)]
pub(crate) struct Delete {
    /// The ID of the entry to delete
    #[arg(long, alias = "entryID", value_name = "ID")]
    entry_id: Option<String>,

    /// A file of IDs as JSON, {"ids": ["…"]}, or - for standard input
    #[arg(long, value_name = "FILE")]
    file: Option<PathBuf>,
}

impl Administer for Delete {
    async fn administer(self, server: &Server) -> anyhow::Result<Answer> {
        let request = BatchDeleteEntryRequest { ids: self.ids()? };
        let mut client = EntryClient::new(server.connect().await?);
        let response = grpc::call(DEADLINE, client.batch_delete_entry(request)).await?;
        Answer::message(
            &response,
            "spire.api.server.entry.v1.BatchDeleteEntryResponse",
            text(&response),
        )
    }
}

impl Delete {
    fn ids(&self) -> anyhow::Result<Vec<String>> {
        if let Some(path) = &self.file {
            return file::read_ids(path);
        }
        match parse::given(self.entry_id.as_deref()) {
            Some(id) => Ok(vec![id.to_owned()]),
            None => bail!("an entry ID is required"),
        }
    }
}

fn text(response: &BatchDeleteEntryResponse) -> Text {
    let mut text = Text::default();
    let (mut deleted, mut refused) = (0_usize, 0_usize);
    for result in &response.results {
        match result.status.as_ref().filter(|status| status.code != 0) {
            None => {
                deleted += 1;
                let _ = writeln!(text.out, "Deleted entry with ID: {}", result.id);
            }
            Some(status) => {
                refused += 1;
                let (id, reason) = (&result.id, reason(status));
                let _ = writeln!(text.err, "Failed to delete entry with ID {id} {reason}");
            }
        }
    }
    if deleted > 0 {
        text.out.push_str("\n\n");
    }
    if refused > 0 {
        text.out.push_str("\n\n");
        text.failed = Some("failed to delete one or more entries".to_owned());
    }
    text.out.push_str(&match (deleted, refused) {
        (deleted, 0) => format!("Deleted {deleted} entries successfully"),
        (0, refused) => format!("Failed to delete {refused} entries"),
        (deleted, refused) => format!(
            "Deleted {deleted} entries successfully, but failed to delete {refused} entries"
        ),
    });
    text
}

#[cfg(test)]
mod tests {
    use signet_proto::spire::api::{
        server::entry::v1::batch_delete_entry_response::Result as Item, types::Status,
    };

    use super::*;

    fn response(items: &[(&str, i32, &str)]) -> BatchDeleteEntryResponse {
        let results = items.iter().map(|&(id, code, message)| Item {
            status: Some(Status {
                code,
                message: message.to_owned(),
            }),
            id: id.to_owned(),
        });
        BatchDeleteEntryResponse {
            results: results.collect(),
        }
    }

    #[test]
    fn what_was_deleted_is_listed_and_counted_without_a_line_end() {
        let text = text(&response(&[("a", 0, "OK"), ("b", 0, "OK")]));
        assert_eq!(
            text,
            Text::out(
                "Deleted entry with ID: a\nDeleted entry with ID: b\n\n\n\
                 Deleted 2 entries successfully"
            )
        );
    }

    #[test]
    fn a_part_that_failed_fails_the_command() {
        let text = text(&response(&[("a", 0, "OK"), ("b", 5, "entry not found")]));
        assert_eq!(
            text,
            Text {
                out: "Deleted entry with ID: a\n\n\n\n\nDeleted 1 entries successfully, \
                      but failed to delete 1 entries"
                    .to_owned(),
                err: "Failed to delete entry with ID b (code: NotFound, \
                      msg: \"entry not found\")\n"
                    .to_owned(),
                failed: Some("failed to delete one or more entries".to_owned()),
            }
        );
    }

    #[test]
    fn all_that_failed_are_counted() {
        let text = text(&response(&[("b", 5, "entry not found")]));
        assert_eq!(text.out, "\n\nFailed to delete 1 entries");
    }
}
