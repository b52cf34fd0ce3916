//! An X.509 authority and the certificates that vouch for it.
//!
//! Three things are told apart: its own certificate, the chain that goes out below each SVID, and
//! the roots that the bundle publishes. Of an authority that is its own root, the chain is empty,
//! because a root is never sent.

use std::time::SystemTime;

use rustls::pki_types::CertificateDer;
use signet_daemon::log::Moment;
use signet_identity::{
    bundle::{Bundle, X509Authority},
    key::KeyType,
};
use tracing::{debug, info};

use super::{
    super::{
        Authorities, RotationSettings, X509Error, X509Svid,
        signer::Signer,
        slots::{Authority, Lifetime, Slot, Slots},
        whole_seconds,
        x509::{self, Issuer, Signed},
    },
    Material, MaterialError, Remembered,
};

/// What an X.509 authority is made of.
#[derive(Debug)]
pub(in crate::ca) struct X509Material {
    certificate: CertificateDer<'static>,
    chain: Vec<CertificateDer<'static>>,
    roots: Vec<X509Authority>,
    issuer: Issuer,
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
        let parse = |root| X509Authority::parse(root, false);
        Ok(Self {
            roots: roots.into_iter().map(parse).collect::<Result<_, _>>()?,
            issuer: Issuer::new(&certificate, signer)?,
            chain,
            certificate,
        })
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

impl Material for X509Material {
    fn key_id(slot: Slot) -> &'static str {
        match slot {
            Slot::A => "x509-CA-A",
            Slot::B => "x509-CA-B",
        }
    }

    fn key_type(settings: &RotationSettings) -> KeyType {
        settings.ca_key_type
    }

    fn slots(authorities: &Authorities) -> &Slots<Self> {
        &authorities.x509
    }

    fn slots_mut(authorities: &mut Authorities) -> &mut Slots<Self> {
        &mut authorities.x509
    }

    fn authority(
        signer: Signer,
        slot: Slot,
        settings: &RotationSettings,
        now: SystemTime,
    ) -> Result<Authority<Self>, MaterialError> {
        let (subject, ttl) = (&settings.ca_subject, settings.ca_ttl);
        let signed = x509::self_signed(&signer, &settings.trust_domain, subject, ttl, now)?;
        Ok(Authority {
            id: hex::encode(signer.subject_key_id()),
            slot,
            lifetime: Lifetime {
                issued_at: whole_seconds(now),
                not_after: signed.not_after,
            },
            material: Self::of_root(signed.der, signer)?,
        })
    }

    fn signer(&self) -> &Signer {
        self.issuer.signer()
    }

    /// Publishes its roots; those of an authority before may be there already.
    fn publish(authority: &Authority<Self>, bundle: &mut Bundle) {
        for root in &authority.material.roots {
            if !knows(bundle, root) {
                bundle.x509_authorities.push(root.clone());
            }
        }
    }

    /// Of an authority that is its own root, the certificate says it all.
    fn remembered(&self) -> Remembered {
        let is_root = self.chain.is_empty();
        let roots = self.roots.iter().filter(|_| !is_root);
        Remembered {
            public: self.certificate.to_vec(),
            chain: self.chain.clone(),
            roots: roots.map(|root| root.der.clone()).collect(),
        }
    }

    fn recalled(
        _authority_id: &str,
        remembered: Remembered,
        signer: Signer,
        bundle: &Bundle,
    ) -> Option<Self> {
        let recalled = if remembered.chain.is_empty() {
            Self::of_root(CertificateDer::from(remembered.public), signer)
        } else {
            Self::of_chain(remembered.chain, remembered.roots, signer)
        };
        let vouched = |material: &Self| material.roots.iter().all(|root| knows(bundle, root));
        recalled.ok().filter(vouched)
    }

    fn log_prepared(authority: &Authority<Self>) {
        info!(
            name: "x509_ca_prepared",
            authority_id = %authority.id,
            slot = ?authority.slot,
            issued_at = %Moment(authority.lifetime.issued_at),
            expires_at = %Moment(authority.lifetime.not_after),
            self_signed = authority.material.chain().is_empty(),
            upstream_authority_id = authority.material.upstream_authority_id(),
            "prepared an X.509 authority"
        );
    }

    fn log_activated(authority: &Authority<Self>, settings: &RotationSettings, now: SystemTime) {
        let left = authority.lifetime.not_after.duration_since(now);
        info!(
            name: "x509_ca_activated",
            authority_id = authority.id,
            slot = ?authority.slot,
            issued_at = %Moment(authority.lifetime.issued_at),
            expires_at = %Moment(authority.lifetime.not_after),
            upstream_authority_id = authority.material.upstream_authority_id(),
            "activated an X.509 authority"
        );
        debug!(
            name: "x509_ca_rotated",
            trust_domain_id = %settings.trust_domain.id_string(),
            ttl = left.unwrap_or_default().as_secs_f64(),
            "the X.509 authority in use is another one"
        );
    }
}

fn knows(bundle: &Bundle, root: &X509Authority) -> bool {
    let mut known = bundle.x509_authorities.iter();
    known.any(|known| known.der == root.der)
}
