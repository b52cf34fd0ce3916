//! The algorithms by which certificate requests and lists of what was revoked are signed.

use crate::crypto::{Hash, Scheme};

/// A signature algorithm: its identifier in dots and in DER (RFC 5758 §3, RFC 4055 §5, RFC 8410
/// §3).
#[derive(Debug)]
pub(crate) struct SignatureAlgorithm {
    name: &'static str,
    pub(crate) der: &'static [u8],
    pub(crate) scheme: Scheme,
}

impl SignatureAlgorithm {
    /// That of this identifier in dots; none if it is not supported.
    pub(crate) fn named(name: &str) -> Option<&'static Self> {
        ALGORITHMS.iter().find(|algorithm| algorithm.name == name)
    }
}

const ALGORITHMS: &[SignatureAlgorithm] = &[
    SignatureAlgorithm {
        name: "1.2.840.10045.4.3.2",
        der: b"\x30\x0a\x06\x08\x2a\x86\x48\xce\x3d\x04\x03\x02",
        scheme: Scheme::Ecdsa(Hash::Sha256),
    },
    SignatureAlgorithm {
        name: "1.2.840.10045.4.3.3",
        der: b"\x30\x0a\x06\x08\x2a\x86\x48\xce\x3d\x04\x03\x03",
        scheme: Scheme::Ecdsa(Hash::Sha384),
    },
    SignatureAlgorithm {
        name: "1.2.840.10045.4.3.4",
        der: b"\x30\x0a\x06\x08\x2a\x86\x48\xce\x3d\x04\x03\x04",
        scheme: Scheme::Ecdsa(Hash::Sha512),
    },
    SignatureAlgorithm {
        name: "1.2.840.113549.1.1.11",
        der: b"\x30\x0d\x06\x09\x2a\x86\x48\x86\xf7\x0d\x01\x01\x0b\x05\x00",
        scheme: Scheme::RsaPkcs1(Hash::Sha256),
    },
    SignatureAlgorithm {
        name: "1.2.840.113549.1.1.12",
        der: b"\x30\x0d\x06\x09\x2a\x86\x48\x86\xf7\x0d\x01\x01\x0c\x05\x00",
        scheme: Scheme::RsaPkcs1(Hash::Sha384),
    },
    SignatureAlgorithm {
        name: "1.2.840.113549.1.1.13",
        der: b"\x30\x0d\x06\x09\x2a\x86\x48\x86\xf7\x0d\x01\x01\x0d\x05\x00",
        scheme: Scheme::RsaPkcs1(Hash::Sha512),
    },
    SignatureAlgorithm {
        name: "1.3.101.112",
        der: b"\x30\x05\x06\x03\x2b\x65\x70",
        scheme: Scheme::Ed25519,
    },
];
