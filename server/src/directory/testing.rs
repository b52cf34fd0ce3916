//! Entries, agents and running directories for the tests of this crate.

use std::time::{Duration, SystemTime, UNIX_EPOCH};

use signet_identity::{
    SpiffeId, TrustDomain,
    entry::{Attributes, Entry, Rights},
    selector::Selectors,
};
use tokio::task::JoinSet;
use tokio_util::sync::CancellationToken;

use super::Directory;
use crate::store::{Agent, Attestation, testing::TestStore};

/// A store and a directory that follows it.
#[derive(Debug)]
pub(crate) struct TestDirectory {
    pub(crate) store: TestStore,
    pub(crate) directory: Directory,
    _tasks: JoinSet<()>,
}

impl TestDirectory {
    pub(crate) async fn new() -> Self {
        Self::over(TestStore::new().await).await
    }

    pub(crate) async fn over(mut store: TestStore) -> Self {
        let followed = store.follow();
        let loaded = Directory::load(&store.store, followed, trust_domain()).await;
        let (directory, follower) = loaded.expect("load the directory");
        let mut tasks = JoinSet::new();
        tasks.spawn(follower.run(CancellationToken::new()));
        Self {
            store,
            directory,
            _tasks: tasks,
        }
    }

    pub(crate) async fn attest(&self, agent: Agent) {
        let attestation = Attestation {
            agent,
            at: now(),
            token: None,
            alias: None,
        };
        let written = self
            .store
            .store
            .attest_agent(attestation)
            .await
            .expect("attest");
        self.directory.seen(written).await;
    }
}

pub(crate) fn trust_domain() -> TrustDomain {
    TrustDomain::new("example.org").expect("trust domain")
}

pub(crate) fn id(path: &str) -> SpiffeId {
    SpiffeId::new(format!("spiffe://example.org{path}")).expect("SPIFFE ID")
}

pub(crate) fn selectors(texts: &[&str]) -> Selectors {
    texts
        .iter()
        .map(|text| text.parse().expect("selector"))
        .collect()
}

pub(crate) fn now() -> SystemTime {
    UNIX_EPOCH + Duration::from_secs(1_900_000_000)
}

/// An entry with these paths and the selector `unix:uid:<id>`.
pub(crate) fn entry(name: &str, parent: &str, path: &str) -> Entry {
    Entry {
        id: name.parse().expect("entry id"),
        spiffe_id: id(path),
        parent_id: id(parent),
        selectors: selectors(&[&format!("unix:uid:{name}")]),
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
        created_at: now(),
    }
}

/// An agent with this path and these selectors.
pub(crate) fn agent(path: &str, with: &[&str]) -> Agent {
    Agent {
        id: id(path),
        attestation_type: "test".to_owned(),
        serial: "1".to_owned(),
        not_after: now() + Duration::from_secs(3600),
        renewed: None,
        selectors: selectors(with),
        can_reattest: true,
        version: String::new(),
        banned: false,
    }
}
