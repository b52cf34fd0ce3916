//! `spire.api.server.entry.v1.Entry`.

mod filter;
mod sync;
#[cfg(test)]
mod tests;

use std::future::Future;

use futures_util::{future::join_all, stream::BoxStream};
use signet_identity::{
    TrustDomain,
    entry::{Draft, EntryId, EntryIdError},
};
use signet_proto::spire::api::{
    server::entry::v1::{
        BatchCreateEntryRequest, BatchCreateEntryResponse, BatchDeleteEntryRequest,
        BatchDeleteEntryResponse, BatchUpdateEntryRequest, BatchUpdateEntryResponse,
        CountEntriesRequest, CountEntriesResponse, GetAuthorizedEntriesRequest,
        GetAuthorizedEntriesResponse, GetEntryRequest, ListEntriesRequest, ListEntriesResponse,
        SyncAuthorizedEntriesRequest, SyncAuthorizedEntriesResponse, batch_create_entry_response,
        batch_delete_entry_response, batch_update_entry_response, entry_server::Entry,
    },
    types,
};
use tonic::{Request, Response, Status, Streaming};

use super::{
    calling_agent,
    page::{Page, token},
    status::{invalid, item, item_ok},
};
use crate::{
    clock,
    directory::Directory,
    registration::{CreateError, Registration, UpdateError},
};

/// The service.
#[derive(Debug, Clone)]
pub(crate) struct EntryService {
    registration: Registration,
    directory: Directory,
}

impl EntryService {
    pub(crate) fn new(registration: Registration, directory: Directory) -> Self {
        Self {
            registration,
            directory,
        }
    }

    fn trust_domain(&self) -> &TrustDomain {
        self.directory.trust_domain()
    }

    /// Creates entries together; one that cannot be read does not keep the others out.
    async fn create(
        &self,
        entries: &[types::Entry],
        mask: Option<&types::EntryMask>,
    ) -> Vec<batch_create_entry_response::Result> {
        let mut drafts = Vec::with_capacity(entries.len());
        let unreadable: Vec<Option<Status>> = entries
            .iter()
            .map(
                |entry| match Draft::from_proto(entry, self.trust_domain()) {
                    Ok(draft) => {
                        drafts.push(draft);
                        None
                    }
                    Err(error) => Some(invalid(format!("failed to convert entry: {error}"))),
                },
            )
            .collect();
        let created = self.registration.create(drafts, clock::now()).await;
        let mut created = created.map_err(Status::from).map(Vec::into_iter);
        let one = |refused: Option<Status>| match (refused, &mut created) {
            (Some(refused), _) => without_entry(&refused),
            (None, Err(failed)) => without_entry(failed),
            (None, Ok(created)) => match created.next() {
                Some(outcome) => creation(outcome, mask),
                None => without_entry(&Status::internal("an entry was left out")),
            },
        };
        unreadable.into_iter().map(one).collect()
    }

    async fn update(
        &self,
        change: types::Entry,
        input: Option<types::EntryMask>,
        output: Option<&types::EntryMask>,
    ) -> batch_update_entry_response::Result {
        let outcome = match change.id.parse::<EntryId>() {
            Err(error) => Err(invalid(format!("failed to convert entry: {error}"))),
            Ok(id) => self.apply(id, change, input).await.map_err(Status::from),
        };
        match outcome {
            Ok(entry) => batch_update_entry_response::Result {
                status: Some(item_ok()),
                entry: Some(entry.to_proto(output)),
            },
            Err(refused) => batch_update_entry_response::Result {
                status: Some(item(&refused)),
                entry: None,
            },
        }
    }

    fn apply(
        &self,
        id: EntryId,
        change: types::Entry,
        mask: Option<types::EntryMask>,
    ) -> impl Future<Output = Result<signet_identity::entry::Entry, UpdateError>> {
        let trust_domain = self.trust_domain().clone();
        self.registration.update(id, move |current| {
            let merged = current.merged(&change, mask.as_ref());
            Ok(Draft::from_proto(&merged, &trust_domain)?.replacing(&current))
        })
    }

    /// Deletes entries together; each id has its answer.
    async fn delete(&self, ids: Vec<String>) -> Vec<batch_delete_entry_response::Result> {
        let parsed: Vec<_> = ids.iter().map(|id| id.parse::<EntryId>()).collect();
        let known = parsed.iter().flatten().cloned().collect();
        let deleted = self.registration.delete(known).await;
        let mut deleted = deleted.map_err(Status::from).map(Vec::into_iter);
        let status = |parsed: &Result<EntryId, EntryIdError>| match (parsed, &mut deleted) {
            (Err(error), _) => item(&invalid(error.to_string())),
            (Ok(_), Err(failed)) => item(failed),
            (Ok(_), Ok(deleted)) => match deleted.next() {
                Some(true) => item_ok(),
                Some(false) | None => item(&Status::not_found("entry not found")),
            },
        };
        let statuses: Vec<_> = parsed.iter().map(status).collect();
        ids.into_iter()
            .zip(statuses)
            .map(|(id, status)| batch_delete_entry_response::Result {
                status: Some(status),
                id,
            })
            .collect()
    }
}

