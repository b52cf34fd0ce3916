//! Distinguished names as text.

use x509_parser::{
    objects::{oid_registry, oid2abbrev},
    prelude::FromDer as _,
    x509::{AttributeTypeAndValue, X509Name},
};

/// A name in DER, as RFC 2253 writes it; nothing where it cannot be read.
pub(super) fn of_der(der: &[u8]) -> String {
    let name = X509Name::from_der(der);
    name.map(|(_, name)| rfc2253(&name)).unwrap_or_default()
}

/// A name as RFC 2253 writes it: the last part first.
pub(super) fn rfc2253(name: &X509Name<'_>) -> String {
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

#[cfg(test)]
mod tests {
    use rcgen::{CertificateParams, DnType, KeyPair};
    use x509_parser::certificate::X509Certificate;

    use super::*;

    #[test]
    fn a_name_begins_with_its_last_part() {
        let mut params = CertificateParams::default();
        let name = &mut params.distinguished_name;
        *name = rcgen::DistinguishedName::new();
        name.push(DnType::CountryName, "US");
        name.push(DnType::OrganizationName, "Works, Plant 2");
        name.push(DnType::CustomDnType(vec![2, 5, 4, 5]), "12");
        let key = KeyPair::generate().expect("a key");
        let signed = params.self_signed(&key).expect("a certificate");
        let (_, certificate) = X509Certificate::from_der(signed.der()).expect("readable");
        let subject = of_der(certificate.subject().as_raw());
        assert_eq!(subject, "SERIALNUMBER=12,O=Works\\, Plant 2,C=US");
    }

    #[test]
    fn a_name_without_parts_and_what_is_none_are_nothing() {
        assert_eq!(of_der(&[0x30, 0]), "");
        assert_eq!(of_der(b"no name"), "");
    }
}
