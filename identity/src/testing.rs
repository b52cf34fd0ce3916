//! Authorities and leaves for tests, right by default and wrong where a test says so.

use std::time::{Duration, SystemTime};

use rcgen::{
    BasicConstraints, CertificateParams, CertificateRevocationListParams, DistinguishedName,
    DnType, ExtendedKeyUsagePurpose, IsCa, Issuer, KeyIdMethod, KeyUsagePurpose, RevokedCertParams,
    SanType, SerialNumber, date_time_ymd,
};
use rustls_pki_types::CertificateDer;
use spiffe::{SpiffeId, TrustDomain};
use time::OffsetDateTime;

use crate::{
    bundle::{Bundle, X509Authority},
    key::{KeyType, PrivateKey},
    unix,
};

/// A certificate authority.
pub(crate) struct Ca {
    pub(crate) der: CertificateDer<'static>,
    issuer: Issuer<'static, PrivateKey>,
}

/// A leaf and its key.
pub(crate) struct Issued {
    pub(crate) der: CertificateDer<'static>,
    pub(crate) key: PrivateKey,
}

impl Ca {
    pub(crate) fn root(trust_domain: &str) -> Self {
        Self::root_with(trust_domain, |_params| {})
    }

    pub(crate) fn root_with(
        trust_domain: &str,
        change: impl FnOnce(&mut CertificateParams),
    ) -> Self {
        let key = PrivateKey::generate(KeyType::EcP256).expect("key");
        let mut params = ca_params(trust_domain);
        change(&mut params);
        let der = params.self_signed(&key).expect("root").der().clone();
        Self {
            der,
            issuer: Issuer::new(params, key),
        }
    }

    /// A root whose certificate says less than is signed with its key; and whose does not.
    pub(crate) fn root_and_bare(change: impl FnOnce(&mut CertificateParams)) -> (Self, Self) {
        let full = Self::root("example.org");
        let mut params = ca_params("example.org");
        change(&mut params);
        let key = full.issuer.key();
        let der = params.self_signed(key).expect("root").der().clone();
        let key = PrivateKey::from_pkcs8(key.pkcs8_der()).expect("key");
        let issuer = Issuer::new(params, key);
        (full, Self { der, issuer })
    }

    pub(crate) fn intermediate(&self, change: impl FnOnce(&mut CertificateParams)) -> Self {
        let key = PrivateKey::generate(KeyType::EcP256).expect("key");
        let mut params = ca_params("example.org");
        params.distinguished_name = name("intermediate");
        change(&mut params);
        let der = params
            .signed_by(&key, &self.issuer)
            .expect("intermediate")
            .der()
            .clone();
        Self {
            der,
            issuer: Issuer::new(params, key),
        }
    }

    pub(crate) fn leaf(&self, id: &str) -> Issued {
        self.leaf_with(id, |_params| {})
    }

    pub(crate) fn leaf_with(
        &self,
        id: &str,
        change: impl FnOnce(&mut CertificateParams),
    ) -> Issued {
        let key = PrivateKey::generate(KeyType::EcP256).expect("key");
        let mut params = base_params(id);
        params.distinguished_name = name("workload");
        params.is_ca = IsCa::ExplicitNoCa;
        params.key_usages = vec![KeyUsagePurpose::DigitalSignature];
        params.extended_key_usages = vec![
            ExtendedKeyUsagePurpose::ServerAuth,
            ExtendedKeyUsagePurpose::ClientAuth,
        ];
        change(&mut params);
        let der = params
            .signed_by(&key, &self.issuer)
            .expect("leaf")
            .der()
            .clone();
        Issued { der, key }
    }

    /// A list of what it revoked, by serial numbers, that ends in so many seconds from [`now`].
    pub(crate) fn revokes(&self, serials: &[u64], ends: i64) -> Vec<u8> {
        let end = unix::seconds(now()) + ends;
        let time = |seconds| OffsetDateTime::from_unix_timestamp(seconds).expect("time");
        let revoked = serials.iter().map(|serial| RevokedCertParams {
            serial_number: SerialNumber::from(*serial),
            revocation_time: time(end - 7200),
            reason_code: None,
            invalidity_date: None,
        });
        let list = CertificateRevocationListParams {
            this_update: time(end - 3600),
            next_update: time(end),
            crl_number: SerialNumber::from(1),
            issuing_distribution_point: None,
            revoked_certs: revoked.collect(),
            key_identifier_method: KeyIdMethod::Sha256,
        };
        let signed = list.signed_by(&self.issuer).expect("list");
        signed.der().to_vec()
    }

    pub(crate) fn bundle(&self, trust_domain: &str) -> Bundle {
        let authority = X509Authority {
            der: self.der.clone(),
            tainted: false,
        };
        Bundle {
            x509_authorities: vec![authority],
            ..Bundle::empty(domain(trust_domain))
        }
    }
}

pub(crate) fn domain(name: &str) -> TrustDomain {
    TrustDomain::new(name).expect("trust domain")
}

pub(crate) fn id(text: &str) -> SpiffeId {
    crate::id::parse(text).expect("SPIFFE ID")
}

pub(crate) fn uri(text: &str) -> SanType {
    SanType::URI(text.try_into().expect("ASCII"))
}

/// A moment inside the validity of everything here: 2027-01-15.
pub(crate) fn now() -> SystemTime {
    unix::time(1_800_000_000).expect("time")
}

pub(crate) fn after(seconds: u64) -> SystemTime {
    now() + Duration::from_secs(seconds)
}

fn ca_params(trust_domain: &str) -> CertificateParams {
    let mut params = base_params(&format!("spiffe://{trust_domain}"));
    params.distinguished_name = name("root");
    params.is_ca = IsCa::Ca(BasicConstraints::Unconstrained);
    params.key_usages = vec![KeyUsagePurpose::KeyCertSign, KeyUsagePurpose::CrlSign];
    params
}

fn base_params(uri_name: &str) -> CertificateParams {
    let mut params = CertificateParams::default();
    params.not_before = date_time_ymd(2020, 1, 1);
    params.not_after = date_time_ymd(2099, 1, 1);
    params.subject_alt_names = vec![uri(uri_name)];
    params.use_authority_key_identifier_extension = true;
    params
}

fn name(common_name: &str) -> DistinguishedName {
    let mut name = DistinguishedName::new();
    name.push(DnType::CommonName, common_name);
    name
}
