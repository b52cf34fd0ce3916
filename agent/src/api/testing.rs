//! Values for the tests of both APIs: entries that this very process matches, SVIDs that nobody
//! parses, and streams that must not hang.

use std::{
    sync::Arc,
    time::{Duration, SystemTime},
};

use rustls::pki_types::CertificateDer;
use signet_identity::{
    SpiffeId, TrustDomain,
    bundle::{Bundle, JwtAuthority, X509Authority},
    entry::{Attributes, Entry, Rights},
    key::{KeyType, PrivateKey},
    selector::Selectors,
};
use tonic::Streaming;
use zeroize::Zeroizing;

use crate::{
    cache::{Cache, Limits, WorkloadIdentity},
    clock,
    testing::dead_upstream,
};

/// A cache with a bundle of its own.
pub(super) fn cache_with() -> Cache {
    cache(&own_bundle(&PrivateKey::generate(KeyType::EcP256).unwrap()))
}

/// Signs for an entry in any cache.
pub(super) fn sign_in(cache: &Cache, entry: &Entry) {
    cache.install(vec![identity(entry, 1)]);
}

pub(super) fn cache(own: &Bundle) -> Cache {
    let limits = Limits {
        x509_svids: 100,
        jwt_svids: 100,
    };
    Cache::new(own, limits, dead_upstream(own))
}

pub(super) fn own_bundle(jwt_key: &PrivateKey) -> Bundle {
    Bundle {
        x509_authorities: vec![authority(b"own root")],
        jwt_authorities: vec![jwt_authority(jwt_key)],
        ..Bundle::empty(own_domain())
    }
}

/// The API never looks into certificates, so any bytes do.
pub(super) fn authority(der: &[u8]) -> X509Authority {
    X509Authority {
        der: CertificateDer::from(der.to_vec()),
        tainted: false,
    }
}

pub(super) fn jwt_authority(key: &PrivateKey) -> JwtAuthority {
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

pub(super) fn selectors(texts: &[&str]) -> Selectors {
    texts.iter().map(|text| text.parse().unwrap()).collect()
}

fn own_selector() -> String {
    format!("unix:uid:{}", nix::unistd::geteuid())
}

pub(super) fn identity(entry: &Entry, serial: u8) -> WorkloadIdentity {
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

/// The id of the key in [`own_bundle`].
pub(super) const KEY_ID: &str = "key-1";

/// Against a test that hangs; nothing waits this long.
pub(super) const SOON: Duration = Duration::from_secs(20);
