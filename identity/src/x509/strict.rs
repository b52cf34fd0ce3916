//! Certificates that two readers could read in two ways, which the parser lets pass.

use x509_parser::{
    certificate::X509Certificate,
    extensions::{ParsedExtension, X509Extension},
    oid_registry::{
        OID_X509_EXT_AUTHORITY_KEY_IDENTIFIER, OID_X509_EXT_BASIC_CONSTRAINTS,
        OID_X509_EXT_EXTENDED_KEY_USAGE, OID_X509_EXT_KEY_USAGE, OID_X509_EXT_SUBJECT_ALT_NAME,
        OID_X509_EXT_SUBJECT_KEY_IDENTIFIER, Oid,
    },
};

use crate::der;

/// Whether it is DER throughout, has no extension twice (RFC 5280 §4.2), and each extension that
/// counts is one whole value. Of other extensions nothing is asked: whoever does not know them
/// passes over them.
pub(super) fn is_clear(der: &[u8], certificate: &X509Certificate<'_>) -> bool {
    der::is_canonical(der)
        && certificate.extensions_map().is_ok()
        && certificate
            .iter_extensions()
            .filter(|extension| COUNTING.contains(&extension.oid))
            .all(is_whole)
}

fn is_whole(extension: &X509Extension<'_>) -> bool {
    let broken = matches!(
        extension.parsed_extension(),
        ParsedExtension::ParseError { .. }
    );
    !broken && der::is_canonical(extension.value)
}

const COUNTING: &[Oid<'static>] = &[
    OID_X509_EXT_AUTHORITY_KEY_IDENTIFIER,
    OID_X509_EXT_BASIC_CONSTRAINTS,
    OID_X509_EXT_EXTENDED_KEY_USAGE,
    OID_X509_EXT_KEY_USAGE,
    OID_X509_EXT_SUBJECT_ALT_NAME,
    OID_X509_EXT_SUBJECT_KEY_IDENTIFIER,
];
