//! Whole commands, from the words of the command line to the printed answer, against services
//! that answer over a real socket.

use std::{
    collections::HashMap, ffi::OsString, os::unix::net::UnixListener, path::PathBuf, thread,
};

use signet_proto::{
    WitBundlesRequest, WitBundlesResponse, WitsvidRequest, WitsvidResponse,
    spire::api::{
        server::entry::v1::{
            BatchCreateEntryRequest, BatchCreateEntryResponse, BatchDeleteEntryRequest,
            BatchDeleteEntryResponse, BatchUpdateEntryRequest, BatchUpdateEntryResponse,
            CountEntriesRequest, CountEntriesResponse, GetAuthorizedEntriesRequest,
            GetAuthorizedEntriesResponse, GetEntryRequest, ListEntriesRequest, ListEntriesResponse,
            SyncAuthorizedEntriesRequest, SyncAuthorizedEntriesResponse,
            batch_create_entry_response, batch_update_entry_response,
            entry_server::{Entry as EntryService, EntryServer},
        },
        types::{self, Status as ItemStatus, entry::AdditionalAttributes},
    },
    workload::{
        JwtBundlesRequest, JwtBundlesResponse, JwtSvid, JwtSvidRequest, JwtSvidResponse,
        ValidateJwtSvidRequest, ValidateJwtSvidResponse, X509BundlesRequest, X509BundlesResponse,
        X509SvidRequest, X509SvidResponse,
        spiffe_workload_api_server::{SpiffeWorkloadApi, SpiffeWorkloadApiServer},
    },
};
use tokio_stream::{Once, Pending, wrappers::UnixListenerStream};
use tonic::{Request, Response, Status, Streaming, transport::Server};

use crate::output::Streams;

type Answer<T> = Result<Response<T>, Status>;
type OnceOf<T> = Once<Result<T, Status>>;

/// A server whose entries come one to a page.
struct Entries;

#[tonic::async_trait]
impl EntryService for Entries {
    async fn list_entries(
        &self,
        request: Request<ListEntriesRequest>,
    ) -> Answer<ListEntriesResponse> {
        let request = request.into_inner();
        let (id, next_page_token) = match request.page_token.as_str() {
            "" => ("2", "more".to_owned()),
            _ => ("1", String::new()),
        };
        Ok(Response::new(ListEntriesResponse {
            entries: vec![entry(id)],
            next_page_token,
        }))
    }

    async fn batch_create_entry(
        &self,
        _: Request<BatchCreateEntryRequest>,
    ) -> Answer<BatchCreateEntryResponse> {
        let result = batch_create_entry_response::Result {
            status: Some(ItemStatus {
                code: 6,
                message: "similar entry already exists".to_owned(),
            }),
            entry: Some(entry("the one that exists")),
        };
        Ok(Response::new(BatchCreateEntryResponse {
            results: vec![result],
        }))
    }

    async fn get_entry(&self, request: Request<GetEntryRequest>) -> Answer<types::Entry> {
        if request.get_ref().id != "1" {
            return Err(Status::not_found("entry not found"));
        }
        Ok(Response::new(types::Entry {
            additional_attributes: Some(AdditionalAttributes {
                disable_x509_svid_prefetch: true,
                jwt_svid_include_jti: false,
            }),
            ..entry("1")
        }))
    }

    async fn batch_update_entry(
        &self,
        request: Request<BatchUpdateEntryRequest>,
    ) -> Answer<BatchUpdateEntryResponse> {
        let entries = request.into_inner().entries.into_iter();
        let results = entries.map(|entry| batch_update_entry_response::Result {
            status: Some(ItemStatus::default()),
            entry: Some(entry),
        });
        Ok(Response::new(BatchUpdateEntryResponse {
            results: results.collect(),
        }))
    }

    async fn count_entries(&self, _: Request<CountEntriesRequest>) -> Answer<CountEntriesResponse> {
        Ok(Response::new(CountEntriesResponse { count: 2 }))
    }

    async fn batch_delete_entry(
        &self,
        _: Request<BatchDeleteEntryRequest>,
    ) -> Answer<BatchDeleteEntryResponse> {
        Err(Status::permission_denied("not you"))
    }

    async fn get_authorized_entries(
        &self,
        _: Request<GetAuthorizedEntriesRequest>,
    ) -> Answer<GetAuthorizedEntriesResponse> {
        Err(Status::unimplemented("for agents"))
    }

    type SyncAuthorizedEntriesStream = OnceOf<SyncAuthorizedEntriesResponse>;

