//! The Workload API over a real socket, with this very process as the workload.

mod bundles;
mod rules;
mod tokens;
mod x509;

use std::{collections::BTreeSet, path::PathBuf, time::Duration};

use signet_daemon::socket::UnixSocket;
use signet_identity::{
    SpiffeId, TrustDomain,
    bundle::Bundle,
    entry::Entry,
    key::{KeyType, PrivateKey},
};
use signet_proto::workload::spiffe_workload_api_client::SpiffeWorkloadApiClient;
use tempfile::TempDir;
use tokio::task::JoinHandle;
use tokio_util::sync::CancellationToken;
use tonic::{
    Request, Streaming,
    metadata::MetadataValue,
    transport::{Channel, Error},
};

use super::{Settings, header, probe, serve};
use crate::{
    api::testing::{
        KEY_ID, SOON, authority, cache, end, entry, identity, jwt_authority, next, own_bundle,
        selectors,
    },
    cache::{Cache, Change},
    clock,
    workload::{Attestors, Discovery, Unix, WorkloadAttestor},
};

/// A running Workload API, and a connection to it.
struct Api {
    cache: Cache,
    channel: Channel,
    path: PathBuf,
    shutdown: CancellationToken,
    served: JoinHandle<Result<(), Error>>,
    /// The key of the own trust domain that signs JWT-SVIDs.
    jwt_key: PrivateKey,
    _folder: TempDir,
}

type Client = SpiffeWorkloadApiClient<Channel>;

async fn api() -> Api {
    api_with(strict()).await
}

async fn api_with(settings: Settings) -> Api {
    let folder = tempfile::tempdir().unwrap();
    let path = folder.path().join("api.sock");
    let socket = UnixSocket::bind(&path, 0o777).unwrap();
    let jwt_key = PrivateKey::generate(KeyType::EcP256).unwrap();
    let cache = cache(&own_bundle(&jwt_key));
    let attestors = Attestors::new(vec![WorkloadAttestor::Unix(Unix::new(Discovery::Path))]);
    let shutdown = CancellationToken::new();
    let serving = serve(socket, cache.clone(), attestors, settings, shutdown.clone());
    #[expect(clippy::disallowed_methods, reason = "the test itself is the owner")]
    let served = tokio::spawn(serving);
    let channel = probe::connect(&path).await.unwrap();
    Api {
        cache,
        channel,
        path,
        shutdown,
        served,
        jwt_key,
        _folder: folder,
    }
}

impl Api {
    fn client(&self) -> Client {
        SpiffeWorkloadApiClient::new(self.channel.clone())
    }

    /// What the server would say.
    fn apply(&self, change: Change) {
        self.cache.apply(change);
    }

    fn add(&self, entries: impl IntoIterator<Item = Entry>) {
        self.apply(Change {
            entries: entries.into_iter().collect(),
            ..Change::default()
        });
    }

    fn remove(&self, entry: &Entry) {
        self.apply(Change {
            removed_entries: vec![entry.id.clone()],
            ..Change::default()
        });
    }

    fn bundle(&self, bundle: Bundle) {
        self.apply(Change {
            bundles: vec![bundle],
            ..Change::default()
        });
    }

    /// Signs for an entry; `serial` tells the SVIDs apart.
    fn sign(&self, entry: &Entry, serial: u8) {
        self.cache.install(vec![identity(entry, serial)]);
    }

    fn add_signed(&self, entries: impl IntoIterator<Item = Entry>) {
        for entry in entries {
            self.add([entry.clone()]);
            self.sign(&entry, 1);
        }
    }
}

fn strict() -> Settings {
    Settings {
        allow_unauthenticated_verifiers: false,
        allowed_foreign_jwt_claims: BTreeSet::new(),
    }
}

fn open() -> Settings {
    Settings {
        allow_unauthenticated_verifiers: true,
        ..strict()
    }
}

fn foreign_bundle(name: &str, root: &[u8]) -> Bundle {
    Bundle {
        x509_authorities: vec![authority(root)],
        ..Bundle::empty(TrustDomain::new(name).unwrap())
    }
}

fn entry_of_another_workload() -> Entry {
    Entry {
        selectors: selectors(&["unix:uid:4000000000"]),
        ..entry(200)
    }
}

/// A request with the mandatory header.
fn with_header<T>(message: T) -> Request<T> {
    let mut request = Request::new(message);
    let value = MetadataValue::from_static("true");
    request.metadata_mut().insert(header::NAME, value);
    request
}
