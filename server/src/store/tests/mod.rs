//! The store against real files.

mod agents;
mod entries;
mod files;
mod log;

use signet_identity::{TrustDomain, bundle::Bundle};

use super::{CreateEntry, Store};

/// A federated bundle without authorities; `sequence` tells two of them apart.
fn bundle(trust_domain: &str, sequence: u64) -> Bundle {
    let trust_domain = TrustDomain::new(trust_domain).expect("trust domain");
    Bundle {
        sequence,
        ..Bundle::empty(trust_domain)
    }
}

async fn create(store: &Store, entry: signet_identity::entry::Entry) -> CreateEntry {
    store
        .create_entry(entry)
        .await
        .expect("create an entry")
        .opened()
        .value
}
