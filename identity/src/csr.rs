//! Certificate requests (PKCS #10): made by whoever holds the key, read by the authority.

use rcgen::{CertificateParams, DistinguishedName, DnType, SanType, string::Ia5String};
use spiffe::SpiffeId;
use x509_parser::{
    certification_request::X509CertificationRequest,
    extensions::{GeneralName, ParsedExtension},
    prelude::FromDer,
    x509::X509Version,
};

use crate::{crypto, der, key::PrivateKey, signature_algorithm::SignatureAlgorithm};

/// The subject of a request, one value per attribute.
#[derive(Debug, Clone, PartialEq, Eq, Default)]
pub struct Subject {
    /// `C`.
    pub country: Option<String>,
    /// `O`.
    pub organization: Option<String>,
    /// `CN`.
    pub common_name: Option<String>,
}

/// What an authority may read from a request whose signature is good.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct CertificateRequest {
    /// The public key as `SubjectPublicKeyInfo`.
    pub spki_der: Vec<u8>,
    /// URI names, in order.
    pub uris: Vec<String>,
    /// DNS names, in order.
    pub dns_names: Vec<String>,
    /// The subject as it stands.
    pub subject_der: Vec<u8>,
    /// The first common name of the subject.
    pub common_name: Option<String>,
}

/// Why a request could not be made or was refused.
#[derive(Debug, thiserror::Error)]
pub enum CsrError {
    /// Not a whole PKCS #10 request.
    #[error("the certificate request is malformed; PKCS #10 in DER is expected")]
    Malformed,
    /// Longer than any honest request.
    #[error("the certificate request is {0} bytes long; at most {MAX_LENGTH} are allowed")]
    TooLong(usize),
    /// The signature does not match, so the sender may not hold the key.
    #[error("the signature of the certificate request does not match its key")]
    BadSignature,
    /// A key or signature algorithm that is not supported.
    #[error(
        "the certificate request is signed with an unsupported algorithm ({0}); use ECDSA, RSA or Ed25519"
    )]
    Algorithm(String),
    /// A name that cannot stand in a certificate.
    #[error("{0:?} cannot stand in a certificate; only ASCII is allowed")]
    Name(String),
    /// The request could not be written or signed.
    #[error("the certificate request could not be made")]
    Build(#[source] rcgen::Error),
}

impl Subject {
    /// `C=US, O=SPIRE`, the subject of an agent's or a workload's request.
    pub fn spire() -> Self {
        Self {
            country: Some("US".to_owned()),
            organization: Some("SPIRE".to_owned()),
            common_name: None,
        }
    }
}

/// Makes a request for `key`, DER.
///
/// # Errors
/// A name is not ASCII, or the key could not sign.
pub fn build(
    key: &PrivateKey,
    subject: Subject,
    id: Option<&SpiffeId>,
    dns_names: &[String],
) -> Result<Vec<u8>, CsrError> {
    let uris = id.map(ToString::to_string).into_iter();
    let uris = uris.map(|uri| ia5(&uri).map(SanType::URI));
    let names = dns_names.iter().map(|name| ia5(name).map(SanType::DnsName));
    // Of the parameters a request has only these two; it carries no validity, serial or usage.
    let mut params = CertificateParams::default();
    params.subject_alt_names = uris.chain(names).collect::<Result<_, _>>()?;
    params.distinguished_name = distinguished_name(subject);
    let request = params.serialize_request(key).map_err(CsrError::Build)?;
    Ok(request.der().to_vec())
}

/// Reads a request and verifies that its sender holds the key.
///
/// # Errors
/// The request is too long, not canonical DER, signed with an algorithm that is not supported, or
/// not by the key that it asks a certificate for.
pub fn parse(der: &[u8]) -> Result<CertificateRequest, CsrError> {
    if der.len() > MAX_LENGTH {
        return Err(CsrError::TooLong(der.len()));
    }
    let (rest, request) =
        X509CertificationRequest::from_der(der).map_err(|_malformed| CsrError::Malformed)?;
    let info = &request.certification_request_info;
    if !rest.is_empty() || info.version != X509Version::V1 {
        return Err(CsrError::Malformed);
    }
    verify(der, &request)?;
    let names = Names::of(&request)?;
    let common_name = info.subject.iter_common_name().next();
    Ok(CertificateRequest {
        spki_der: info.subject_pki.raw.to_vec(),
        uris: names.uris,
        dns_names: names.dns_names,
        subject_der: info.subject.as_raw().to_vec(),
        common_name: common_name
            .and_then(|name| name.as_str().ok())
            .map(str::to_owned),
    })
}

fn verify(der: &[u8], request: &X509CertificationRequest<'_>) -> Result<(), CsrError> {
    let name = request.signature_algorithm.algorithm.to_id_string();
    let known = SignatureAlgorithm::named(&name);
    let algorithm = known.ok_or(CsrError::Algorithm(name))?;
    let info = &request.certification_request_info;
    let signature: &[u8] = &request.signature_value.data;
    // The parser takes more spellings than DER has, and not all of the request is signed.
    let parts = [
        info.raw.to_vec(),
        algorithm.der.to_vec(),
        der::bit_string(signature),
    ];
    if der::sequence(&parts) != der {
        return Err(CsrError::Malformed);
    }
    crypto::verify(info.subject_pki.raw, algorithm.scheme, info.raw, signature)
        .map_err(|_bad| CsrError::BadSignature)
}

