//! Every X.509 certificate that the server signs, written out in full.
//!
//! This is the only file that names an X.509 extension; `tbs` puts the certificates together.
//! Profiles: X509-SVID §3–4 and RFC 5280 §4.

mod tbs;

use std::time::{Duration, SystemTime};

use signet_identity::{SpiffeId, TrustDomain, crypto, key::KeyError};
use x509_parser::prelude::{FromDer as _, ParsedExtension, SubjectPublicKeyInfo, X509Certificate};

use super::{
    der::{self, tag},
    name::{self, BadName, CaSubject},
    signer::{Signer, SignerError},
    whole_seconds,
};
pub(crate) use tbs::Signed;
use tbs::{Subject, TbsCertificate};

/// Why a certificate could not be made.
#[derive(Debug, thiserror::Error)]
pub(crate) enum X509Error {
    /// The subject's public key cannot be read.
    #[error("the public key is not a valid SubjectPublicKeyInfo")]
    PublicKey,
    /// A DNS name cannot be written into a certificate.
    #[error("DNS name {0:?} is empty or has characters other than printable ASCII")]
    DnsName(String),
    /// The requested subject is not a distinguished name.
    #[error(transparent)]
    Subject(#[from] BadName),
    /// The certificate of an authority lacks what an issuer needs.
    #[error("the authority's certificate is unusable: {0}")]
    Authority(&'static str),
    /// The authority has expired, or the lifetime asked for is empty.
    #[error("nothing can be signed: the authority or the requested lifetime has ended")]
    NoLifetime,
    /// The authority's key did not sign.
    #[error("signing failed")]
    Signer(#[from] SignerError),
    /// There is no randomness for a serial number.
    #[error("signing failed")]
    Random(#[from] KeyError),
}

/// What is asked of a leaf SVID.
#[derive(Clone, Copy, Debug)]
pub(crate) struct LeafRequest<'a> {
    /// The one URI name.
    pub(crate) id: &'a SpiffeId,
    /// The subject's public key, copied as it is.
    pub(crate) spki_der: &'a [u8],
    /// Wanted lifetime; the authority's own end caps it.
    pub(crate) ttl: Duration,
    /// DNS names, in order; the first one becomes the common name.
    pub(crate) dns_names: &'a [String],
    /// A name in DER instead of the usual subject.
    pub(crate) subject: Option<&'a [u8]>,
}

/// An authority that signs: its key and what its certificates have in common.
#[derive(Debug)]
pub(crate) struct Issuer {
    signer: Signer,
    subject: Vec<u8>,
    not_after: SystemTime,
    upstream_key_id: Vec<u8>,
    authority_key_id: Vec<u8>,
    leaf_usage: Vec<u8>,
}

impl Issuer {
    /// What it signs with.
    pub(crate) fn signer(&self) -> &Signer {
        &self.signer
    }

    /// The key id of who signed its certificate, if that one says so; a root of ours does not.
    pub(crate) fn upstream_key_id(&self) -> &[u8] {
        &self.upstream_key_id
    }

    /// Takes name, key id and end from the authority's own certificate.
    pub(crate) fn new(certificate: &[u8], signer: Signer) -> Result<Self, X509Error> {
        let Ok((_, parsed)) = X509Certificate::from_der(certificate) else {
            return Err(X509Error::Authority("it is not a certificate"));
        };
        if parsed.public_key().raw != signer.spki_der() {
            return Err(X509Error::Authority("it is for another key"));
        }
        let not_after = u64::try_from(parsed.validity().not_after.timestamp())
            .ok()
            .and_then(|seconds| SystemTime::UNIX_EPOCH.checked_add(Duration::from_secs(seconds)))
            .ok_or(X509Error::Authority("its end is out of range"))?;
        let key_id = stated_key_id(&parsed).ok_or(X509Error::Authority("it has no key id"))?;
        Ok(Self {
            subject: parsed.subject().as_raw().to_vec(),
            not_after,
            upstream_key_id: stated_authority_key_id(&parsed).to_vec(),
            authority_key_id: authority_key_id(key_id),
            leaf_usage: leaf_usage(),
            signer,
        })
    }

    /// Signs a leaf SVID (X509-SVID §4).
    pub(crate) fn leaf(
        &self,
        request: &LeafRequest<'_>,
        now: SystemTime,
    ) -> Result<Signed, X509Error> {
        let subject = match request.subject {
            Some(subject) => name::checked(subject)?.to_vec(),
            None => name::leaf(request.dns_names.first()),
        };
        let extensions = [
            &self.leaf_usage[..],
            &subject_key_id(request.spki_der)?,
            &self.authority_key_id,
            &alternative_names(request.dns_names, &request.id.to_string())?,
        ]
        .concat();
        let subject = Subject {
            name: &subject,
            spki_der: request.spki_der,
            extensions: &extensions,
        };
        self.sign(subject, request.ttl, now)
    }

    /// Signs the CA certificate of a downstream server, which is in the same trust domain.
    pub(crate) fn downstream_ca(
        &self,
        trust_domain: &TrustDomain,
        spki_der: &[u8],
        ttl: Duration,
        now: SystemTime,
    ) -> Result<Signed, X509Error> {
        let extensions = [
            &authority_usage()[..],
            &subject_key_id(spki_der)?,
            &self.authority_key_id,
            &alternative_names(&[], &trust_domain.id_string())?,
        ]
        .concat();
        let subject = Subject {
            name: &name::below(&self.subject)?,
            spki_der,
            extensions: &extensions,
        };
        self.sign(subject, ttl, now)
    }

    fn sign(
        &self,
        subject: Subject<'_>,
        ttl: Duration,
        now: SystemTime,
    ) -> Result<Signed, X509Error> {
        let not_after = now.checked_add(ttl).map(whole_seconds);
        let not_after = not_after.map_or(self.not_after, |end| end.min(self.not_after));
        if not_after <= now {
            return Err(X509Error::NoLifetime);
        }
        let certificate = TbsCertificate {
            serial: random_serial()?,
            issuer: &self.subject,
            not_before: backdated(now),
            not_after,
            subject,
        };
        certificate.signed_by(&self.signer)
    }
}

/// Makes a self-signed authority for the trust domain (X509-SVID §3).
pub(crate) fn self_signed(
    signer: &Signer,
    trust_domain: &TrustDomain,
    subject: &CaSubject,
    ttl: Duration,
    now: SystemTime,
) -> Result<Signed, X509Error> {
    let serial = random_serial()?;
    let name = name::authority(subject, &serial);
    let not_after = now.checked_add(ttl).map(whole_seconds);
    let extensions = [
        authority_usage(),
        subject_key_id(signer.spki_der())?,
        alternative_names(&[], &trust_domain.id_string())?,
    ]
    .concat();
    let certificate = TbsCertificate {
        serial,
        issuer: &name,
        not_before: backdated(now),
        not_after: not_after.ok_or(X509Error::NoLifetime)?,
        subject: Subject {
            name: &name,
            spki_der: signer.spki_der(),
            extensions: &extensions,
        },
    };
    certificate.signed_by(signer)
}

fn stated_key_id<'a>(certificate: &X509Certificate<'a>) -> Option<&'a [u8]> {
    certificate
        .iter_extensions()
        .find(|extension| extension.oid.as_bytes() == oid::SUBJECT_KEY_ID)
        .and_then(|extension| der::contents(extension.value))
        .map(|(_, key_id)| key_id)
}

fn stated_authority_key_id<'a>(certificate: &X509Certificate<'a>) -> &'a [u8] {
    let mut extensions = certificate.iter_extensions();
    let key_id = extensions.find_map(|extension| {
        let ParsedExtension::AuthorityKeyIdentifier(stated) = extension.parsed_extension() else {
            return None;
        };
        stated.key_identifier.as_ref().map(|key_id| key_id.0)
    });
    key_id.unwrap_or_default()
}

