//! Distinguished names (RFC 5280 §4.1.2.4), one attribute to each part.

use signet_identity::x509::Serial;
use x509_parser::{prelude::FromDer as _, x509::X509Name};

use super::der::{self, tag};

/// What was given is not a distinguished name, or an empty one.
#[derive(Clone, Copy, Debug, PartialEq, Eq, thiserror::Error)]
#[error("the subject is not a valid distinguished name")]
pub(crate) struct BadName;

/// The name that the server's own authorities carry, `ca_subject` in the configuration.
#[derive(Clone, Debug, PartialEq, Eq)]
pub(crate) struct CaSubject {
    /// Countries, two letters each.
    pub(crate) country: Vec<String>,
    /// Organizations.
    pub(crate) organization: Vec<String>,
    /// Common name, or empty for none.
    pub(crate) common_name: String,
}

impl Default for CaSubject {
    fn default() -> Self {
        Self {
            country: vec!["US".to_owned()],
            organization: vec!["SPIFFE".to_owned()],
            common_name: String::new(),
        }
    }
}

/// The name of a self-signed authority.
pub(super) fn authority(subject: &CaSubject, serial: &[u8]) -> Vec<u8> {
    let mut rdns = Vec::new();
    for country in &subject.country {
        rdns.push(attribute(COUNTRY, &der::text(country)));
    }
    for organization in &subject.organization {
        rdns.push(attribute(ORGANIZATION, &der::text(organization)));
    }
    if !subject.common_name.is_empty() {
        rdns.push(attribute(COMMON_NAME, &der::text(&subject.common_name)));
    }
    // The serial makes the name unique, so that a verifier finds the right one of several.
    rdns.push(attribute(
        SERIAL_NUMBER,
        &der::text(&Serial::from_bytes(serial).to_string()),
    ));
    der::sequence(&[&rdns.concat()])
}

/// The name of an SVID's subject.
pub(super) fn leaf(common_name: Option<&String>) -> Vec<u8> {
    let country = attribute(COUNTRY, &der::text("US"));
    let organization = attribute(ORGANIZATION, &der::text("SPIRE"));
    // X.520: a common name has at most 64 letters; a longer DNS name stands in the SAN only.
    let common_name = common_name
        .filter(|name| name.len() <= 64)
        .map(|name| attribute(COMMON_NAME, &der::text(name)))
        .unwrap_or_default();
    der::sequence(&[&country, &organization, &common_name])
}

/// A name from somebody else, if it is one and says something.
pub(super) fn checked(name: &[u8]) -> Result<&[u8], BadName> {
    match X509Name::from_der(name) {
        Ok((rest, parsed)) if rest.is_empty() && parsed.iter_rdn().next().is_some() => Ok(name),
        Ok(_) | Err(_) => Err(BadName),
    }
}

/// The name of a downstream authority: its issuer's, and one part more.
pub(super) fn below(issuer: &[u8]) -> Result<Vec<u8>, BadName> {
    let (_, parts) = der::contents(issuer).ok_or(BadName)?;
    let unit = attribute(ORGANIZATIONAL_UNIT, &der::text("DOWNSTREAM-1"));
    Ok(der::sequence(&[parts, &unit]))
}

fn attribute(oid: &[u8], text: &[u8]) -> Vec<u8> {
    let pair = der::sequence(&[&der::value(tag::OID, &[oid]), text]);
    der::value(tag::SET, &[&pair])
}

const COMMON_NAME: &[u8] = &[0x55, 4, 3];
const SERIAL_NUMBER: &[u8] = &[0x55, 4, 5];
const COUNTRY: &[u8] = &[0x55, 4, 6];
const ORGANIZATION: &[u8] = &[0x55, 4, 10];
const ORGANIZATIONAL_UNIT: &[u8] = &[0x55, 4, 11];
