//! The Workload API over a real socket, with this very process as the workload.

mod bundles;
mod rules;
mod tokens;
mod x509;

use std::{
    collections::BTreeSet,
    path::PathBuf,
    sync::Arc,
    time::{Duration, SystemTime},
};

use rustls::pki_types::CertificateDer;
use signet_daemon::socket::UnixSocket;
use signet_identity::{
    SpiffeId, TrustDomain,
    bundle::{Bundle, JwtAuthority, X509Authority},
    entry::{Attributes, Entry, Rights},
    key::{KeyType, PrivateKey},
    selector::Selectors,
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
use zeroize::Zeroizing;

use super::{Settings, header, probe, serve};
use crate::{
    cache::{Cache, Change, Limits, WorkloadIdentity},
    clock,
    testing::dead_upstream,
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

/// A cache with the own bundle, for the tests of the admin socket.
pub(super) fn cache_with() -> Cache {
    cache(&own_bundle(&PrivateKey::generate(KeyType::EcP256).unwrap()))
}

/// Signs for an entry in any cache.
pub(super) fn sign_in(cache: &Cache, entry: &Entry) {
    cache.install(vec![identity(entry, 1)]);
}

fn cache(own: &Bundle) -> Cache {
    let limits = Limits {
        x509_svids: 100,
        jwt_svids: 100,
    };
    Cache::new(own, limits, dead_upstream(own))
}

fn own_bundle(jwt_key: &PrivateKey) -> Bundle {
    Bundle {
        x509_authorities: vec![authority(b"own root")],
        jwt_authorities: vec![jwt_authority(jwt_key)],
        ..Bundle::empty(own_domain())
    }
}

fn foreign_bundle(name: &str, root: &[u8]) -> Bundle {
    Bundle {
        x509_authorities: vec![authority(root)],
        ..Bundle::empty(TrustDomain::new(name).unwrap())
    }
}

/// The API never looks into certificates, so any bytes do.
fn authority(der: &[u8]) -> X509Authority {
    X509Authority {
        der: CertificateDer::from(der.to_vec()),
        tainted: false,
    }
}

fn jwt_authority(key: &PrivateKey) -> JwtAuthority {
    JwtAuthority {
        key_id: KEY_ID.to_owned(),
        spki_der: key.spki_der().to_vec(),
        expires_at: None,
        tainted: false,
    }
}

/// An entry that this process matches; entries with a higher number are younger.
pub(super) fn entry(number: u8) -> Entry {
    Entry {
        id: format!("entry-{number}").parse().unwrap(),
        spiffe_id: SpiffeId::new(format!("spiffe://example.org/w{number}")).unwrap(),
        parent_id: SpiffeId::new("spiffe://example.org/spire/agent/x").unwrap(),
        selectors: selectors(&[&own_selector()]),
        x509_svid_ttl: None,
        jwt_svid_ttl: None,
        federates_with: Vec::new(),
        rights: Rights::default(),
        store_svid: false,
        attributes: Attributes::default(),
        dns_names: Vec::new(),
        hint: String::new(),
        expires_at: None,
        revision: 0,
        created_at: SystemTime::UNIX_EPOCH + Duration::from_secs(number.into()),
    }
}

fn entry_of_another_workload() -> Entry {
    Entry {
        selectors: selectors(&["unix:uid:4000000000"]),
        ..entry(200)
    }
}

pub(super) fn selectors(texts: &[&str]) -> Selectors {
    texts.iter().map(|text| text.parse().unwrap()).collect()
}

fn own_selector() -> String {
    format!("unix:uid:{}", nix::unistd::geteuid())
}

fn identity(entry: &Entry, serial: u8) -> WorkloadIdentity {
    let now = clock::now();
    let hour = Duration::from_secs(3600);
    let chain_der = vec![serial; 5];
    WorkloadIdentity {
        entry: Arc::new(entry.clone()),
        chain: vec![CertificateDer::from(chain_der.clone())],
        chain_der: chain_der.into(),
        key_der: Arc::new(Zeroizing::new(vec![serial, 0, serial])),
        not_before: now,
        not_after: now + hour,
        renew_at: now + hour / 2,
        issuer_key_id: None,
    }
}

fn own_domain() -> TrustDomain {
    TrustDomain::new("example.org").unwrap()
}

/// A request with the mandatory header.
fn with_header<T>(message: T) -> Request<T> {
    let mut request = Request::new(message);
    let value = MetadataValue::from_static("true");
    request.metadata_mut().insert(header::NAME, value);
    request
}

/// The next message of a stream that must have one soon.
pub(super) async fn next<T>(stream: &mut Streaming<T>) -> T {
    let message = tokio::time::timeout(SOON, stream.message())
        .await
        .expect("a message soon");
    message.unwrap().expect("the stream goes on")
}

/// How a stream ends that must end soon.
pub(super) async fn end<T: std::fmt::Debug>(stream: &mut Streaming<T>) -> tonic::Status {
    let message = tokio::time::timeout(SOON, stream.message())
        .await
        .expect("an end soon");
    message.unwrap_err()
}

const KEY_ID: &str = "key-1";

/// Against a test that hangs; nothing waits this long.
const SOON: Duration = Duration::from_secs(20);
