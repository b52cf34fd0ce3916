//! Values for tests, with only what matters stated.

use std::time::{Duration, SystemTime};

use signet_identity::entry::{Attributes, Entry, Rights};

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
