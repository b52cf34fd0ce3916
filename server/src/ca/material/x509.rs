//! An X.509 authority and the certificates that vouch for it.
//!
//! Three things are told apart: its own certificate, the chain that goes out below each SVID, and
//! the roots that the bundle publishes. Of an authority that is its own root, the chain is empty,
//! because a root is never sent.

use rustls::pki_types::CertificateDer;
use signet_identity::{
    bundle::{Bundle, X509Authority},
    x509::ProfileError,
};

use super::{
    super::{
        X509Error, X509Svid,
        signer::Signer,
        x509::{Issuer, Signed},
    },
    Remembered,
};

/// What an X.509 authority is made of.
#[derive(Debug)]
pub(in crate::ca) struct X509Material {
    certificate: CertificateDer<'static>,
    chain: Vec<CertificateDer<'static>>,
    roots: Vec<X509Authority>,
    issuer: Issuer,
}

/// Why certificates and a key make no authority.
#[derive(Debug, thiserror::Error)]
pub(crate) enum MaterialError {
    /// Its certificate could not be made, or cannot be used.
    #[error("the new authority's certificate cannot be made")]
    X509(#[from] X509Error),
    /// A root does not keep the profile.
    #[error("the new authority's certificate is not fit for the bundle")]
    Profile(#[from] ProfileError),
}

impl X509Material {
    /// An authority that is its own root.
    pub(in crate::ca) fn of_root(
        certificate: CertificateDer<'static>,
        signer: Signer,
    ) -> Result<Self, MaterialError> {
        Ok(Self {
            roots: vec![X509Authority::parse(certificate.clone(), false)?],
            issuer: Issuer::new(&certificate, signer)?,
            chain: Vec::new(),
            certificate,
        })
    }

    /// An authority below `roots`: the `chain` begins with its own certificate, and each next one
    /// has signed the one before.
    pub(in crate::ca) fn of_chain(
        chain: Vec<CertificateDer<'static>>,
        roots: Vec<CertificateDer<'static>>,
        signer: Signer,
    ) -> Result<Self, MaterialError> {
        let Some(certificate) = chain.first().cloned() else {
            return Err(X509Error::Authority("there is none").into());
        };
        if roots.is_empty() {
            return Err(X509Error::Authority("it is below no root").into());
        }
        let roots = roots
            .into_iter()
            .map(|der| X509Authority::parse(der, false));
        Ok(Self {
            roots: roots.collect::<Result<_, _>>()?,
            issuer: Issuer::new(&certificate, signer)?,
            chain,
            certificate,
        })
    }

    /// The authority of before, as the journal kept it.
    pub(in crate::ca) fn recalled(
        remembered: Remembered,
        signer: Signer,
    ) -> Result<Self, MaterialError> {
        if remembered.chain.is_empty() {
            return Self::of_root(CertificateDer::from(remembered.public), signer);
        }
        Self::of_chain(remembered.chain, remembered.roots, signer)
    }

    /// What the journal keeps: of an authority that is its own root, the certificate says it all.
    pub(in crate::ca) fn remembered(&self) -> Remembered {
        let is_root = self.chain.is_empty();
        let roots = self.roots.iter().filter(|_| !is_root);
        Remembered {
            public: self.certificate.to_vec(),
            chain: self.chain.clone(),
            roots: roots.map(|root| root.der.clone()).collect(),
        }
    }

    /// What goes out below each SVID: the certificates from its own up to the root, without it.
    pub(in crate::ca) fn chain(&self) -> &[CertificateDer<'static>] {
        &self.chain
    }

    /// How the authority above it is named; empty if it is its own root.
    pub(in crate::ca) fn upstream_authority_id(&self) -> String {
        hex::encode(self.issuer.upstream_key_id())
    }

    /// What it signs with.
    pub(in crate::ca) fn issuer(&self) -> &Issuer {
        &self.issuer
    }

    /// Adds its roots to the bundle; those of an authority before may be there already.
    pub(in crate::ca) fn publish(&self, bundle: &mut Bundle) {
        for root in &self.roots {
            if !knows(bundle, root) {
                bundle.x509_authorities.push(root.clone());
            }
        }
    }

    /// Whether whoever has the bundle trusts what it signs.
    pub(in crate::ca) fn is_published(&self, bundle: &Bundle) -> bool {
        self.roots.iter().all(|root| knows(bundle, root))
    }

    /// What it signed, with the chain below it.
    pub(in crate::ca) fn svid(&self, signed: Signed) -> X509Svid {
        let mut chain = vec![signed.der];
        chain.extend_from_slice(&self.chain);
        X509Svid {
            chain,
            serial: signed.serial,
            not_after: signed.not_after,
        }
    }
}

fn knows(bundle: &Bundle, root: &X509Authority) -> bool {
    let mut known = bundle.x509_authorities.iter();
    known.any(|known| known.der == root.der)
}
