//! The own side of a handshake: an SVID with its key.

use std::{sync::Arc, time::SystemTime};

use rustls::{
    SignatureScheme,
    client::ResolvesClientCert,
    pki_types::{PrivateKeyDer, PrivatePkcs8KeyDer},
    server::{ClientHello, ResolvesServerCert},
    sign::CertifiedKey,
};
use rustls_pki_types::CertificateDer;
use spiffe::SpiffeId;

use super::SharedIdentity;
use crate::{
    crypto,
    key::PrivateKey,
    x509::{self, Leaf, ProfileError},
};

/// An X509-SVID with its key, ready for handshakes.
#[derive(Debug)]
pub struct Identity {
    leaf: Leaf,
    certified: Arc<CertifiedKey>,
}

/// Why a chain and a key make no identity.
#[derive(Debug, Clone, PartialEq, thiserror::Error)]
pub enum IdentityError {
    /// No certificate.
    #[error("the SVID has no certificate")]
    EmptyChain,
    /// The leaf is no X509-SVID.
    #[error("the SVID is unusable: {0}")]
    Leaf(#[source] ProfileError),
    /// A certificate above the leaf is no authority.
    #[error("certificate {number} of the SVID's chain is unusable: {source}")]
    Intermediate {
        /// Counted from one, the leaf being the first.
        number: usize,
        /// What is wrong with it.
        source: ProfileError,
    },
    /// The key of another certificate.
    #[error("the private key does not belong to the SVID's certificate")]
    KeyMismatch,
    /// TLS cannot use the key.
    #[error("the private key of the SVID cannot be used for TLS")]
    Key(#[source] rustls::Error),
}

impl Identity {
    /// Joins a chain (leaf first, then intermediates) and its key.
    ///
    /// # Errors
    /// The leaf is no X509-SVID, a certificate above it is no authority, or the key is not the
    /// leaf's.
    pub fn new(
        chain: Vec<CertificateDer<'static>>,
        key: &PrivateKey,
    ) -> Result<Self, IdentityError> {
        let (leaf, intermediates) = chain.split_first().ok_or(IdentityError::EmptyChain)?;
        let checked = x509::check_svid_leaf(leaf).map_err(IdentityError::Leaf)?;
        for (index, intermediate) in intermediates.iter().enumerate() {
            x509::check_authority(intermediate).map_err(|source| IdentityError::Intermediate {
                number: index + 2,
                source,
            })?;
        }
        if x509::public_key(leaf).map_err(IdentityError::Leaf)? != key.spki_der() {
            return Err(IdentityError::KeyMismatch);
        }
        let pkcs8 = PrivatePkcs8KeyDer::from(key.pkcs8_der()).clone_key();
        let signing = crypto::provider()
            .key_provider
            .load_private_key(PrivateKeyDer::Pkcs8(pkcs8))
            .map_err(IdentityError::Key)?;
        let certified = Arc::new(CertifiedKey::new(chain, signing));
        Ok(Self {
            leaf: checked,
            certified,
        })
    }

    /// Who it is.
    pub fn id(&self) -> &SpiffeId {
        &self.leaf.id
    }

    /// Until when it is valid.
    pub fn not_after(&self) -> SystemTime {
        self.leaf.not_after
    }

    /// What the leaf says.
    pub fn leaf(&self) -> &Leaf {
        &self.leaf
    }

    /// The certificates, leaf first.
    pub fn chain(&self) -> &[CertificateDer<'static>] {
        &self.certified.cert
    }
}

/// Presents the identity of the moment.
#[derive(Debug)]
pub(super) struct Presented(pub(super) SharedIdentity);

impl Presented {
    fn certified(&self) -> Option<Arc<CertifiedKey>> {
        self.0
            .borrow()
            .as_ref()
            .map(|identity| Arc::clone(&identity.certified))
    }
}

impl ResolvesServerCert for Presented {
    fn resolve(&self, _hello: ClientHello<'_>) -> Option<Arc<CertifiedKey>> {
        self.certified()
    }
}

impl ResolvesClientCert for Presented {
    fn resolve(
        &self,
        _authorities: &[&[u8]],
        _schemes: &[SignatureScheme],
    ) -> Option<Arc<CertifiedKey>> {
        self.certified()
    }

    fn has_certs(&self) -> bool {
        self.0.borrow().is_some()
    }
}
