//! The few facts that the agent reads from certificates it was given.

use x509_parser::{
    extensions::ParsedExtension, oid_registry::OID_X509_EXT_AUTHORITY_KEY_IDENTIFIER,
    parse_x509_certificate,
};

/// A certificate that cannot be read.
#[derive(Clone, Copy, Debug, thiserror::Error)]
#[error("not an X.509 certificate")]
pub(crate) struct Unreadable;

/// Which key signed the certificate, if it says so.
pub(crate) fn authority_key_id(der: &[u8]) -> Option<Vec<u8>> {
    let (_, certificate) = parse_x509_certificate(der).ok()?;
    let extension = certificate
        .get_extension_unique(&OID_X509_EXT_AUTHORITY_KEY_IDENTIFIER)
        .ok()??;
    let ParsedExtension::AuthorityKeyIdentifier(id) = extension.parsed_extension() else {
        return None;
    };
    id.key_identifier.as_ref().map(|id| id.0.to_vec())
}

/// Whether the certificate's key may make signatures.
pub(crate) fn may_sign(der: &[u8]) -> Result<bool, Unreadable> {
    let (_, certificate) = parse_x509_certificate(der).map_err(|_malformed| Unreadable)?;
    let usage = certificate.key_usage().map_err(|_malformed| Unreadable)?;
    Ok(usage.is_some_and(|usage| usage.value.digital_signature()))
}
