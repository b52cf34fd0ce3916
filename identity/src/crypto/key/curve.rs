//! What the two curves differ in: the algorithms, and the fixed bytes around a key's numbers.

use aws_lc_rs::signature as aws;
use ring::signature::{
    ECDSA_P256_SHA256_FIXED_SIGNING, ECDSA_P384_SHA384_FIXED_SIGNING, EcdsaSigningAlgorithm,
};

use super::KeyType;

pub(super) struct Curve {
    pub(super) key_type: KeyType,
    pub(super) signing: &'static EcdsaSigningAlgorithm,
    pub(super) readable: &'static aws::EcdsaSigningAlgorithm,
    /// `SubjectPublicKeyInfo` up to the point: algorithm, curve and the header of the bit string.
    pub(super) spki_prefix: &'static [u8],
    /// PKCS #8 up to the private number, and from there to the point (RFC 5915).
    pub(super) pkcs8_prefix: &'static [u8],
    pub(super) pkcs8_middle: &'static [u8],
}

pub(super) static P256: Curve = Curve {
    key_type: KeyType::EcP256,
    signing: &ECDSA_P256_SHA256_FIXED_SIGNING,
    readable: &aws::ECDSA_P256_SHA256_FIXED_SIGNING,
    spki_prefix: b"\x30\x59\x30\x13\x06\x07\x2a\x86\x48\xce\x3d\x02\x01\x06\x08\x2a\x86\x48\xce\x3d\x03\x01\x07\x03\x42\x00",
    pkcs8_prefix: b"\x30\x81\x87\x02\x01\x00\x30\x13\x06\x07\x2a\x86\x48\xce\x3d\x02\x01\x06\x08\x2a\x86\x48\xce\x3d\x03\x01\x07\x04\x6d\x30\x6b\x02\x01\x01\x04\x20",
    pkcs8_middle: b"\xa1\x44\x03\x42\x00",
};

pub(super) static P384: Curve = Curve {
    key_type: KeyType::EcP384,
    signing: &ECDSA_P384_SHA384_FIXED_SIGNING,
    readable: &aws::ECDSA_P384_SHA384_FIXED_SIGNING,
    spki_prefix: b"\x30\x76\x30\x10\x06\x07\x2a\x86\x48\xce\x3d\x02\x01\x06\x05\x2b\x81\x04\x00\x22\x03\x62\x00",
    pkcs8_prefix: b"\x30\x81\xb6\x02\x01\x00\x30\x10\x06\x07\x2a\x86\x48\xce\x3d\x02\x01\x06\x05\x2b\x81\x04\x00\x22\x04\x81\x9e\x30\x81\x9b\x02\x01\x01\x04\x30",
    pkcs8_middle: b"\xa1\x64\x03\x62\x00",
};
