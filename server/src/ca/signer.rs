//! What an authority signs with. Those who sign know a [`Signer`], and not where its key is.

use signet_identity::{
    jwt,
    key::{KeyError, KeyType, PrivateKey},
};

/// The private half of an authority.
#[derive(Clone, Debug)]
pub(crate) enum Signer {
    /// A key in this process.
    Local(PrivateKey),
}

/// Why nothing was signed.
#[derive(Debug, thiserror::Error)]
pub(crate) enum SignerError {
    /// The key in this process could not sign.
    #[error(transparent)]
    Local(#[from] KeyError),
}

impl Signer {
    /// What kind of key it is.
    pub(crate) fn key_type(&self) -> KeyType {
        match self {
            Self::Local(key) => key.key_type(),
        }
    }

    /// The public key as `SubjectPublicKeyInfo`.
    pub(crate) fn spki_der(&self) -> &[u8] {
        match self {
            Self::Local(key) => key.spki_der(),
        }
    }

    /// The SHA-1 of the public key's bits (RFC 5280 §4.2.1.2, first method).
    pub(crate) fn subject_key_id(&self) -> [u8; 20] {
        match self {
            Self::Local(key) => key.subject_key_id(),
        }
    }

    /// Whether a signature takes less time than the way to another thread and back.
    pub(crate) fn is_quick(&self) -> bool {
        match self {
            Self::Local(key) => key.key_type() == KeyType::EcP256,
        }
    }

    /// Signs as X.509 wants it.
    pub(crate) fn sign(&self, message: &[u8]) -> Result<Vec<u8>, SignerError> {
        match self {
            Self::Local(key) => Ok(key.sign(message)?),
        }
    }
}

impl jwt::Signer for Signer {
    type Error = SignerError;

    fn jws_algorithm(&self) -> &'static str {
        match self {
            Self::Local(key) => key.jws_algorithm(),
        }
    }

    fn sign_jws(&self, message: &[u8]) -> Result<Vec<u8>, SignerError> {
        match self {
            Self::Local(key) => Ok(key.sign_jws(message)?),
        }
    }
}