/// Clocks differ a little between machines: a new certificate is valid at once everywhere.
fn backdated(now: SystemTime) -> SystemTime {
    now.checked_sub(BACKDATE).unwrap_or(SystemTime::UNIX_EPOCH)
}

/// 127 random bits, never zero: a positive number of at most 16 bytes.
fn random_serial() -> Result<[u8; 16], KeyError> {
    let mut serial = crypto::random::<16>()?;
    serial[0] &= 0x7f;
    if serial == [0; 16] {
        serial[15] = 1;
    }
    Ok(serial)
}

/// Key usage, extended key usage and basic constraints of a leaf SVID (X509-SVID §4.1–4.4).
fn leaf_usage() -> Vec<u8> {
    let purposes = der::sequence(&[&object(oid::SERVER_AUTH), &object(oid::CLIENT_AUTH)]);
    [
        critical(
            oid::KEY_USAGE,
            &der::named_bits(DIGITAL_SIGNATURE | KEY_ENCIPHERMENT | KEY_AGREEMENT),
        ),
        plain(oid::EXTENDED_KEY_USAGE, &purposes),
        critical(oid::BASIC_CONSTRAINTS, &der::sequence(&[])),
    ]
    .concat()
}

/// Key usage and basic constraints of an authority; no path length (X509-SVID §4.1).
fn authority_usage() -> Vec<u8> {
    let is_ca = der::value(tag::BOOLEAN, &[&[0xff]]);
    [
        critical(oid::KEY_USAGE, &der::named_bits(KEY_CERT_SIGN | CRL_SIGN)),
        critical(oid::BASIC_CONSTRAINTS, &der::sequence(&[&is_ca])),
    ]
    .concat()
}

