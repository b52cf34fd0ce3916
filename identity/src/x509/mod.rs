//! What SPIFFE demands of a certificate, read from its DER: leaves (X509-SVID §3 to §5) and
//! authorities.

mod encoding;
mod serial;
mod strict;

pub use encoding::{PemError, chain_from_pem, chain_to_pem, concatenated, split};
pub use serial::{Serial, SerialError};

use std::time::SystemTime;

use spiffe::SpiffeId;
use x509_parser::{
    certificate::X509Certificate,
    extensions::{GeneralName, KeyUsage, ParsedExtension},
    prelude::FromDer,
};

use crate::{
    id::{self, IdError},
    unix,
};

/// What is known of a leaf certificate that keeps the profile. Whether it is trusted is another
/// question; see [`crate::trust::Trust::verify`].
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct Leaf {
    /// Its identity.
    pub id: SpiffeId,
    /// Its serial number.
    pub serial: Serial,
    /// Valid from.
    pub not_before: SystemTime,
    /// Valid until.
    pub not_after: SystemTime,
    /// The key identifier of its issuer.
    pub authority_key_id: Option<Vec<u8>>,
}

/// What is known of a certificate that may sign others.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct Authority {
    /// Valid from.
    pub not_before: SystemTime,
    /// Valid until.
    pub not_after: SystemTime,
    /// How many authorities may stand below it; `None` is any number.
    pub path_length: Option<u32>,
    /// The identifier of its key.
    pub subject_key_id: Option<Vec<u8>>,
    /// Its name in DER, as it stands as issuer in what it signs.
    pub subject_der: Vec<u8>,
    /// Its key as `SubjectPublicKeyInfo`.
    pub spki_der: Vec<u8>,
    /// Whether it may sign lists of what was revoked, too.
    pub may_sign_revocations: bool,
}

/// When a certificate is valid.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub struct Validity {
    /// Valid from.
    pub not_before: SystemTime,
    /// Valid until.
    pub not_after: SystemTime,
}

/// Which rule a certificate breaks.
#[derive(Debug, Clone, PartialEq, thiserror::Error)]
pub enum ProfileError {
    /// Not one whole certificate.
    #[error("the certificate is malformed; one X.509 certificate in DER is expected")]
    Malformed,
    /// X509-SVID §2: exactly one URI SAN.
    #[error("the certificate has {0} URI names; an X509-SVID has exactly one, its SPIFFE ID")]
    UriCount(usize),
    /// The URI is no SPIFFE ID.
    #[error("the certificate's URI name is no SPIFFE ID: {0}")]
    Id(#[from] IdError),
    /// X509-SVID §5.2: a leaf's ID has a path.
    #[error(
        "the certificate's SPIFFE ID {0} has no path, so it names a trust domain and no workload"
    )]
    NoPath(SpiffeId),
    /// X509-SVID §4.1 and §5.2: a leaf is no authority.
    #[error("the certificate is an authority; an X509-SVID of a workload is none")]
    IsAuthority,
    /// X509-SVID §4.3: the key usage is there.
    #[error("the certificate has no key usage")]
    NoKeyUsage,
    /// X509-SVID §4.3: a leaf signs.
    #[error("the certificate's key usage lacks digitalSignature")]
    NoDigitalSignature,
    /// X509-SVID §4.3 and §5.2: a leaf signs no certificates.
    #[error("the certificate's key usage has keyCertSign or cRLSign; only authorities have these")]
    MaySignCertificates,
    /// X509-SVID §4.1: an authority says so.
    #[error("the certificate is not an authority (basicConstraints cA is not set)")]
    NotAuthority,
    /// X509-SVID §4.3: an authority may sign certificates.
    #[error("the certificate of the authority lacks keyCertSign in its key usage")]
    NoCertificateSigning,
}

/// Checks a leaf against the X509-SVID profile and reads what it says.
///
/// # Errors
/// The rule of the profile that the certificate breaks.
pub fn check_svid_leaf(der: &[u8]) -> Result<Leaf, ProfileError> {
    let certificate = parse(der)?;
    if certificate.is_ca() {
        return Err(ProfileError::IsAuthority);
    }
    let usage = key_usage(&certificate)?.ok_or(ProfileError::NoKeyUsage)?;
    if usage.key_cert_sign() || usage.crl_sign() {
        return Err(ProfileError::MaySignCertificates);
    }
    if !usage.digital_signature() {
        return Err(ProfileError::NoDigitalSignature);
    }
    let id = id::parse(only_uri(&certificate)?)?;
    if id.path().is_empty() {
        return Err(ProfileError::NoPath(id));
    }
    let validity = validity(&certificate)?;
    Ok(Leaf {
        id,
        serial: Serial::from_bytes(certificate.raw_serial()),
        not_before: validity.not_before,
        not_after: validity.not_after,
        authority_key_id: authority_key_id(&certificate),
    })
}

