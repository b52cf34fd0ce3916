//! The DelegatedIdentity API over a real socket, with this very process as the delegate.

use std::{collections::BTreeSet, sync::Arc, time::Duration};

use signet_daemon::{health::Health, socket::UnixSocket};
use signet_identity::{
    entry::{Entry, Rights},
    selector::Selectors,
};
use signet_proto::spire::api::agent::delegatedidentity::v1::{
    FetchJwtsviDsRequest, SubscribeToX509BundlesRequest, SubscribeToX509sviDsRequest,
    SubscribeToX509sviDsResponse, delegated_identity_client::DelegatedIdentityClient,
};
use tempfile::TempDir;
use tokio::sync::watch;
use tokio_util::{sync::CancellationToken, task::TaskTracker};
use tonic::{Code, Streaming, transport::Channel};

use crate::{
    api::{
        AdminApi, serve_admin,
        testing::{cache_with, end, entry, next, selectors, sign_in},
        workload::probe,
    },
    cache::{Cache, Change},
    clock,
    status::Status,
    workload::{Attestors, Discovery, Unix, WorkloadAttestor},
};

/// A running admin API, and a connection to it.
struct Admin {
    cache: Cache,
    client: DelegatedIdentityClient<Channel>,
    _folder: TempDir,
    _stop: tokio_util::sync::DropGuard,
}

/// The entry that makes this process a delegate is number 1.
async fn admin() -> Admin {
    let folder = tempfile::tempdir().unwrap();
    let path = folder.path().join("admin.sock");
    let socket = UnixSocket::bind(&path, 0o770).unwrap();
    let cache = cache_with();
    let attestors = Attestors::new(vec![WorkloadAttestor::Unix(Unix::new(Discovery::Path))]);
    let delegates = BTreeSet::from([entry(1).spiffe_id]);
    let stop = CancellationToken::new();
    let api = AdminApi {
        cache: cache.clone(),
        attestors,
        delegates: Arc::new(delegates),
        identity: watch::channel(None).1,
        status: Status::new(&Health::new()),
        started: clock::now(),
    };
    TaskTracker::new().spawn(serve_admin(socket, api, stop.clone()));
    let channel = probe::connect(&path).await.unwrap();
    Admin {
        cache,
        client: DelegatedIdentityClient::new(channel),
        _folder: folder,
        _stop: stop.drop_guard(),
    }
}

impl Admin {
    fn add(&self, entries: &[Entry]) {
        self.cache.apply(Change {
            entries: entries.to_vec(),
            ..Change::default()
        });
        for entry in entries {
            sign_in(&self.cache, entry);
        }
    }

    fn remove(&self, entry: &Entry) {
        self.cache.apply(Change {
            removed_entries: vec![entry.id.clone()],
            ..Change::default()
        });
    }

    async fn svids(
        &self,
        selectors: &Selectors,
        pid: i32,
    ) -> Result<Streaming<SubscribeToX509sviDsResponse>, tonic::Status> {
        let selectors = selectors.to_proto();
        let request = SubscribeToX509sviDsRequest { selectors, pid };
        let answer = self.client.clone().subscribe_to_x509svi_ds(request).await;
        Ok(answer?.into_inner())
    }
}

fn of_a_pod() -> Selectors {
    selectors(&["k8s:ns:shop", "k8s:sa:till"])
}

fn pod(number: u8) -> Entry {
    Entry {
        selectors: selectors(&["k8s:ns:shop"]),
        ..entry(number)
    }
}

fn paths(response: &SubscribeToX509sviDsResponse) -> Vec<String> {
    let svids = response.x509_svids.iter();
    svids
        .map(|svid| svid.x509_svid.clone().unwrap().id.unwrap().path)
        .collect()
}

#[tokio::test]
async fn a_delegate_follows_the_svids_of_a_workload_that_it_names_by_selectors() {
    let admin = admin().await;
    admin.add(&[entry(1)]);
    let mut stream = admin.svids(&of_a_pod(), 0).await.unwrap();
    assert_eq!(paths(&next(&mut stream).await), [""; 0]);
    admin.add(&[pod(2)]);
    let given = next(&mut stream).await;
    assert_eq!(paths(&given), ["/w2"]);
    let svid = given.x509_svids.first().unwrap();
    assert!(!svid.x509_svid_key.is_empty());
    assert!(!svid.x509_svid.as_ref().unwrap().cert_chain.is_empty());
    admin.remove(&pod(2));
    assert_eq!(paths(&next(&mut stream).await), [""; 0]);
}

