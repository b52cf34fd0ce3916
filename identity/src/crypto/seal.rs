//! Sealing: bytes that only the holder of a key can read and nobody can change unseen, by
//! AES-256-GCM (NIST SP 800-38D) under a key that HKDF-SHA256 (RFC 5869) takes from another.

use std::fmt;

use aws_lc_rs::{
    aead::{AES_256_GCM, Aad, NONCE_LEN, Nonce, RandomizedNonceKey},
    hkdf::{HKDF_SHA256, Salt},
};
use zeroize::Zeroizing;

use super::key::PrivateKey;

/// A key that seals and opens. Printing one shows no secret.
pub struct SealingKey(RandomizedNonceKey);

/// Why bytes could not be sealed.
#[derive(Debug, Clone, Copy, PartialEq, Eq, thiserror::Error)]
#[error("the key could not seal")]
pub struct SealError;

/// Sealed bytes that were changed, cut, or sealed under another key or for another context.
#[derive(Debug, Clone, Copy, PartialEq, Eq, thiserror::Error)]
#[error("the seal is broken, or it is another key's")]
pub struct BrokenSeal;

impl SealingKey {
    /// The sealing key that belongs to `key`, one for each `purpose`.
    ///
    /// # Errors
    /// When the library refuses, which it has no known reason to do.
    pub fn derive(key: &PrivateKey, purpose: &[u8]) -> Result<Self, SealError> {
        let mut bytes = Zeroizing::new([0; KEY_BYTES]);
        Salt::new(HKDF_SHA256, &[])
            .extract(key.pkcs8_der())
            .expand(&[purpose], HKDF_SHA256)
            .and_then(|derived| derived.fill(bytes.as_mut()))
            .map_err(|_unspecified| SealError)?;
        let key = RandomizedNonceKey::new(&AES_256_GCM, bytes.as_ref());
        key.map(Self).map_err(|_unspecified| SealError)
    }

    /// Seals `plain` for `context`, which is not secret and must be the same to open it: a random
    /// nonce, then the sealed bytes, then the tag.
    ///
    /// # Errors
    /// When the system gives no random bytes, or the library refuses.
    pub fn seal(&self, context: &[u8], plain: &[u8]) -> Result<Vec<u8>, SealError> {
        let mut bytes = Zeroizing::new(Vec::with_capacity(plain.len() + OVERHEAD));
        bytes.extend_from_slice(plain);
        let nonce = self
            .0
            .seal_in_place_append_tag(Aad::from(context), &mut *bytes)
            .map_err(|_unspecified| SealError)?;
        Ok([nonce.as_ref().as_slice(), bytes.as_slice()].concat())
    }

    /// What was sealed for `context`.
    ///
    /// # Errors
    /// When it was not sealed so with this key.
    pub fn open(&self, context: &[u8], sealed: &[u8]) -> Result<Zeroizing<Vec<u8>>, BrokenSeal> {
        let (nonce, sealed) = sealed.split_at_checked(NONCE_LEN).ok_or(BrokenSeal)?;
        let nonce = Nonce::try_assume_unique_for_key(nonce).map_err(|_unspecified| BrokenSeal)?;
        let mut bytes = Zeroizing::new(sealed.to_vec());
        let plain = self
            .0
            .open_in_place(nonce, Aad::from(context), &mut bytes)
            .map_err(|_unspecified| BrokenSeal)?;
        let length = plain.len();
        bytes.truncate(length);
        Ok(bytes)
    }
}

impl fmt::Debug for SealingKey {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.debug_struct("SealingKey").finish_non_exhaustive()
    }
}

const KEY_BYTES: usize = 32;
/// The tag of AES-GCM.
const OVERHEAD: usize = 16;

#[cfg(test)]
mod tests {
    use super::*;
    use crate::crypto::key::KeyType;

    fn key(purpose: &[u8]) -> (PrivateKey, SealingKey) {
        let key = PrivateKey::generate(KeyType::EcP256).unwrap();
        let sealing = SealingKey::derive(&key, purpose).unwrap();
        (key, sealing)
    }

    #[test]
    fn what_was_sealed_is_opened_by_the_same_key_for_the_same_context_and_purpose_alone() {
        let (private, sealing) = key(b"cache");
        let sealed = sealing.seal(b"one", b"a secret").unwrap();
        assert_eq!(*sealing.open(b"one", &sealed).unwrap(), b"a secret");
        let again = SealingKey::derive(&private, b"cache").unwrap();
        assert_eq!(*again.open(b"one", &sealed).unwrap(), b"a secret");
        let purpose = SealingKey::derive(&private, b"other").unwrap();
        let (_, stranger) = key(b"cache");
        assert_eq!(sealing.open(b"two", &sealed), Err(BrokenSeal));
        assert_eq!(purpose.open(b"one", &sealed), Err(BrokenSeal));
        assert_eq!(stranger.open(b"one", &sealed), Err(BrokenSeal));
    }

    #[test]
    fn any_changed_or_missing_byte_breaks_the_seal() {
        let (_, sealing) = key(b"cache");
        let sealed = sealing.seal(b"", b"a secret").unwrap();
        for at in 0..sealed.len() {
            let mut changed = sealed.clone();
            changed[at] ^= 1;
            assert_eq!(sealing.open(b"", &changed), Err(BrokenSeal));
            assert_eq!(sealing.open(b"", &sealed[..at]), Err(BrokenSeal));
        }
    }

    #[test]
    fn the_same_bytes_are_never_sealed_alike() {
        let (_, sealing) = key(b"cache");
        let first = sealing.seal(b"", b"a secret").unwrap();
        assert_ne!(first, sealing.seal(b"", b"a secret").unwrap());
    }
}