/// Checks that a certificate may sign SVIDs and reads what it says (X509-SVID §4.3: keyUsage with
/// keyCertSign is there). Names in it are not judged: an authority from upstream may have any.
///
/// # Errors
/// The certificate is malformed, or may not sign certificates.
pub fn check_authority(der: &[u8]) -> Result<Authority, ProfileError> {
    let certificate = parse(der)?;
    if key_usage(&certificate)?.is_none() {
        return Err(ProfileError::NoCertificateSigning);
    }
    issuer(&certificate)
}

/// Checks that a certificate of any PKI may sign others (RFC 5280 §6.1.4: keyUsage counts if it is
/// there) and reads what it says.
///
/// # Errors
/// The certificate is malformed, or may not sign certificates.
pub fn check_issuer(der: &[u8]) -> Result<Authority, ProfileError> {
    issuer(&parse(der)?)
}

fn issuer(certificate: &X509Certificate<'_>) -> Result<Authority, ProfileError> {
    let constraints = certificate
        .basic_constraints()
        .map_err(|_malformed| ProfileError::Malformed)?
        .filter(|constraints| constraints.value.ca)
        .ok_or(ProfileError::NotAuthority)?;
    if !key_usage(certificate)?.is_none_or(KeyUsage::key_cert_sign) {
        return Err(ProfileError::NoCertificateSigning);
    }
    let validity = validity(certificate)?;
    Ok(Authority {
        not_before: validity.not_before,
        not_after: validity.not_after,
        path_length: constraints.value.path_len_constraint,
        subject_key_id: subject_key_id(certificate),
        subject_der: certificate.subject().as_raw().to_vec(),
        spki_der: certificate.public_key().raw.to_vec(),
        // RFC 5280 §6.3.3 (f): the key usage counts if it is there.
        may_sign_revocations: key_usage(certificate)?.is_none_or(KeyUsage::crl_sign),
    })
}

/// The public key of any certificate, as `SubjectPublicKeyInfo`.
///
/// # Errors
/// The certificate is malformed.
pub fn public_key(der: &[u8]) -> Result<Vec<u8>, ProfileError> {
    Ok(parse(der)?.public_key().raw.to_vec())
}

impl Validity {
    /// That of any certificate, whatever its profile.
    ///
    /// # Errors
    /// Not a certificate, or one of a time that cannot be represented.
    pub fn of(der: &[u8]) -> Result<Self, ProfileError> {
        match X509Certificate::from_der(der) {
            Ok((&[], certificate)) => validity(&certificate),
            Ok(_) | Err(_) => Err(ProfileError::Malformed),
        }
    }
}

fn parse(der: &[u8]) -> Result<X509Certificate<'_>, ProfileError> {
    match X509Certificate::from_der(der) {
        Ok((&[], certificate)) if strict::is_clear(der, &certificate) => Ok(certificate),
        Ok(_) | Err(_) => Err(ProfileError::Malformed),
    }
}

fn only_uri<'a>(certificate: &'a X509Certificate<'_>) -> Result<&'a str, ProfileError> {
    let names = certificate
        .subject_alternative_name()
        .map_err(|_malformed| ProfileError::Malformed)?
        .map(|names| names.value.general_names.as_slice())
        .unwrap_or_default();
    if names
        .iter()
        .any(|name| matches!(name, GeneralName::Invalid(..)))
    {
        return Err(ProfileError::Malformed);
    }
    let uris = || names.iter().filter_map(uri);
    match (uris().next(), uris().count()) {
        (Some(uri), 1) => Ok(uri),
        (_, count) => Err(ProfileError::UriCount(count)),
    }
}

fn uri<'a>(name: &'a GeneralName<'_>) -> Option<&'a str> {
    if let GeneralName::URI(uri) = name {
        Some(uri)
    } else {
        None
    }
}

fn key_usage<'a>(
    certificate: &'a X509Certificate<'_>,
) -> Result<Option<&'a KeyUsage>, ProfileError> {
    let usage = certificate
        .key_usage()
        .map_err(|_malformed| ProfileError::Malformed)?;
    Ok(usage.map(|usage| usage.value))
}

fn authority_key_id(certificate: &X509Certificate<'_>) -> Option<Vec<u8>> {
    certificate.iter_extensions().find_map(|extension| {
        if let ParsedExtension::AuthorityKeyIdentifier(id) = extension.parsed_extension() {
            id.key_identifier.as_ref().map(|id| id.0.to_vec())
        } else {
            None
        }
    })
}

fn subject_key_id(certificate: &X509Certificate<'_>) -> Option<Vec<u8>> {
    certificate.iter_extensions().find_map(|extension| {
        if let ParsedExtension::SubjectKeyIdentifier(id) = extension.parsed_extension() {
            Some(id.0.to_vec())
        } else {
            None
        }
    })
}

fn validity(certificate: &X509Certificate<'_>) -> Result<Validity, ProfileError> {
    let time = |seconds| unix::time(seconds).ok_or(ProfileError::Malformed);
    Ok(Validity {
        not_before: time(certificate.validity().not_before.timestamp())?,
        not_after: time(certificate.validity().not_after.timestamp())?,
    })
}

#[cfg(test)]
mod tests;