#[tokio::test]
async fn a_delegate_may_name_a_workload_by_its_process() {
    let admin = admin().await;
    admin.add(&[entry(1)]);
    let own = i32::try_from(std::process::id()).unwrap();
    let mut stream = admin.svids(&Selectors::default(), own).await.unwrap();
    assert_eq!(paths(&next(&mut stream).await), ["/w1"]);
    let mut child = std::process::Command::new("true").spawn().unwrap();
    child.wait().unwrap();
    let gone = i32::try_from(child.id()).unwrap();
    let refused = admin.svids(&Selectors::default(), gone).await.unwrap_err();
    assert_eq!(refused.code(), Code::NotFound, "{refused}");
}

#[tokio::test]
async fn a_workload_is_named_in_exactly_one_way() {
    let admin = admin().await;
    admin.add(&[entry(1)]);
    for (selectors, pid) in [
        (Selectors::default(), 0),
        (Selectors::default(), -1),
        (of_a_pod(), 1),
    ] {
        let refused = admin.svids(&selectors, pid).await.unwrap_err();
        assert_eq!(refused.code(), Code::InvalidArgument, "{refused}");
    }
}

#[tokio::test]
async fn a_caller_that_is_no_delegate_gets_nothing() {
    let admin = admin().await;
    let refused = admin.svids(&of_a_pod(), 0).await.unwrap_err();
    assert_eq!(refused.code(), Code::PermissionDenied, "{refused}");
    assert_eq!(refused.message(), "no identity issued");
    admin.add(&[entry(3), pod(2)]);
    let refused = admin.svids(&of_a_pod(), 0).await.unwrap_err();
    assert_eq!(refused.code(), Code::PermissionDenied, "{refused}");
    assert!(refused.message().contains("delegate"), "{refused}");
    let mut client = admin.client.clone();
    let request = FetchJwtsviDsRequest {
        audience: vec!["orders".to_owned()],
        selectors: of_a_pod().to_proto(),
        pid: 0,
    };
    let refused = client.fetch_jwtsvi_ds(request).await.unwrap_err();
    assert_eq!(refused.code(), Code::PermissionDenied, "{refused}");
    let bundles = client.subscribe_to_x509_bundles(SubscribeToX509BundlesRequest {});
    let refused = bundles.await.unwrap_err();
    assert_eq!(refused.code(), Code::PermissionDenied, "{refused}");
}

#[tokio::test]
async fn a_delegate_that_loses_its_identity_loses_its_streams() {
    let admin = admin().await;
    admin.add(&[entry(1), pod(2)]);
    let mut svids = admin.svids(&of_a_pod(), 0).await.unwrap();
    let request = SubscribeToX509BundlesRequest {};
    let mut client = admin.client.clone();
    let bundles = client.subscribe_to_x509_bundles(request).await.unwrap();
    let mut bundles = bundles.into_inner();
    next(&mut svids).await;
    let given = next(&mut bundles).await.ca_certificates;
    assert_eq!(given.keys().collect::<Vec<_>>(), ["spiffe://example.org"]);
    admin.remove(&entry(1));
    assert_eq!(end(&mut svids).await.code(), Code::PermissionDenied);
    assert_eq!(end(&mut bundles).await.code(), Code::PermissionDenied);
}

#[tokio::test]
async fn identities_with_rights_at_the_server_are_not_given_away() {
    let admin = admin().await;
    let rights = |admin, downstream| Rights { admin, downstream };
    admin.add(&[
        entry(1),
        Entry {
            rights: rights(true, false),
            ..pod(2)
        },
        Entry {
            rights: rights(false, true),
            ..pod(3)
        },
        pod(4),
    ]);
    let mut stream = admin.svids(&of_a_pod(), 0).await.unwrap();
    assert_eq!(paths(&next(&mut stream).await), ["/w4"]);
    admin.remove(&pod(4));
    assert_eq!(paths(&next(&mut stream).await), [""; 0]);
    let request = FetchJwtsviDsRequest {
        audience: vec!["orders".to_owned()],
        selectors: of_a_pod().to_proto(),
        pid: 0,
    };
    let mut client = admin.client.clone();
    let refused = client.fetch_jwtsvi_ds(request);
    let refused = tokio::time::timeout(Duration::from_secs(20), refused).await;
    let refused = refused.unwrap().unwrap_err();
    assert_eq!(refused.code(), Code::PermissionDenied, "{refused}");
}
