//! Certificates in a few words, for people who look for what is wrong.

use rustls_pki_types::CertificateDer;
use spiffe::SpiffeId;
use x509_parser::{
    certificate::X509Certificate,
    extensions::GeneralName,
    objects::{oid_registry, oid2abbrev},
    prelude::FromDer as _,
    x509::{AttributeTypeAndValue, X509Name},
};

use crate::{bundle::X509Authority, id, x509::ProfileError};

/// What is told of a certificate.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct Summary {
    /// Its SPIFFE ID; an authority need not have one.
    pub id: Option<SpiffeId>,
    /// When it ends, in seconds since 1970.
    pub expires_at: i64,
    /// Its name.
    pub subject: String,
}

impl Summary {
    /// That of any certificate.
    ///
    /// # Errors
    /// It is none.
    pub fn of(der: &[u8]) -> Result<Self, ProfileError> {
        let certificate = parse(der)?;
        Ok(Self {
            id: spiffe_id(&certificate),
            expires_at: certificate.validity().not_after.timestamp(),
            subject: rfc2253(certificate.subject()),
        })
    }

    /// Those of an SVID's chain, and of who signed the last of it, which is never sent with it.
    ///
    /// # Errors
    /// What is in the chain is no certificate.
    pub fn of_chain(
        chain: &[CertificateDer<'_>],
        authorities: &[X509Authority],
    ) -> Result<Vec<Self>, ProfileError> {
        let root = match chain.last() {
            Some(last) => issuer(last, authorities)?,
            None => None,
        };
        let root = root.map(|authority| &authority.der);
        let all = chain.iter().chain(root);
        all.map(|der| Self::of(der)).collect()
    }
}

/// A distinguished name in DER, as RFC 2253 writes it; nothing where it cannot be read.
pub fn name(der: &[u8]) -> String {
    let name = X509Name::from_der(der);
    name.map(|(_, name)| rfc2253(&name)).unwrap_or_default()
}

fn issuer<'a>(
    der: &[u8],
    authorities: &'a [X509Authority],
) -> Result<Option<&'a X509Authority>, ProfileError> {
    let certificate = parse(der)?;
    let issuer = certificate.issuer().as_raw();
    let signed = |authority: &&X509Authority| {
        let details = authority.details();
        details.is_ok_and(|details| details.subject_der == issuer)
    };
    Ok(authorities.iter().find(signed))
}

fn parse(der: &[u8]) -> Result<X509Certificate<'_>, ProfileError> {
    let read = X509Certificate::from_der(der).map(|(_, certificate)| certificate);
    read.map_err(|_malformed| ProfileError::Malformed)
}

/// The last part first.
fn rfc2253(name: &X509Name<'_>) -> String {
    let part = |attribute: &AttributeTypeAndValue<'_>| {
        let kind = oid2abbrev(attribute.attr_type(), oid_registry());
        let kind = kind.map_or_else(|_| attribute.attr_type().to_id_string(), str::to_uppercase);
        let value = attribute.as_str().unwrap_or_default();
        let value = value.replace('\\', "\\\\").replace(',', "\\,");
        format!("{kind}={value}")
    };
    let parts: Vec<String> = name
        .iter_rdn()
        .map(|rdn| {
            let values: Vec<String> = rdn.iter().map(part).collect();
            values.join("+")
        })
        .collect();
    parts.into_iter().rev().collect::<Vec<_>>().join(",")
}

fn spiffe_id(certificate: &X509Certificate<'_>) -> Option<SpiffeId> {
    let names = certificate.subject_alternative_name().ok()??;
    names.value.general_names.iter().find_map(|name| {
        let GeneralName::URI(uri) = name else {
            return None;
        };
        id::parse(uri).ok()
    })
}

#[cfg(test)]
mod tests {
    use rcgen::{CertificateParams, DistinguishedName, DnType, KeyPair};

    use super::*;

    #[test]
    fn a_name_begins_with_its_last_part() {
        let mut params = CertificateParams::default();
        let name_of = &mut params.distinguished_name;
        *name_of = DistinguishedName::new();
        name_of.push(DnType::CountryName, "US");
        name_of.push(DnType::OrganizationName, "Works, Plant 2");
        name_of.push(DnType::CustomDnType(vec![2, 5, 4, 5]), "12");
        let key = KeyPair::generate().unwrap();
        let signed = params.self_signed(&key).unwrap();
        let told = Summary::of(signed.der()).unwrap();
        assert_eq!(told.subject, "SERIALNUMBER=12,O=Works\\, Plant 2,C=US");
        assert_eq!(told.id, None);
        let certificate = parse(signed.der()).unwrap();
        assert_eq!(name(certificate.subject().as_raw()), told.subject);
    }

    #[test]
    fn a_name_without_parts_and_what_is_none_are_nothing() {
        assert_eq!(name(&[0x30, 0]), "");
        assert_eq!(name(b"no name"), "");
        assert_eq!(Summary::of(b"no certificate"), Err(ProfileError::Malformed));
        assert_eq!(Summary::of_chain(&[], &[]), Ok(Vec::new()));
    }
}
