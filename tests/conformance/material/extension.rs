//! X.509 extensions (RFC 5280 §4.2), right or wrong as the test wants them.

use super::der;

pub(crate) const BASIC_CONSTRAINTS: &str = "2.5.29.19";
pub(crate) const KEY_USAGE: &str = "2.5.29.15";
pub(crate) const EXTENDED_KEY_USAGE: &str = "2.5.29.37";
pub(crate) const SUBJECT_ALTERNATIVE_NAME: &str = "2.5.29.17";
pub(crate) const NAME_CONSTRAINTS: &str = "2.5.29.30";
pub(crate) const SUBJECT_KEY_ID: &str = "2.5.29.14";
pub(crate) const AUTHORITY_KEY_ID: &str = "2.5.29.35";

// Bits of KeyUsage.
pub(crate) const DIGITAL_SIGNATURE: u8 = 0x80;
pub(crate) const KEY_ENCIPHERMENT: u8 = 0x20;
pub(crate) const KEY_AGREEMENT: u8 = 0x08;
pub(crate) const KEY_CERT_SIGN: u8 = 0x04;
pub(crate) const CRL_SIGN: u8 = 0x02;

// Purposes of ExtendedKeyUsage.
pub(crate) const SERVER_AUTH: &str = "1.3.6.1.5.5.7.3.1";
pub(crate) const CLIENT_AUTH: &str = "1.3.6.1.5.5.7.3.2";
pub(crate) const TIME_STAMPING: &str = "1.3.6.1.5.5.7.3.8";

/// One extension: its name, and all of it in DER.
#[derive(Clone, Debug)]
pub(crate) struct Extension {
    pub(crate) oid: &'static str,
    pub(crate) der: Vec<u8>,
}

impl Extension {
    pub(crate) fn critical(oid: &'static str, contents: &[u8]) -> Self {
        Self::marked(oid, &der::boolean(true), contents)
    }

    pub(crate) fn plain(oid: &'static str, contents: &[u8]) -> Self {
        Self::marked(oid, &[], contents)
    }

    /// With any bytes where `critical` stands.
    pub(crate) fn marked(oid: &'static str, critical: &[u8], contents: &[u8]) -> Self {
        let contents = der::value(der::OCTET_STRING, contents);
        Self {
            oid,
            der: der::sequence(&[&der::oid(oid), critical, &contents]),
        }
    }

    pub(crate) fn key_usage(bits: u8) -> Self {
        Self::critical(KEY_USAGE, &der::named_bits(bits))
    }

    pub(crate) fn purposes(oids: &[&str]) -> Self {
        Self::plain(EXTENDED_KEY_USAGE, &purposes(oids))
    }

    /// `CA:FALSE`, which is an empty sequence.
    pub(crate) fn no_authority() -> Self {
        Self::critical(BASIC_CONSTRAINTS, &der::sequence(&[]))
    }

    pub(crate) fn authority(path_length: Option<u8>) -> Self {
        let length = path_length.map_or_else(Vec::new, |length| der::integer(&[length]));
        let contents = der::sequence(&[&der::boolean(true), &length]);
        Self::critical(BASIC_CONSTRAINTS, &contents)
    }

    /// The one URI of an SVID.
    pub(crate) fn uri(uri: &str) -> Self {
        Self::names(&[Name::Uri(uri)])
    }

    pub(crate) fn names(names: &[Name<'_>]) -> Self {
        Self::plain(SUBJECT_ALTERNATIVE_NAME, &general_names(names))
    }

    pub(crate) fn subject_key_id(id: &[u8]) -> Self {
        Self::plain(SUBJECT_KEY_ID, &der::value(der::OCTET_STRING, id))
    }

    pub(crate) fn authority_key_id(id: &[u8]) -> Self {
        Self::plain(AUTHORITY_KEY_ID, &der::sequence(&[&der::value(0x80, id)]))
    }

    /// Only URIs of this host.
    pub(crate) fn permitted_uris(host: &str) -> Self {
        let subtree = der::sequence(&[&der::value(0x86, host.as_bytes())]);
        let permitted = der::value(0xa0, &subtree);
        Self::critical(NAME_CONSTRAINTS, &der::sequence(&[&permitted]))
    }
}

/// An alternative name.
#[derive(Clone, Copy, Debug)]
pub(crate) enum Name<'a> {
    Uri(&'a str),
    UriBytes(&'a [u8]),
    Dns(&'a str),
    Email(&'a str),
    Ip([u8; 4]),
}

impl Name<'_> {
    fn der(&self) -> Vec<u8> {
        match self {
            Self::Uri(text) => der::value(0x86, text.as_bytes()),
            Self::UriBytes(bytes) => der::value(0x86, bytes),
            Self::Dns(text) => der::value(0x82, text.as_bytes()),
            Self::Email(text) => der::value(0x81, text.as_bytes()),
            Self::Ip(address) => der::value(0x87, address),
        }
    }
}

pub(crate) fn general_names(names: &[Name<'_>]) -> Vec<u8> {
    let names: Vec<u8> = names.iter().flat_map(Name::der).collect();
    der::value(der::SEQUENCE, &names)
}

pub(crate) fn purposes(oids: &[&str]) -> Vec<u8> {
    let oids: Vec<u8> = oids.iter().flat_map(|oid| der::oid(oid)).collect();
    der::value(der::SEQUENCE, &oids)
}
