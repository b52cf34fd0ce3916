//! A workload's X.509-SVID as the Workload API hands it out.

use std::{fmt, sync::Arc, time::SystemTime};

use bytes::Bytes;
use rustls::pki_types::CertificateDer;
use signet_identity::{
    entry::Entry,
    key::PrivateKey,
    x509::{self, Leaf},
};
use zeroize::Zeroizing;

use crate::certificate;

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

/// Why a chain is not used as the SVID of an entry.
#[derive(Debug, thiserror::Error)]
pub(crate) enum SvidError {
    #[error("no certificate")]
    Empty,
    #[error("no X.509-SVID: {0}")]
    Profile(#[from] x509::ProfileError),
    #[error("signed for {0} instead of {1}")]
    OtherId(String, String),
    #[error("signed for another key")]
    OtherKey,
    #[error("expired on arrival; compare the clocks of this machine and of the server")]
    Expired,
}

impl WorkloadIdentity {
    /// Checks that `chain` is the SVID of `entry` for `key` and has not expired; `renew_at` says
    /// from its leaf when to have it replaced.
    pub(crate) fn new(
        entry: Arc<Entry>,
        chain: Vec<CertificateDer<'static>>,
        key: &PrivateKey,
        now: SystemTime,
        renew_at: impl FnOnce(&Leaf) -> SystemTime,
    ) -> Result<Self, SvidError> {
        let (first, last) = chain.first().zip(chain.last()).ok_or(SvidError::Empty)?;
        let leaf = x509::check_svid_leaf(first)?;
        if leaf.id != entry.spiffe_id {
            let (got, wanted) = (leaf.id.to_string(), entry.spiffe_id.to_string());
            return Err(SvidError::OtherId(got, wanted));
        }
        if x509::public_key(first)? != key.spki_der() {
            return Err(SvidError::OtherKey);
        }
        // In the cache it would be dropped and asked for again at once, without end.
        if leaf.not_after <= now {
            return Err(SvidError::Expired);
        }
        Ok(Self {
            not_before: leaf.not_before,
            not_after: leaf.not_after,
            renew_at: renew_at(&leaf),
            issuer_key_id: certificate::authority_key_id(last),
            chain_der: x509::concatenated(&chain).into(),
            chain,
            key_der: Arc::new(Zeroizing::new(key.pkcs8_der().to_vec())),
            entry,
        })
    }

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
