//! Verification of signatures by keys of others: certificate requests, JWT-SVIDs, and the x509pop
//! proof.

use aws_lc_rs::signature::{
    self as aws, RsaPssSaltLength, UnparsedPublicKey, VerificationAlgorithm,
};

use super::{
    key::NonceSignature,
    public::{PublicKeyKind, public_key_kind},
};
use crate::der;

/// The signature does not match the message and key, or the key cannot make such signatures.
#[derive(Debug, Clone, Copy, PartialEq, Eq, thiserror::Error)]
#[error("the signature does not match the message and the key")]
pub struct BadSignature;

/// The hash of a signature scheme.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum Hash {
    /// SHA-256.
    Sha256,
    /// SHA-384.
    Sha384,
    /// SHA-512.
    Sha512,
}

/// How a signature was made.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum Scheme {
    /// RSA PKCS #1 v1.5.
    RsaPkcs1(Hash),
    /// RSA-PSS with a salt as long as the hash.
    RsaPss(Hash),
    /// ECDSA in ASN.1 form, on the curve of the key.
    Ecdsa(Hash),
    /// ECDSA as `r || s` (JWS): the hash fixes the curve, RFC 7518 §3.4.
    EcdsaFixed(Hash),
    /// Ed25519.
    Ed25519,
}

/// Verifies `signature` over `message` by the key in `spki_der`. The scheme has to fit the key.
///
/// # Errors
/// The signature is of another message or key, or the scheme does not fit the key.
pub fn verify(
    spki_der: &[u8],
    scheme: Scheme,
    message: &[u8],
    signature: &[u8],
) -> Result<(), BadSignature> {
    let kind = public_key_kind(spki_der).ok_or(BadSignature)?;
    let algorithm = algorithm(kind, scheme).ok_or(BadSignature)?;
    check(algorithm, spki_der, message, signature)
}

/// Verifies the proof of possession of the `x509pop` attestor, a signature over `message` (the
/// server's nonce followed by the agent's) with SHA-256, whatever the key.
///
/// # Errors
/// The signature is of another message or key, or of another kind than the key.
pub fn verify_nonce(
    spki_der: &[u8],
    message: &[u8],
    signature: &NonceSignature,
) -> Result<(), BadSignature> {
    let kind = public_key_kind(spki_der).ok_or(BadSignature)?;
    match (kind, signature) {
        (PublicKeyKind::Rsa { .. }, NonceSignature::Rsa(signature)) => {
            // SPIRE's agent salts with as many bytes as fit, ours with as many as the hash has.
            check(&aws::RSA_PSS_2048_8192_SHA256, spki_der, message, signature)
                .or_else(|_| check(&PSS_SHA256_LONGEST_SALT, spki_der, message, signature))
        }
        (
            PublicKeyKind::EcP256 | PublicKeyKind::EcP384 | PublicKeyKind::EcP521,
            NonceSignature::Ecdsa { r, s },
        ) => {
            let signature = der::sequence(&[der::unsigned(r), der::unsigned(s)]);
            verify(spki_der, Scheme::Ecdsa(Hash::Sha256), message, &signature)
        }
        (_, NonceSignature::Rsa(_) | NonceSignature::Ecdsa { .. }) => Err(BadSignature),
    }
}

fn check(
    algorithm: &'static dyn VerificationAlgorithm,
    spki_der: &[u8],
    message: &[u8],
    signature: &[u8],
) -> Result<(), BadSignature> {
    UnparsedPublicKey::new(algorithm, spki_der)
        .verify(message, signature)
        .map_err(|_unspecified| BadSignature)
}

fn algorithm(kind: PublicKeyKind, scheme: Scheme) -> Option<&'static dyn VerificationAlgorithm> {
    match scheme {
        Scheme::RsaPkcs1(hash) if is_rsa(kind) => Some(match hash {
            Hash::Sha256 => &aws::RSA_PKCS1_2048_8192_SHA256,
            Hash::Sha384 => &aws::RSA_PKCS1_2048_8192_SHA384,
            Hash::Sha512 => &aws::RSA_PKCS1_2048_8192_SHA512,
        }),
        Scheme::RsaPss(hash) if is_rsa(kind) => Some(match hash {
            Hash::Sha256 => &aws::RSA_PSS_2048_8192_SHA256,
            Hash::Sha384 => &aws::RSA_PSS_2048_8192_SHA384,
            Hash::Sha512 => &aws::RSA_PSS_2048_8192_SHA512,
        }),
        Scheme::Ecdsa(hash) => ecdsa(kind, hash),
        Scheme::EcdsaFixed(hash) => match (kind, hash) {
            (PublicKeyKind::EcP256, Hash::Sha256) => Some(&aws::ECDSA_P256_SHA256_FIXED),
            (PublicKeyKind::EcP384, Hash::Sha384) => Some(&aws::ECDSA_P384_SHA384_FIXED),
            (PublicKeyKind::EcP521, Hash::Sha512) => Some(&aws::ECDSA_P521_SHA512_FIXED),
            (_, Hash::Sha256 | Hash::Sha384 | Hash::Sha512) => None,
        },
        Scheme::Ed25519 if kind == PublicKeyKind::Ed25519 => Some(&aws::ED25519),
        Scheme::RsaPkcs1(_) | Scheme::RsaPss(_) | Scheme::Ed25519 => None,
    }
}

