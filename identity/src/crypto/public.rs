//! What kind of public key a `SubjectPublicKeyInfo` holds.

use x509_parser::{
    oid_registry::{
        OID_EC_P256, OID_KEY_TYPE_EC_PUBLIC_KEY, OID_NIST_EC_P384, OID_NIST_EC_P521,
        OID_PKCS1_RSAENCRYPTION, OID_SIG_ED25519,
    },
    prelude::FromDer,
    public_key::PublicKey,
    x509::SubjectPublicKeyInfo,
};

/// The key kinds whose signatures can be verified.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum PublicKeyKind {
    /// RSA, with the size of its modulus.
    Rsa {
        /// Bits of the modulus.
        bits: usize,
    },
    /// ECDSA on P-256.
    EcP256,
    /// ECDSA on P-384.
    EcP384,
    /// ECDSA on P-521.
    EcP521,
    /// Ed25519.
    Ed25519,
}

/// The kind of the key in `spki_der`, or `None` when it is malformed or of a kind that nothing here
/// verifies.
pub fn public_key_kind(spki_der: &[u8]) -> Option<PublicKeyKind> {
    let (rest, spki) = SubjectPublicKeyInfo::from_der(spki_der).ok()?;
    if !rest.is_empty() {
        return None;
    }
    let algorithm = &spki.algorithm.algorithm;
    if *algorithm == OID_PKCS1_RSAENCRYPTION {
        return rsa_kind(&spki);
    }
    if *algorithm == OID_SIG_ED25519 {
        return Some(PublicKeyKind::Ed25519);
    }
    if *algorithm != OID_KEY_TYPE_EC_PUBLIC_KEY {
        return None;
    }
    let curve = spki.algorithm.parameters.as_ref()?.as_oid().ok()?;
    match curve {
        curve if curve == OID_EC_P256 => Some(PublicKeyKind::EcP256),
        curve if curve == OID_NIST_EC_P384 => Some(PublicKeyKind::EcP384),
        curve if curve == OID_NIST_EC_P521 => Some(PublicKeyKind::EcP521),
        _ => None,
    }
}

fn rsa_kind(spki: &SubjectPublicKeyInfo<'_>) -> Option<PublicKeyKind> {
    match spki.parsed().ok()? {
        PublicKey::RSA(key) => {
            let modulus: &[u8] = key.modulus;
            let significant = modulus.iter().skip_while(|byte| **byte == 0);
            let leading = significant.clone().next()?.leading_zeros();
            let bits = significant.count() * 8;
            Some(PublicKeyKind::Rsa {
                bits: bits.saturating_sub(usize::try_from(leading).ok()?),
            })
        }
        PublicKey::EC(_)
        | PublicKey::DSA(_)
        | PublicKey::GostR3410(_)
        | PublicKey::GostR3410_2012(_)
        | PublicKey::Unknown(_) => None,
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::key::{KeyType, PrivateKey};

    #[test]
    fn each_generated_key_is_recognised() {
        let cases = [
            (KeyType::EcP256, PublicKeyKind::EcP256),
            (KeyType::EcP384, PublicKeyKind::EcP384),
            (KeyType::Rsa2048, PublicKeyKind::Rsa { bits: 2048 }),
        ];
        for (key_type, kind) in cases {
            let key = PrivateKey::generate(key_type).expect("key");
            assert_eq!(public_key_kind(key.spki_der()), Some(kind));
        }
    }

    #[test]
    fn garbage_and_trailing_bytes_are_no_key() {
        assert_eq!(public_key_kind(b"garbage"), None);
        let key = PrivateKey::generate(KeyType::EcP256).expect("key");
        let mut longer = key.spki_der().to_vec();
        longer.push(0);
        assert_eq!(public_key_kind(&longer), None);
    }
}