#[derive(Default)]
struct Names {
    uris: Vec<String>,
    dns_names: Vec<String>,
}

impl Names {
    fn of(request: &X509CertificationRequest<'_>) -> Result<Self, CsrError> {
        let mut names = Self::default();
        for extension in request.requested_extensions().into_iter().flatten() {
            if matches!(extension, ParsedExtension::ParseError { .. }) {
                return Err(CsrError::Malformed);
            }
            if let ParsedExtension::SubjectAlternativeName(alternative) = extension {
                alternative
                    .general_names
                    .iter()
                    .for_each(|name| names.add(name));
            }
        }
        Ok(names)
    }

    fn add(&mut self, name: &GeneralName<'_>) {
        if let GeneralName::URI(uri) = name {
            self.uris.push((*uri).to_owned());
        } else if let GeneralName::DNSName(dns_name) = name {
            self.dns_names.push((*dns_name).to_owned());
        }
    }
}

fn distinguished_name(subject: Subject) -> DistinguishedName {
    let mut name = DistinguishedName::new();
    let attributes = [
        (DnType::CountryName, subject.country),
        (DnType::OrganizationName, subject.organization),
        (DnType::CommonName, subject.common_name),
    ];
    for (kind, value) in attributes {
        if let Some(value) = value {
            name.push(kind, value);
        }
    }
    name
}

fn ia5(text: &str) -> Result<Ia5String, CsrError> {
    Ia5String::try_from(text).map_err(|_not_ascii| CsrError::Name(text.to_owned()))
}

/// An RSA-8192 key, its signature and the longest SPIFFE ID fit with room for DNS names.
const MAX_LENGTH: usize = 64 * 1024;

#[cfg(test)]
mod tests {
    use super::*;
    use crate::key::KeyType;

    fn sample() -> (PrivateKey, Vec<u8>) {
        let key = PrivateKey::generate(KeyType::EcP256).expect("key");
        let id = crate::id::parse("spiffe://example.org/web").expect("id");
        let names = ["web.example.org".to_owned()];
        let der = build(&key, Subject::spire(), Some(&id), &names).expect("request");
        (key, der)
    }

    #[test]
    fn what_is_built_is_read_back_for_every_key_type() {
        for key_type in [KeyType::EcP256, KeyType::EcP384, KeyType::Rsa2048] {
            let key = PrivateKey::generate(key_type).expect("key");
            let subject = Subject {
                common_name: Some("web".to_owned()),
                ..Subject::spire()
            };
            let der = build(&key, subject, None, &[]).expect("request");
            let request = parse(&der).expect("parsed");
            assert_eq!(request.spki_der, key.spki_der());
            assert_eq!(request.common_name.as_deref(), Some("web"));
            assert!(request.uris.is_empty());
        }
    }

    #[test]
    fn names_are_read_in_order() {
        let (_, der) = sample();
        let request = parse(&der).expect("parsed");
        assert_eq!(request.uris, ["spiffe://example.org/web"]);
        assert_eq!(request.dns_names, ["web.example.org"]);
    }

    #[test]
    fn a_changed_name_breaks_the_signature() {
        let (_, mut der) = sample();
        let at = der
            .windows(4)
            .position(|window| window == b"/web")
            .expect("id");
        *der.get_mut(at + 1).expect("byte") = b'v';
        assert!(matches!(parse(&der), Err(CsrError::BadSignature)));
    }

    #[test]
    fn a_changed_bit_anywhere_is_refused() {
        let (_, der) = sample();
        for at in 0..der.len() {
            for bit in 0..8 {
                let mut changed = der.clone();
                *changed.get_mut(at).expect("byte") ^= 1 << bit;
                assert!(parse(&changed).is_err(), "bit {bit} of byte {at}");
            }
        }
    }

    #[test]
    fn trailing_bytes_truncation_and_garbage_are_malformed() {
        let (_, der) = sample();
        let longer = [der.as_slice(), b"x"].concat();
        assert!(matches!(parse(&longer), Err(CsrError::Malformed)));
        let shorter = der.get(..der.len() - 1).expect("prefix");
        assert!(matches!(parse(shorter), Err(CsrError::Malformed)));
        assert!(matches!(parse(b"-----BEGIN"), Err(CsrError::Malformed)));
        assert!(matches!(
            parse(&vec![0; 100_000]),
            Err(CsrError::TooLong(100_000))
        ));
    }

    #[test]
    fn a_dns_name_outside_ascii_is_refused() {
        let key = PrivateKey::generate(KeyType::EcP256).expect("key");
        let names = ["b\u{fc}cher.example".to_owned()];
        let result = build(&key, Subject::default(), None, &names);
        assert!(matches!(result, Err(CsrError::Name(_))));
    }
}
