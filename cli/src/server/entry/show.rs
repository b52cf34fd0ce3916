//! `signet server entry show` and `entry count`.

use anyhow::{Context as _, ensure};
use signet_proto::spire::api::{
    server::entry::v1::{
        CountEntriesRequest, GetEntryRequest, ListEntriesRequest, ListEntriesResponse,
        entry_client::EntryClient,
    },
    types::{Entry, Selector, Spiffeid},
};
use tonic::transport::Channel;

use super::{block, filter::Filter};
use crate::{
    grpc::{self, DEADLINE},
    output::{Answer, Text, text},
    server::{Administer, Server, parse},
};

/// Shows one entry by its ID, or those that pass a filter.
#[derive(Debug, clap::Args)]
pub(crate) struct Show {
    /// The ID of the entry to show
    #[arg(long, alias = "entryID", value_name = "ID")]
    entry_id: Option<String>,

    #[command(flatten)]
    filter: Filter,
}

/// Counts the entries that pass a filter.
#[derive(Debug, clap::Args)]
pub(crate) struct Count {
    #[command(flatten)]
    filter: Filter,
}

impl Administer for Show {
    async fn administer(self, server: &Server) -> anyhow::Result<Answer> {
        let entry_id = parse::given(self.entry_id.as_deref());
        ensure!(
            entry_id.is_none() || !self.filter.has_identity_fields(),
            "the -entryID flag can't be combined with others"
        );
        let filter = self.filter.to_list()?;
        let mut client = EntryClient::new(server.connect().await?);
        let mut entries = match entry_id {
            Some(id) => vec![one(&mut client, id).await?],
            None => {
                let request = ListEntriesRequest {
                    filter: Some(filter),
                    output_mask: None,
                    page_size: PAGE,
                    page_token: String::new(),
                };
                all(&mut client, request).await?
            }
        };
        sort(&mut entries);
        let response = ListEntriesResponse {
            entries,
            next_page_token: String::new(),
        };
        Answer::message(
            &response,
            "spire.api.server.entry.v1.ListEntriesResponse",
            Text::out(shown(&response.entries)),
        )
    }
}

impl Administer for Count {
    async fn administer(self, server: &Server) -> anyhow::Result<Answer> {
        let request = CountEntriesRequest {
            filter: Some(self.filter.to_count()?),
        };
        let mut client = EntryClient::new(server.connect().await?);
        let response = grpc::call(DEADLINE, client.count_entries(request)).await?;
        Answer::message(
            &response,
            "spire.api.server.entry.v1.CountEntriesResponse",
            Text::out(counted(response.count)),
        )
    }
}

async fn one(client: &mut EntryClient<Channel>, id: &str) -> anyhow::Result<Entry> {
    let request = GetEntryRequest {
        id: id.to_owned(),
        output_mask: None,
    };
    grpc::call(DEADLINE, client.get_entry(request))
        .await
        .with_context(|| format!("error fetching entry ID {id}"))
}

async fn all(
    client: &mut EntryClient<Channel>,
    mut request: ListEntriesRequest,
) -> anyhow::Result<Vec<Entry>> {
    let mut entries = Vec::new();
    loop {
        let page = grpc::call(DEADLINE, client.list_entries(request.clone()))
            .await
            .context("error fetching entries")?;
        entries.extend(page.entries);
        if page.next_page_token.is_empty() {
            return Ok(entries);
        }
        request.page_token = page.next_page_token;
    }
}

fn shown(entries: &[Entry]) -> String {
    let count = entries.len();
    let noun = text::plural(count, "entry", "entries");
    let blocks = entries.iter().map(block).collect::<String>();
    format!("Found {count} {noun}\n{blocks}")
}

fn counted(count: i32) -> String {
    let noun = match count {
        1 => "entry",
        _ => "entries",
    };
    format!("{count} registration {noun}\n")
}

/// By SPIFFE ID, parent, lifetimes and selectors, so that two runs can be compared.
fn sort(entries: &mut [Entry]) {
    for entry in &mut *entries {
        entry.selectors.sort_by(|a, b| parts(a).cmp(&parts(b)));
    }
    entries.sort_by(|a, b| rank(a).cmp(&rank(b)));
}

fn rank(entry: &Entry) -> impl Ord + use<'_> {
    fn id(id: Option<&Spiffeid>) -> Option<(&str, &str)> {
        id.map(|id| (id.trust_domain.as_str(), id.path.as_str()))
    }
    let selectors = entry.selectors.iter().map(parts).collect::<Vec<_>>();
    (
        id(entry.spiffe_id.as_ref()),
        id(entry.parent_id.as_ref()),
        (entry.x509_svid_ttl, entry.jwt_svid_ttl),
        (selectors.len(), selectors),
    )
}

fn parts(selector: &Selector) -> (&str, &str) {
    (&selector.r#type, &selector.value)
}

/// Comfortably under the 4 MiB that one message may have.
const PAGE: i32 = 500;

#[cfg(test)]
mod tests {
    use super::*;

    fn entry(id: &str, path: &str, selectors: &[&str]) -> Entry {
        let selectors = selectors.iter().map(|text| parse::selector(text).unwrap());
        Entry {
            id: id.to_owned(),
            spiffe_id: parse::spiffe_id(&format!("spiffe://a.test{path}")).ok(),
            parent_id: parse::spiffe_id("spiffe://a.test/p").ok(),
            selectors: selectors.collect(),
            ..Entry::default()
        }
    }

    #[test]
    fn entries_and_their_selectors_are_sorted() {
        let mut entries = [
            entry("3", "/b", &["unix:uid:1"]),
            entry("2", "/a", &["unix:uid:2", "unix:gid:2"]),
            entry("1", "/a", &["unix:uid:9"]),
        ];
        sort(&mut entries);
        assert_eq!(
            shown(&entries),
            "\
Found 3 entries
Entry ID                : 1
SPIFFE ID               : spiffe://a.test/a
Parent ID               : spiffe://a.test/p
Revision                : 0
X509-SVID TTL           : default
JWT-SVID TTL            : default
Selector                : unix:uid:9

Entry ID                : 2
SPIFFE ID               : spiffe://a.test/a
Parent ID               : spiffe://a.test/p
Revision                : 0
X509-SVID TTL           : default
JWT-SVID TTL            : default
Selector                : unix:gid:2
Selector                : unix:uid:2

Entry ID                : 3
SPIFFE ID               : spiffe://a.test/b
Parent ID               : spiffe://a.test/p
Revision                : 0
X509-SVID TTL           : default
JWT-SVID TTL            : default
Selector                : unix:uid:1

"
        );
    }

    #[test]
    fn one_entry_is_singular() {
        assert!(shown(&[entry("1", "/a", &[])]).starts_with("Found 1 entry\n"));
        assert_eq!(shown(&[]), "Found 0 entries\n");
        assert_eq!(counted(1), "1 registration entry\n");
        assert_eq!(counted(0), "0 registration entries\n");
    }
}