/// RFC 5280 §4.2.1.2 method 1: SHA-1 over the bits of the public key.
fn subject_key_id(spki_der: &[u8]) -> Result<Vec<u8>, X509Error> {
    let bits = match SubjectPublicKeyInfo::from_der(spki_der) {
        Ok(([], spki)) => crypto::sha1(&spki.subject_public_key.data),
        Ok(_) | Err(_) => return Err(X509Error::PublicKey),
    };
    Ok(plain(
        oid::SUBJECT_KEY_ID,
        &der::value(tag::OCTET_STRING, &[&bits]),
    ))
}

fn authority_key_id(key_id: &[u8]) -> Vec<u8> {
    let key_id = der::value(CONTEXT_0_PRIMITIVE, &[key_id]);
    plain(oid::AUTHORITY_KEY_ID, &der::sequence(&[&key_id]))
}

fn alternative_names(dns_names: &[String], uri: &str) -> Result<Vec<u8>, X509Error> {
    let mut names = Vec::new();
    for name in dns_names {
        if name.is_empty() || !name.bytes().all(|byte| byte.is_ascii_graphic()) {
            return Err(X509Error::DnsName(name.clone()));
        }
        names.push(der::value(SAN_DNS, &[name.as_bytes()]));
    }
    names.push(der::value(SAN_URI, &[uri.as_bytes()]));
    let names = der::sequence(&[&names.concat()]);
    Ok(plain(oid::SUBJECT_ALTERNATIVE_NAME, &names))
}

fn critical(oid: &[u8], contents: &[u8]) -> Vec<u8> {
    let yes = der::value(tag::BOOLEAN, &[&[0xff]]);
    let contents = der::value(tag::OCTET_STRING, &[contents]);
    der::sequence(&[&object(oid), &yes, &contents])
}

fn plain(oid: &[u8], contents: &[u8]) -> Vec<u8> {
    let contents = der::value(tag::OCTET_STRING, &[contents]);
    der::sequence(&[&object(oid), &contents])
}

fn object(oid: &[u8]) -> Vec<u8> {
    der::value(tag::OID, &[oid])
}

/// How long before the moment of signing a certificate becomes valid.
pub(super) const BACKDATE: Duration = Duration::from_secs(10);

const CONTEXT_0_PRIMITIVE: u8 = 0x80;
const SAN_DNS: u8 = 0x82;
const SAN_URI: u8 = 0x86;

// Named bits of KeyUsage (RFC 5280 §4.2.1.3): bit 0 is the highest.
const DIGITAL_SIGNATURE: u8 = 0x80;
const KEY_ENCIPHERMENT: u8 = 0x20;
const KEY_AGREEMENT: u8 = 0x08;
const KEY_CERT_SIGN: u8 = 0x04;
const CRL_SIGN: u8 = 0x02;

mod oid {
    pub(super) const KEY_USAGE: &[u8] = &[0x55, 0x1d, 0x0f];
    pub(super) const EXTENDED_KEY_USAGE: &[u8] = &[0x55, 0x1d, 0x25];
    pub(super) const BASIC_CONSTRAINTS: &[u8] = &[0x55, 0x1d, 0x13];
    pub(super) const SUBJECT_KEY_ID: &[u8] = &[0x55, 0x1d, 0x0e];
    pub(super) const AUTHORITY_KEY_ID: &[u8] = &[0x55, 0x1d, 0x23];
    pub(super) const SUBJECT_ALTERNATIVE_NAME: &[u8] = &[0x55, 0x1d, 0x11];

    pub(super) const SERVER_AUTH: &[u8] = &[0x2b, 6, 1, 5, 5, 7, 3, 1];
    pub(super) const CLIENT_AUTH: &[u8] = &[0x2b, 6, 1, 5, 5, 7, 3, 2];
}

#[cfg(test)]
mod tests;
