//! Lists of what an authority revoked.

use rcgen::{
    CertificateRevocationListParams, Issuer, KeyIdMethod, RevokedCertParams, SerialNumber,
};
use rustls_pki_types::CertificateDer;
use signet_identity::{key::PrivateKey, x509::check_svid_leaf};
use time::{Duration, OffsetDateTime};

use super::{Authority, Svid};

/// A list of these, that ends in so many hours.
pub(crate) fn list(authority: &Authority, revoked: &[&Svid], hours: i64) -> Vec<u8> {
    let key = PrivateKey::from_pkcs8(authority.key.pkcs8_der()).unwrap();
    let der = CertificateDer::from(authority.der.as_slice());
    let issuer = Issuer::from_ca_cert_der(&der, key).unwrap();
    let end = OffsetDateTime::now_utc() + Duration::hours(hours);
    let revoked = revoked.iter().map(|svid| {
        let leaf = check_svid_leaf(svid.leaf()).unwrap();
        RevokedCertParams {
            serial_number: SerialNumber::from_slice(leaf.serial.as_bytes()),
            revocation_time: end - Duration::hours(3),
            reason_code: None,
            invalidity_date: None,
        }
    });
    let list = CertificateRevocationListParams {
        this_update: end - Duration::hours(2),
        next_update: end,
        crl_number: SerialNumber::from(1),
        issuing_distribution_point: None,
        revoked_certs: revoked.collect(),
        key_identifier_method: KeyIdMethod::Sha256,
    };
    list.signed_by(&issuer).unwrap().der().to_vec()
}
