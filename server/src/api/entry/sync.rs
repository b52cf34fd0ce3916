//! SyncAuthorizedEntries, as agents of SPIRE poll it: few entries are sent at once; of many
//! first the revisions, and then those entries in full that the agent asks for.

use std::{collections::BTreeSet, sync::Arc, time::Duration, vec};

use futures_util::stream::{self, BoxStream, Stream, StreamExt as _};
use prost::Message as _;
use signet_identity::{entry::Entry, unix};
use signet_proto::spire::api::{
    server::entry::v1::{
        EntryRevision, SyncAuthorizedEntriesRequest, SyncAuthorizedEntriesResponse,
    },
    types,
};
use tokio::time::timeout;
use tonic::Status;

use crate::api::status::invalid;

/// Answers a stream of requests about what `entries` gives.
pub(super) fn answer<R>(
    requests: R,
    entries: impl FnOnce() -> Vec<Arc<Entry>> + Send + 'static,
) -> BoxStream<'static, Result<SyncAuthorizedEntriesResponse, Status>>
where
    R: Stream<Item = Result<SyncAuthorizedEntriesRequest, Status>> + Send + Unpin + 'static,
{
    let start = Sync {
        requests,
        known: None,
        pages: Vec::new().into_iter(),
    };
    let unread = Some(entries);
    stream::try_unfold((start, unread), |(mut sync, mut unread)| async move {
        loop {
            if let Some(page) = sync.pages.next() {
                return Ok(Some((page, (sync, unread))));
            }
            let next = timeout(IDLE, sync.requests.next());
            let Ok(next) = next.await else {
                return Err(Status::deadline_exceeded(
                    "no further request came; the stream is closed",
                ));
            };
            let Some(request) = next.transpose()? else {
                return Ok(None);
            };
            sync.pages = match (&sync.known, unread.take()) {
                (Some(known), _) => known.requested(&request).into_iter(),
                (None, Some(entries)) => {
                    let known = Known::start(entries(), &request)?;
                    let pages = known.first();
                    sync.known = Some(known);
                    pages.into_iter()
                }
                (None, None) => return Ok(None),
            };
        }
    })
    .boxed()
}

struct Sync<R> {
    requests: R,
    known: Option<Known>,
    /// The rest of the present answer.
    pages: vec::IntoIter<SyncAuthorizedEntriesResponse>,
}

/// What the stream is about: fixed by its first request.
struct Known {
    entries: Vec<Arc<Entry>>,
    mask: Option<types::EntryMask>,
}

impl Known {
    fn start(
        entries: Vec<Arc<Entry>>,
        request: &SyncAuthorizedEntriesRequest,
    ) -> Result<Self, Status> {
        if !request.ids.is_empty() {
            return Err(invalid(
                "specifying IDs on initial request is not supported",
            ));
        }
        if request
            .output_mask
            .is_some_and(|mask| !mask.revision_number)
        {
            return Err(invalid("revision number cannot be masked"));
        }
        Ok(Self {
            entries,
            mask: request.output_mask,
        })
    }

    /// Everything if it fits into one message, else the revisions.
    fn first(&self) -> Vec<SyncAuthorizedEntriesResponse> {
        if self.entries.len() <= PAGE {
            let pages = self.paged(self.entries.iter());
            if pages.len() == 1 {
                return pages;
            }
        }
        let revisions: Vec<_> = self.entries.iter().map(|entry| revision(entry)).collect();
        let mut pages: Vec<_> = revisions
            .chunks(PAGE)
            .map(|page| SyncAuthorizedEntriesResponse {
                entry_revisions: page.to_vec(),
                entries: Vec::new(),
                more: true,
            })
            .collect();
        if let Some(last) = pages.last_mut() {
            last.more = false;
        }
        pages
    }

    /// The asked for entries, as far as the agent may see them.
    fn requested(
        &self,
        request: &SyncAuthorizedEntriesRequest,
    ) -> Vec<SyncAuthorizedEntriesResponse> {
        let wanted: BTreeSet<&str> = request.ids.iter().map(String::as_str).collect();
        self.paged(
            self.entries
                .iter()
                .filter(|entry| wanted.contains(entry.id.as_str())),
        )
    }

