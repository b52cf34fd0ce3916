//! Certificate authorities of other trust domains, their entries in a bundle, and SVIDs below them.

use std::time::Duration;

use rcgen::{
    BasicConstraints, CertificateParams, DnType, ExtendedKeyUsagePurpose, IsCa, Issuer,
    KeyUsagePurpose, SanType,
};
use rustls_pki_types::CertificateDer;
use serde_json::{Value, json};
use signet_identity::key::{KeyType, PrivateKey};
use time::OffsetDateTime;

use crate::jwt::forge::{public_members, standard};

/// An authority.
pub(crate) struct Ca {
    pub(crate) der: CertificateDer<'static>,
    spki: Vec<u8>,
    issuer: Issuer<'static, PrivateKey>,
}

/// A leaf and its key.
pub(crate) struct Svid {
    pub(crate) chain: Vec<CertificateDer<'static>>,
    pub(crate) key: PrivateKey,
}

impl Ca {
    pub(crate) fn new(domain: &str) -> Self {
        Self::of_type(domain, KeyType::EcP256)
    }

    pub(crate) fn of_type(domain: &str, key_type: KeyType) -> Self {
        Self::of_key(domain, PrivateKey::generate(key_type).unwrap())
    }

    pub(crate) fn of_key(domain: &str, key: PrivateKey) -> Self {
        let mut params = params("ca", &format!("spiffe://{domain}"));
        params.is_ca = IsCa::Ca(BasicConstraints::Unconstrained);
        params.key_usages = vec![KeyUsagePurpose::KeyCertSign, KeyUsagePurpose::CrlSign];
        Self {
            der: params.self_signed(&key).unwrap().der().clone(),
            spki: key.spki_der().to_vec(),
            issuer: Issuer::new(params, key),
        }
    }

    /// The entry of a bundle document.
    pub(crate) fn jwk(&self) -> Value {
        let mut jwk = public_members(&self.spki);
        jwk["use"] = json!("x509-svid");
        jwk["x5c"] = json!([standard(&self.der)]);
        jwk
    }

    /// An SVID of any ID.
    pub(crate) fn svid(&self, id: &str) -> Svid {
        let key = PrivateKey::generate(KeyType::EcP256).unwrap();
        let mut params = params("w", id);
        params.is_ca = IsCa::ExplicitNoCa;
        params.key_usages = vec![KeyUsagePurpose::DigitalSignature];
        params.extended_key_usages = vec![
            ExtendedKeyUsagePurpose::ServerAuth,
            ExtendedKeyUsagePurpose::ClientAuth,
        ];
        let leaf = params.signed_by(&key, &self.issuer).unwrap();
        Svid {
            chain: vec![leaf.der().clone()],
            key,
        }
    }
}

fn params(name: &str, id: &str) -> CertificateParams {
    let mut params = CertificateParams::default();
    params.distinguished_name.push(DnType::CommonName, name);
    let now = OffsetDateTime::now_utc();
    params.not_before = now - Duration::from_secs(60);
    params.not_after = now + Duration::from_secs(3600);
    params.subject_alt_names = vec![SanType::URI(id.try_into().unwrap())];
    params.use_authority_key_identifier_extension = true;
    params
}