    async fn sync_authorized_entries(
        &self,
        _: Request<Streaming<SyncAuthorizedEntriesRequest>>,
    ) -> Answer<Self::SyncAuthorizedEntriesStream> {
        Err(Status::unimplemented("for agents"))
    }
}

/// An agent that insists on the header, gives tokens, and has no X509-SVID for the caller.
struct Workloads;

#[tonic::async_trait]
impl SpiffeWorkloadApi for Workloads {
    type FetchX509SVIDStream = Pending<Result<X509SvidResponse, Status>>;

    async fn fetch_x509svid(
        &self,
        request: Request<X509SvidRequest>,
    ) -> Answer<Self::FetchX509SVIDStream> {
        with_header(&request)?;
        Ok(Response::new(tokio_stream::pending()))
    }

    type FetchX509BundlesStream = OnceOf<X509BundlesResponse>;

    async fn fetch_x509_bundles(
        &self,
        _: Request<X509BundlesRequest>,
    ) -> Answer<Self::FetchX509BundlesStream> {
        Err(Status::permission_denied("no identity issued"))
    }

    async fn fetch_jwtsvid(&self, request: Request<JwtSvidRequest>) -> Answer<JwtSvidResponse> {
        with_header(&request)?;
        let svid = JwtSvid {
            spiffe_id: "spiffe://a.test/w".to_owned(),
            svid: request.get_ref().audience.join("+"),
            hint: String::new(),
        };
        Ok(Response::new(JwtSvidResponse { svids: vec![svid] }))
    }

    type FetchJWTBundlesStream = OnceOf<JwtBundlesResponse>;

    async fn fetch_jwt_bundles(
        &self,
        request: Request<JwtBundlesRequest>,
    ) -> Answer<Self::FetchJWTBundlesStream> {
        with_header(&request)?;
        let bundles = HashMap::from([("spiffe://a.test".to_owned(), "{}".into())]);
        Ok(Response::new(tokio_stream::once(Ok(JwtBundlesResponse {
            bundles,
        }))))
    }

    async fn validate_jwtsvid(
        &self,
        request: Request<ValidateJwtSvidRequest>,
    ) -> Answer<ValidateJwtSvidResponse> {
        with_header(&request)?;
        Err(Status::invalid_argument("token has expired"))
    }

    type FetchWITSVIDStream = OnceOf<WitsvidResponse>;

    async fn fetch_witsvid(&self, _: Request<WitsvidRequest>) -> Answer<Self::FetchWITSVIDStream> {
        Err(Status::unimplemented("no WIT-SVIDs"))
    }

    type FetchWITBundlesStream = OnceOf<WitBundlesResponse>;

    async fn fetch_wit_bundles(
        &self,
        _: Request<WitBundlesRequest>,
    ) -> Answer<Self::FetchWITBundlesStream> {
        Err(Status::unimplemented("no WIT-SVIDs"))
    }
}

/// A daemon for one test; it ends with the test's process.
struct Daemon {
    folder: tempfile::TempDir,
}

impl Daemon {
    fn start() -> Self {
        let folder = tempfile::tempdir().unwrap();
        let listener = UnixListener::bind(folder.path().join("api.sock")).unwrap();
        listener.set_nonblocking(true).unwrap();
        thread::spawn(move || {
            crate::block_on(async move {
                let listener = tokio::net::UnixListener::from_std(listener)?;
                Server::builder()
                    .add_service(EntryServer::new(Entries))
                    .add_service(SpiffeWorkloadApiServer::new(Workloads))
                    .serve_with_incoming(UnixListenerStream::new(listener))
                    .await?;
                Ok(())
            })
        });
        Self { folder }
    }

    fn socket(&self) -> PathBuf {
        self.folder.path().join("api.sock")
    }

    /// Exit code 0 or not, standard output, standard error.
    fn answers(&self, line: &str) -> (bool, String, String) {
        let mut streams = Streams {
            out: Vec::new(),
            err: Vec::new(),
        };
        let words = line.split_whitespace().map(OsString::from);
        let socket = [OsString::from("-socketPath"), self.socket().into()];
        let exit = crate::execute::<crate::Signet, _, _>(words.chain(socket), &mut streams);
        let good = exit == crate::output::Exit::Good;
        let text = |bytes| String::from_utf8(bytes).unwrap();
        (good, text(streams.out), text(streams.err))
    }
}

fn entry(id: &str) -> types::Entry {
    types::Entry {
        id: id.to_owned(),
        ..types::Entry::default()
    }
}