fn creation(
    outcome: Result<signet_identity::entry::Entry, CreateError>,
    mask: Option<&types::EntryMask>,
) -> batch_create_entry_response::Result {
    let (status, entry) = match outcome {
        Ok(entry) => (item_ok(), Some(entry.to_proto(mask))),
        Err(error) => {
            // A similar entry is what most callers wanted to have: they are given it.
            let similar = match &error {
                CreateError::Similar(similar) => Some(similar.to_proto(mask)),
                CreateError::IdTaken(_)
                | CreateError::NoBundle(_)
                | CreateError::Id(_)
                | CreateError::Store(_) => None,
            };
            (item(&error.into()), similar)
        }
    };
    batch_create_entry_response::Result {
        status: Some(status),
        entry,
    }
}

fn without_entry(refused: &Status) -> batch_create_entry_response::Result {
    batch_create_entry_response::Result {
        status: Some(item(refused)),
        entry: None,
    }
}

#[tonic::async_trait]
impl Entry for EntryService {
    async fn count_entries(
        &self,
        request: Request<CountEntriesRequest>,
    ) -> Result<Response<CountEntriesResponse>, Status> {
        let filter = filter::of_count(request.into_inner().filter, self.trust_domain())?;
        let count = i32::try_from(self.registration.count(&filter)).unwrap_or(i32::MAX);
        Ok(Response::new(CountEntriesResponse { count }))
    }

    async fn list_entries(
        &self,
        request: Request<ListEntriesRequest>,
    ) -> Result<Response<ListEntriesResponse>, Status> {
        let request = request.into_inner();
        let page = Page::<EntryId>::parse(request.page_size, &request.page_token)?;
        let filter = filter::of_list(request.filter, self.trust_domain())?;
        let found = self
            .registration
            .list(&filter, page.after.as_ref(), page.size);
        let mask = request.output_mask.as_ref();
        Ok(Response::new(ListEntriesResponse {
            entries: found
                .entries
                .iter()
                .map(|entry| entry.to_proto(mask))
                .collect(),
            next_page_token: found.next.map_or_else(String::new, |last| token(&last)),
        }))
    }

    async fn get_entry(
        &self,
        request: Request<GetEntryRequest>,
    ) -> Result<Response<types::Entry>, Status> {
        let request = request.into_inner();
        if request.id.is_empty() {
            return Err(invalid("missing ID"));
        }
        let id = request
            .id
            .parse::<EntryId>()
            .map_err(|error| invalid(error.to_string()))?;
        let entry = self
            .registration
            .get(&id)
            .ok_or_else(|| Status::not_found("entry not found"))?;
        Ok(Response::new(entry.to_proto(request.output_mask.as_ref())))
    }

    async fn batch_create_entry(
        &self,
        request: Request<BatchCreateEntryRequest>,
    ) -> Result<Response<BatchCreateEntryResponse>, Status> {
        let request = request.into_inner();
        let mask = request.output_mask.as_ref();
        let mut results = Vec::with_capacity(request.entries.len());
        for together in request.entries.chunks(TOGETHER) {
            results.extend(self.create(together, mask).await);
        }
        Ok(Response::new(BatchCreateEntryResponse { results }))
    }

    async fn batch_update_entry(
        &self,
        request: Request<BatchUpdateEntryRequest>,
    ) -> Result<Response<BatchUpdateEntryResponse>, Status> {
        let request = request.into_inner();
        let (input, output) = (request.input_mask, request.output_mask.as_ref());
        let mut results = Vec::with_capacity(request.entries.len());
        for together in request.entries.chunks(TOGETHER) {
            let updates = together
                .iter()
                .map(|entry| self.update(entry.clone(), input, output));
            results.extend(join_all(updates).await);
        }
        Ok(Response::new(BatchUpdateEntryResponse { results }))
    }

    async fn batch_delete_entry(
        &self,
        request: Request<BatchDeleteEntryRequest>,
    ) -> Result<Response<BatchDeleteEntryResponse>, Status> {
        let ids = request.into_inner().ids;
        let mut results = Vec::with_capacity(ids.len());
        for together in ids.chunks(TOGETHER) {
            results.extend(self.delete(together.to_vec()).await);
        }
        Ok(Response::new(BatchDeleteEntryResponse { results }))
    }

    async fn get_authorized_entries(
        &self,
        request: Request<GetAuthorizedEntriesRequest>,
    ) -> Result<Response<GetAuthorizedEntriesResponse>, Status> {
        let agent = calling_agent(&request)?;
        let mask = request.into_inner().output_mask;
        let entries = self.directory.authorized_entries(&agent, clock::now());
        let entries = entries
            .iter()
            .map(|entry| entry.to_proto(mask.as_ref()))
            .collect();
        Ok(Response::new(GetAuthorizedEntriesResponse { entries }))
    }

    type SyncAuthorizedEntriesStream =
        BoxStream<'static, Result<SyncAuthorizedEntriesResponse, Status>>;

    async fn sync_authorized_entries(
        &self,
        request: Request<Streaming<SyncAuthorizedEntriesRequest>>,
    ) -> Result<Response<Self::SyncAuthorizedEntriesStream>, Status> {
        let agent = calling_agent(&request)?;
        let directory = self.directory.clone();
        let entries = move || directory.authorized_entries(&agent, clock::now());
        Ok(Response::new(sync::answer(request.into_inner(), entries)))
    }
}

/// Items of a batch that share a commit. Bounds how long other writes wait for it.
const TOGETHER: usize = 500;
