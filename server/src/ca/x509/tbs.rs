//! A certificate as it is signed (RFC 5280 §4.1): written as DER around the raw bytes of its
//! issuer's name and of the subject's public key, so both come out exactly as they went in.

use std::time::SystemTime;

use rustls::pki_types::CertificateDer;
use signet_identity::{key::KeyType, x509::Serial};

use super::{
    super::{
        der::{self, tag},
        signer::Signer,
    },
    X509Error,
};

/// A signed certificate and its end.
#[derive(Clone, Debug)]
pub(crate) struct Signed {
    pub(crate) der: CertificateDer<'static>,
    pub(crate) serial: Serial,
    pub(crate) not_after: SystemTime,
}

/// Who is certified, in DER.
pub(super) struct Subject<'a> {
    pub(super) name: &'a [u8],
    pub(super) spki_der: &'a [u8],
    pub(super) extensions: &'a [u8],
}

/// All that is signed of a certificate (RFC 5280 §4.1).
pub(super) struct TbsCertificate<'a> {
    pub(super) serial: [u8; 16],
    pub(super) issuer: &'a [u8],
    pub(super) not_before: SystemTime,
    pub(super) not_after: SystemTime,
    pub(super) subject: Subject<'a>,
}

impl TbsCertificate<'_> {
    pub(super) fn signed_by(&self, signer: &Signer) -> Result<Signed, X509Error> {
        let algorithm = signature_algorithm(signer.key_type());
        let tbs = der::sequence(&[
            VERSION_3,
            &der::unsigned(&self.serial),
            &algorithm,
            self.issuer,
            &der::sequence(&[&der::time(self.not_before), &der::time(self.not_after)]),
            self.subject.name,
            self.subject.spki_der,
            &der::value(CONTEXT_3, &[&der::sequence(&[self.subject.extensions])]),
        ]);
        let signature = der::bit_string(&signer.sign(&tbs)?);
        Ok(Signed {
            der: CertificateDer::from(der::sequence(&[&tbs, &algorithm, &signature])),
            serial: Serial::from_bytes(&self.serial),
            not_after: self.not_after,
        })
    }
}

fn signature_algorithm(key_type: KeyType) -> Vec<u8> {
    match key_type {
        KeyType::EcP256 => der::sequence(&[&algorithm(ECDSA_WITH_SHA256)]),
        KeyType::EcP384 => der::sequence(&[&algorithm(ECDSA_WITH_SHA384)]),
        KeyType::Rsa2048 | KeyType::Rsa4096 => der::sequence(&[&algorithm(SHA256_WITH_RSA), NULL]),
    }
}

fn algorithm(oid: &[u8]) -> Vec<u8> {
    der::value(tag::OID, &[oid])
}

/// `[0] EXPLICIT INTEGER 2`.
const VERSION_3: &[u8] = &[0xa0, 0x03, 0x02, 0x01, 0x02];
const NULL: &[u8] = &[0x05, 0x00];
const CONTEXT_3: u8 = 0xa3;

// Signature algorithms (RFC 5758 §3.2, RFC 4055 §5).
const ECDSA_WITH_SHA256: &[u8] = &[0x2a, 0x86, 0x48, 0xce, 0x3d, 4, 3, 2];
const ECDSA_WITH_SHA384: &[u8] = &[0x2a, 0x86, 0x48, 0xce, 0x3d, 4, 3, 3];
const SHA256_WITH_RSA: &[u8] = &[0x2a, 0x86, 0x48, 0x86, 0xf7, 0x0d, 1, 1, 0x0b];