fn ecdsa(kind: PublicKeyKind, hash: Hash) -> Option<&'static dyn VerificationAlgorithm> {
    match (kind, hash) {
        (PublicKeyKind::EcP256, Hash::Sha256) => Some(&aws::ECDSA_P256_SHA256_ASN1),
        (PublicKeyKind::EcP256, Hash::Sha384) => Some(&aws::ECDSA_P256_SHA384_ASN1),
        (PublicKeyKind::EcP256, Hash::Sha512) => Some(&aws::ECDSA_P256_SHA512_ASN1),
        (PublicKeyKind::EcP384, Hash::Sha256) => Some(&aws::ECDSA_P384_SHA256_ASN1),
        (PublicKeyKind::EcP384, Hash::Sha384) => Some(&aws::ECDSA_P384_SHA384_ASN1),
        (PublicKeyKind::EcP384, Hash::Sha512) => Some(&aws::ECDSA_P384_SHA512_ASN1),
        (PublicKeyKind::EcP521, Hash::Sha256) => Some(&aws::ECDSA_P521_SHA256_ASN1),
        (PublicKeyKind::EcP521, Hash::Sha384) => Some(&aws::ECDSA_P521_SHA384_ASN1),
        (PublicKeyKind::EcP521, Hash::Sha512) => Some(&aws::ECDSA_P521_SHA512_ASN1),
        (PublicKeyKind::Rsa { .. } | PublicKeyKind::Ed25519, _) => None,
    }
}

fn is_rsa(kind: PublicKeyKind) -> bool {
    matches!(kind, PublicKeyKind::Rsa { .. })
}

static PSS_SHA256_LONGEST_SALT: aws::RsaParameters =
    aws::RSA_PSS_2048_8192_SHA256.with_pss_salt_length(RsaPssSaltLength::Max);

#[cfg(test)]
mod tests {
    use super::*;
    use crate::{
        crypto::testing,
        key::{KeyType, PrivateKey},
    };

    #[test]
    fn a_nonce_signature_of_ours_is_accepted() {
        for key_type in [KeyType::EcP256, KeyType::Rsa2048] {
            let key = PrivateKey::generate(key_type).expect("key");
            let signature = key.sign_nonce(b"nonces").expect("signature");
            assert_eq!(verify_nonce(key.spki_der(), b"nonces", &signature), Ok(()));
            assert_eq!(
                verify_nonce(key.spki_der(), b"others", &signature),
                Err(BadSignature)
            );
        }
    }

    #[test]
    fn a_nonce_signature_with_the_longest_salt_is_accepted() {
        let signer = testing::pss_longest_salt();
        let signature = NonceSignature::Rsa((signer.sign)(b"nonces"));
        assert_eq!(
            verify_nonce(&signer.spki_der, b"nonces", &signature),
            Ok(())
        );
        assert_eq!(
            verify_nonce(&signer.spki_der, b"others", &signature),
            Err(BadSignature)
        );
    }

    #[test]
    fn a_nonce_signature_by_p521_is_accepted_with_and_without_leading_zeros() {
        let signer = testing::p521_sha256();
        let fixed = (signer.sign)(b"nonces");
        let (r, s) = fixed.split_at(fixed.len() / 2);
        let padded = NonceSignature::Ecdsa {
            r: r.to_vec(),
            s: s.to_vec(),
        };
        assert_eq!(verify_nonce(&signer.spki_der, b"nonces", &padded), Ok(()));
        let trim = |n: &[u8]| n.iter().copied().skip_while(|byte| *byte == 0).collect();
        let short = NonceSignature::Ecdsa {
            r: trim(r),
            s: trim(s),
        };
        assert_eq!(verify_nonce(&signer.spki_der, b"nonces", &short), Ok(()));
    }

    #[test]
    fn a_nonce_signature_of_another_kind_of_key_is_refused() {
        let ec = PrivateKey::generate(KeyType::EcP256).expect("key");
        let rsa = PrivateKey::generate(KeyType::Rsa2048).expect("key");
        let signature = rsa.sign_nonce(b"nonces").expect("signature");
        assert_eq!(
            verify_nonce(ec.spki_der(), b"nonces", &signature),
            Err(BadSignature)
        );
        let signature = ec.sign_nonce(b"nonces").expect("signature");
        assert_eq!(
            verify_nonce(rsa.spki_der(), b"nonces", &signature),
            Err(BadSignature)
        );
        let empty = NonceSignature::Ecdsa {
            r: Vec::new(),
            s: Vec::new(),
        };
        assert_eq!(
            verify_nonce(ec.spki_der(), b"nonces", &empty),
            Err(BadSignature)
        );
    }

    #[test]
    fn a_scheme_has_to_fit_the_key() {
        let key = PrivateKey::generate(KeyType::EcP384).expect("key");
        let signature = key.sign_jws(b"message").expect("signature");
        let check = |scheme| verify(key.spki_der(), scheme, b"message", &signature);
        assert_eq!(check(Scheme::EcdsaFixed(Hash::Sha384)), Ok(()));
        for scheme in [
            Scheme::EcdsaFixed(Hash::Sha256),
            Scheme::RsaPkcs1(Hash::Sha256),
            Scheme::RsaPss(Hash::Sha256),
            Scheme::Ecdsa(Hash::Sha384),
            Scheme::Ed25519,
        ] {
            assert_eq!(check(scheme), Err(BadSignature), "{scheme:?}");
        }
    }
}