    /// At least one page, each bounded in entries and bytes.
    fn paged<'a>(
        &self,
        entries: impl Iterator<Item = &'a Arc<Entry>>,
    ) -> Vec<SyncAuthorizedEntriesResponse> {
        let mut pages = Vec::new();
        let mut page = SyncAuthorizedEntriesResponse::default();
        let mut bytes = 0_usize;
        for entry in entries {
            let message = entry.to_proto(self.mask.as_ref());
            let size = message.encoded_len().saturating_add(OVERHEAD);
            let full = page.entries.len() >= PAGE || bytes.saturating_add(size) > PAGE_BYTES;
            if full && !page.entries.is_empty() {
                page.more = true;
                pages.push(std::mem::take(&mut page));
                bytes = 0;
            }
            bytes = bytes.saturating_add(size);
            page.entries.push(message);
        }
        pages.push(page);
        pages
    }
}

fn revision(entry: &Entry) -> EntryRevision {
    EntryRevision {
        id: entry.id.to_string(),
        revision_number: entry.revision,
        created_at: unix::seconds(entry.created_at),
    }
}

/// SPIRE's page.
const PAGE: usize = 500;
/// gRPC clients refuse messages above 4 MiB.
const PAGE_BYTES: usize = 3 * 1024 * 1024;
/// Tag and length of an item within its message.
const OVERHEAD: usize = 8;
const IDLE: Duration = Duration::from_secs(60);

#[cfg(test)]
mod tests {
    use super::*;
    use crate::directory::testing::entry;

    fn entries(count: usize) -> Vec<Arc<Entry>> {
        (0..count)
            .map(|n| Arc::new(entry(&format!("e{n:05}"), "/spire/agent/x", "/w")))
            .collect()
    }

    async fn ask(
        count: usize,
        requests: Vec<SyncAuthorizedEntriesRequest>,
    ) -> Vec<Result<SyncAuthorizedEntriesResponse, Status>> {
        let requests = stream::iter(requests.into_iter().map(Ok));
        answer(requests, move || entries(count)).collect().await
    }

    fn ids(ids: &[&str]) -> SyncAuthorizedEntriesRequest {
        let ids = ids.iter().map(ToString::to_string).collect();
        SyncAuthorizedEntriesRequest {
            ids,
            output_mask: None,
        }
    }

    #[tokio::test]
    async fn five_hundred_entries_come_in_one_message() {
        let answers = ask(500, vec![ids(&[])]).await;
        let [Ok(only)] = &answers[..] else {
            panic!("{answers:?}")
        };
        assert_eq!(
            (only.entries.len(), only.entry_revisions.len(), only.more),
            (500, 0, false)
        );
    }

    #[tokio::test]
    async fn of_more_the_revisions_come_first_and_then_what_is_asked_for() {
        let answers = ask(
            1001,
            vec![ids(&[]), ids(&["e00007", "e01000", "other"]), ids(&[])],
        )
        .await;
        let pages: Vec<_> = answers
            .into_iter()
            .map(|answer| answer.map(|a| (a.entry_revisions.len(), a.entries.len(), a.more)))
            .collect::<Result<_, _>>()
            .expect("answers");
        let revisions = [(500, 0, true), (500, 0, true), (1, 0, false)];
        assert_eq!(
            pages,
            [&revisions[..], &[(0, 2, false), (0, 0, false)]].concat()
        );
    }

    #[tokio::test]
    async fn ids_or_a_masked_revision_in_the_first_request_are_refused() {
        let masked = SyncAuthorizedEntriesRequest {
            output_mask: Some(types::EntryMask {
                spiffe_id: true,
                ..Default::default()
            }),
            ids: Vec::new(),
        };
        for first in [ids(&["x"]), masked] {
            let answers = ask(1, vec![first]).await;
            let [Err(status)] = &answers[..] else {
                panic!("{answers:?}")
            };
            assert_eq!(status.code(), tonic::Code::InvalidArgument);
        }
    }

    #[tokio::test(start_paused = true)]
    async fn a_silent_agent_is_not_waited_for() {
        let requests = stream::iter([Ok(ids(&[]))]).chain(stream::pending());
        let answers: Vec<_> = answer(requests, || entries(1)).collect().await;
        let [Ok(_), Err(status)] = &answers[..] else {
            panic!("{answers:?}")
        };
        assert_eq!(status.code(), tonic::Code::DeadlineExceeded);
    }
}