fn with_header<T>(request: &Request<T>) -> Result<(), Status> {
    match request.metadata().get("workload.spiffe.io") {
        Some(value) if value == "true" => Ok(()),
        _ => Err(Status::invalid_argument("security header missing")),
    }
}

#[test]
fn all_pages_are_shown_together() {
    let (good, out, err) = Daemon::start().answers("server entry show");
    assert!(good, "{err}");
    assert!(out.starts_with("Found 2 entries\n"), "{out}");
    assert_eq!(out.matches("Entry ID  ").count(), 2);
}

#[test]
fn a_refused_entry_is_shown_as_it_was_asked_for() {
    let daemon = Daemon::start();
    let line = "server entry create -node -spiffeID spiffe://a.test/w -selector unix:uid:1";
    let (good, out, err) = daemon.answers(line);
    assert!(!good && out.is_empty());
    assert_eq!(
        err,
        "\
Failed to create the following entry (code: AlreadyExists, msg: \"similar entry already exists\"):
Entry ID                : (none)
SPIFFE ID               : spiffe://a.test/w
Parent ID               : spiffe://a.test/spire/server
Revision                : 0
X509-SVID TTL           : default
JWT-SVID TTL            : default
Selector                : unix:uid:1

Error: failed to create one or more entries
"
    );
    let (good, out, err) = daemon.answers(&format!("{line} -output json"));
    assert!(good && err.is_empty(), "{err}");
    assert!(out.contains(r#""status":{"code":6,"message":"similar entry already exists"}"#));
    assert!(out.contains(r#""parent_id":{"path":"/spire/server","trust_domain":"a.test"}"#));
    assert!(!out.contains("the one that exists"), "{out}");
}

#[test]
fn an_update_keeps_the_attribute_that_it_does_not_name() {
    let line = "server entry update -entryID 1 -parentID spiffe://a.test/p \
                -spiffeID spiffe://a.test/w -selector unix:uid:1 -jwtSVIDIncludeJTI";
    let (good, out, err) = Daemon::start().answers(line);
    assert!(good, "{err}");
    assert!(
        out.ends_with(
            "Selector                : unix:uid:1\n\
             DisableX509SvidPrefetch : true\n\
             JwtSvidIncludeJti       : true\n\n"
        ),
        "{out}"
    );
}

#[test]
fn a_refused_call_is_named_by_its_code() {
    let daemon = Daemon::start();
    assert_eq!(
        daemon.answers("server entry show -entryID 9").2,
        "Error: error fetching entry ID 9: rpc error: code = NotFound desc = entry not found\n"
    );
    assert_eq!(
        daemon.answers("server entry delete -entryID 9"),
        (
            false,
            String::new(),
            "Error: rpc error: code = PermissionDenied desc = not you\n".to_owned()
        )
    );
}

#[test]
fn a_count_is_a_line_or_a_document() {
    let daemon = Daemon::start();
    assert_eq!(
        daemon.answers("server entry count").1,
        "2 registration entries\n"
    );
    assert_eq!(
        daemon.answers("server entry count -output json").1,
        "{\"count\":2}\n"
    );
}

#[test]
fn a_token_is_fetched_with_the_header_for_every_audience() {
    let daemon = Daemon::start();
    let line = "agent api fetch jwt -audience a,b";
    assert_eq!(
        daemon.answers(line),
        (
            true,
            "token(spiffe://a.test/w):\n\ta+b\nbundle(spiffe://a.test):\n\t{}\n".to_owned(),
            String::new()
        )
    );
    assert_eq!(
        daemon.answers(&format!("{line} -output json")).1,
        "[{\"svids\":[{\"hint\":\"\",\"spiffe_id\":\"spiffe://a.test/w\",\"svid\":\"a+b\"}]},\
         {\"bundles\":{\"spiffe://a.test\":\"e30=\"}}]\n"
    );
}

#[test]
fn a_bad_token_is_told_from_a_bad_call() {
    let line = "agent api validate jwt -audience a -svid x.y.z";
    assert_eq!(
        Daemon::start().answers(line),
        (
            false,
            String::new(),
            "SVID is not valid: token has expired\n".to_owned()
        )
    );
}

#[test]
fn a_fetch_that_is_not_answered_ends() {
    let (good, _, err) = Daemon::start().answers("agent api fetch -timeout 50ms");
    assert!(!good);
    assert_eq!(
        err,
        "rpc error: code = DeadlineExceeded desc = no answer within 50ms\n"
    );
}
