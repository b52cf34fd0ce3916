//! A workload's X.509-SVID as the Workload API hands it out.

use std::{fmt, sync::Arc, time::SystemTime};

use bytes::Bytes;
use rustls::pki_types::CertificateDer;
use signet_identity::entry::Entry;
use zeroize::Zeroizing;

/// A signed X.509-SVID with its key and the entry it was signed for.
#[derive(Clone)]
pub(crate) struct WorkloadIdentity {
    /// The entry as it is now; a change that does not concern the certificate replaces it here.
    pub(crate) entry: Arc<Entry>,
    /// Leaf first, then the intermediates.
    pub(crate) chain: Vec<CertificateDer<'static>>,
    /// The chain as one piece, the form of the Workload API.
    pub(crate) chain_der: Bytes,
    /// The private key, PKCS#8.
    pub(crate) key_der: Arc<Zeroizing<Vec<u8>>>,
    /// When the leaf begins to be valid.
    pub(crate) not_before: SystemTime,
    /// When the leaf ends.
    pub(crate) not_after: SystemTime,
    /// When to have it replaced.
    pub(crate) renew_at: SystemTime,
    /// Which authority signed the last certificate of the chain.
    pub(crate) issuer_key_id: Option<Vec<u8>>,
}

impl WorkloadIdentity {
    /// The same SVID under a changed entry.
    pub(super) fn with_entry(&self, entry: &Arc<Entry>) -> Self {
        Self {
            entry: Arc::clone(entry),
            ..self.clone()
        }
    }
}

impl fmt::Debug for WorkloadIdentity {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.debug_struct("WorkloadIdentity")
            .field("entry", &self.entry.id)
            .field("certificates", &self.chain.len())
            .field("not_before", &self.not_before)
            .field("not_after", &self.not_after)
            .finish_non_exhaustive()
    }
}

/// Whether two revisions of an entry would be given the same certificate.
pub(super) fn same_certificate(a: &Entry, b: &Entry) -> bool {
    a.spiffe_id == b.spiffe_id && a.dns_names == b.dns_names && a.x509_svid_ttl == b.x509_svid_ttl
}
