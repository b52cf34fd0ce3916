//! Values for tests, with only what matters stated.

use std::{
    sync::Arc,
    time::{Duration, SystemTime},
};

use rcgen::{
    BasicConstraints, CertificateParams, DnType, IsCa, Issuer, KeyPair, KeyUsagePurpose, SanType,
    SerialNumber,
};
use signet_identity::{
    bundle::Bundle,
    entry::{Attributes, Entry, Rights},
    key::PrivateKey,
    trust::Trust,
};
use tokio::sync::watch;

use crate::{
    clock,
    storage::SavedSvid,
    upstream::{Target, Upstream},
};

/// An entry for `/workload/<id>` with these selectors.
pub(crate) fn entry(id: &str, selectors: &[&str]) -> Entry {
    Entry {
        id: id.parse().unwrap(),
        spiffe_id: format!("spiffe://example.org/workload/{id}")
            .parse()
            .unwrap(),
        parent_id: "spiffe://example.org/spire/agent/one".parse().unwrap(),
        selectors: selectors.iter().map(|s| s.parse().unwrap()).collect(),
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
        created_at: SystemTime::UNIX_EPOCH,
    }
}

/// This many seconds after the epoch.
pub(crate) fn at(seconds: u64) -> SystemTime {
    SystemTime::UNIX_EPOCH + Duration::from_secs(seconds)
}

/// A CA's bundle, and an SVID under it that is valid for an hour from now.
pub(crate) fn issued(id: &str) -> (Bundle, SavedSvid) {
    let ca_key = KeyPair::generate().unwrap();
    let mut ca = CertificateParams::default();
    ca.is_ca = IsCa::Ca(BasicConstraints::Unconstrained);
    ca.key_usages = vec![KeyUsagePurpose::KeyCertSign, KeyUsagePurpose::CrlSign];
    ca.distinguished_name.push(DnType::CommonName, "ca");
    ca.subject_alt_names = vec![SanType::URI("spiffe://example.org".try_into().unwrap())];
    let root = ca.self_signed(&ca_key).unwrap();
    let issuer = Issuer::new(ca, ca_key);

    let key = KeyPair::generate().unwrap();
    let mut leaf = CertificateParams::default();
    leaf.serial_number = Some(SerialNumber::from(vec![1, 2, 3]));
    leaf.not_before = (clock::now() - Duration::from_secs(10)).into();
    leaf.not_after = (clock::now() + Duration::from_secs(3600)).into();
    leaf.is_ca = IsCa::ExplicitNoCa;
    leaf.key_usages = vec![KeyUsagePurpose::DigitalSignature];
    leaf.subject_alt_names = vec![SanType::URI(id.try_into().unwrap())];
    let certificate = leaf.signed_by(&key, &issuer).unwrap();
    let svid = SavedSvid {
        chain: vec![certificate.der().clone()],
        key: PrivateKey::from_pkcs8(&key.serialize_der()).unwrap(),
        reattestable: false,
    };
    let own = "example.org".parse().unwrap();
    (Bundle::from_pem(own, &root.pem()).unwrap(), svid)
}

/// A line to a server that is not there.
pub(crate) fn dead_upstream(own: &Bundle) -> Upstream {
    let unused = std::net::TcpListener::bind("127.0.0.1:0").unwrap();
    let port = unused.local_addr().unwrap().port();
    let target = Target::new("127.0.0.1", port).unwrap();
    let (_, identity) = watch::channel(None);
    let nothing = Bundle::empty(own.trust_domain.clone());
    let (_, trust) = watch::channel(Arc::new(Trust::new([&nothing])));
    Upstream::new(&target, &own.trust_domain, identity, trust).unwrap()
}
