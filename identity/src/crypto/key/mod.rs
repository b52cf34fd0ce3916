//! Private keys: made here, written as PKCS #8, and used to sign certificates, requests, tokens and
//! nonces. The encoding in memory is wiped when the last clone is dropped.

mod curve;

use std::{fmt, str::FromStr, sync::Arc};

use aws_lc_rs::{
    encoding::{AsBigEndian, AsDer, EcPrivateKeyBin, PublicKeyX509Der},
    rsa::{KeyPair as RsaKeyPair, KeySize},
    signature::{self as aws, EcdsaKeyPair as AwsEcdsaKeyPair, KeyPair as _, RsaEncoding},
};
use base64::{Engine as _, engine::general_purpose::STANDARD};
use ring::{
    rand::SystemRandom,
    signature::{EcdsaKeyPair, KeyPair as _},
};
use zeroize::Zeroizing;

use super::sha1;
use crate::der;
use curve::{Curve, P256, P384};

/// The kinds of key that can be made, in SPIRE's spelling.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Hash)]
pub enum KeyType {
    /// `ec-p256`, the default.
    EcP256,
    /// `ec-p384`.
    EcP384,
    /// `rsa-2048`.
    Rsa2048,
    /// `rsa-4096`.
    Rsa4096,
}

/// A private key. Clones share one key; printing one shows no secret.
#[derive(Clone)]
pub struct PrivateKey(Arc<Inner>);

/// A signature over a nonce, as the `x509pop` attestor carries it.
#[derive(Debug, Clone, PartialEq, Eq)]
pub enum NonceSignature {
    /// RSA-PSS with SHA-256.
    Rsa(Vec<u8>),
    /// ECDSA with SHA-256: both numbers, big-endian.
    Ecdsa {
        /// The first number.
        r: Vec<u8>,
        /// The second number.
        s: Vec<u8>,
    },
}

/// Why a key could not be made, read or used.
#[derive(Debug, Clone, PartialEq, Eq, thiserror::Error)]
pub enum KeyError {
    /// The operating system gave no random bytes.
    #[error("the operating system gave no random bytes")]
    Random,
    /// Not a private key, or of a kind that is not supported.
    #[error(
        "not a private key of a supported kind (ECDSA P-256 or P-384, RSA 2048 to 8192 bits; PKCS #8, SEC 1 or PKCS #1)"
    )]
    Unreadable,
    /// PEM without the block that was looked for.
    #[error("no PEM block \"PRIVATE KEY\" found")]
    NoPem,
    /// More than one private key in a PEM file.
    #[error("more than one private key found where one is expected")]
    ManyKeys,
    /// The library refused to sign.
    #[error("the key could not sign")]
    Sign,
    /// A key kind that cannot make this signature.
    #[error("a key of type {0} cannot sign an x509pop nonce; use ec-p256 or RSA")]
    NonceUnsupported(KeyType),
    /// A name that is none of the key types.
    #[error("key type {0:?} is unknown; use rsa-2048, rsa-4096, ec-p256 or ec-p384")]
    UnknownType(String),
}

impl PrivateKey {
    /// Makes a new key.
    ///
    /// # Errors
    /// The operating system gives no random bytes.
    pub fn generate(key_type: KeyType) -> Result<Self, KeyError> {
        match key_type {
            KeyType::EcP256 => Self::generate_ec(&P256),
            KeyType::EcP384 => Self::generate_ec(&P384),
            KeyType::Rsa2048 => Self::generate_rsa(KeySize::Rsa2048),
            KeyType::Rsa4096 => Self::generate_rsa(KeySize::Rsa4096),
        }
    }

    /// Reads a PKCS #8 key.
    ///
    /// # Errors
    /// The bytes are no PKCS #8 key of a supported kind.
    pub fn from_pkcs8(der: &[u8]) -> Result<Self, KeyError> {
        for curve in [&P256, &P384] {
            if let Ok(key) = Self::ec(curve, Zeroizing::new(der.to_vec())) {
                return Ok(key);
            }
            // `ring` wants the public key in the encoding; others leave it out, so it is put back.
            if let Ok(pair) = AwsEcdsaKeyPair::from_pkcs8(curve.readable, der) {
                return Self::ec_from_aws(curve, &pair);
            }
        }
        let pair = RsaKeyPair::from_pkcs8(der).map_err(|_rejected| KeyError::Unreadable)?;
        Self::rsa(pair)
    }

    /// Reads the one private key of a PEM text: `PRIVATE KEY`, `EC PRIVATE KEY` or `RSA PRIVATE
    /// KEY`. Other blocks (certificates, EC parameters) may stand beside it.
    ///
    /// # Errors
    /// There is no private key in the text, more than one, or one of a kind that is not supported.
    pub fn from_pem(text: &str) -> Result<Self, KeyError> {
        let blocks = pem::parse_many(text).map_err(|_malformed| KeyError::NoPem)?;
        let mut keys = blocks
            .into_iter()
            .filter(|block| block.tag().ends_with("PRIVATE KEY"));
        let block = keys.next().ok_or(KeyError::NoPem)?;
        if keys.next().is_some() {
            return Err(KeyError::ManyKeys);
        }
        let tag = block.tag().to_owned();
        let der = Zeroizing::new(block.into_contents());
        match tag.as_str() {
            "PRIVATE KEY" => Self::from_pkcs8(&der),
            "EC PRIVATE KEY" => Self::from_sec1(&der),
            "RSA PRIVATE KEY" => {
                Self::rsa(RsaKeyPair::from_der(&der).map_err(|_rejected| KeyError::Unreadable)?)
            }
            _ => Err(KeyError::Unreadable),
        }
    }

    /// The key as PEM, block `PRIVATE KEY`.
    pub fn to_pem(&self) -> Zeroizing<String> {
        // Written out here, so that no copy of the secret stays behind in memory.
        let encoded = Zeroizing::new(STANDARD.encode(self.pkcs8_der()));
        let lines = encoded.len().div_ceil(PEM_LINE);
        let frame = PEM_BEGIN.len() + PEM_END.len();
        let mut text = Zeroizing::new(String::with_capacity(encoded.len() + lines + frame));
        text.push_str(PEM_BEGIN);
        let mut rest = encoded.as_str();
        while !rest.is_empty() {
            let (line, below) = rest.split_at(rest.len().min(PEM_LINE));
            text.push_str(line);
            text.push('\n');
            rest = below;
        }
        text.push_str(PEM_END);
        text
    }

    /// The PKCS #8 encoding.
    pub fn pkcs8_der(&self) -> &[u8] {
        &self.0.pkcs8
    }

    /// The key's type, by which it would be made again.
    pub fn key_type(&self) -> KeyType {
        self.0.key_type
    }

    /// The public key as `SubjectPublicKeyInfo`.
    pub fn spki_der(&self) -> &[u8] {
        &self.0.spki
    }

    /// The SHA-1 of the public key's bits (RFC 5280 §4.2.1.2, first method), as SPIRE names
    /// authorities.
    pub fn subject_key_id(&self) -> [u8; 20] {
        sha1(&self.0.public_bits)
    }

    /// Signs as X.509 wants it: ECDSA in ASN.1 with the hash of the curve, RSA PKCS #1 with
    /// SHA-256.
    ///
    /// # Errors
    /// The library refuses, or the operating system gives no random bytes.
    pub fn sign(&self, message: &[u8]) -> Result<Vec<u8>, KeyError> {
        match &self.0.signer {
            Signer::Ec(pair) => {
                let fixed = sign_fixed(pair, message)?;
                let (r, s) = halves(&fixed);
                Ok(der::sequence(&[der::unsigned(r), der::unsigned(s)]))
            }
            Signer::Rsa(pair) => sign_rsa(pair, &aws::RSA_PKCS1_SHA256, message),
        }
    }

    /// Signs as JWS wants it: ECDSA as `r || s`, RSA PKCS #1 with SHA-256.
    ///
    /// # Errors
    /// The library refuses, or the operating system gives no random bytes.
    pub fn sign_jws(&self, message: &[u8]) -> Result<Vec<u8>, KeyError> {
        match &self.0.signer {
            Signer::Ec(pair) => sign_fixed(pair, message),
            Signer::Rsa(pair) => sign_rsa(pair, &aws::RSA_PKCS1_SHA256, message),
        }
    }

    /// The JWS name of what [`Self::sign_jws`] does.
    pub fn jws_algorithm(&self) -> &'static str {
        match self.0.key_type {
            KeyType::EcP256 => "ES256",
            KeyType::EcP384 => "ES384",
            KeyType::Rsa2048 | KeyType::Rsa4096 => "RS256",
        }
    }

    /// Signs the two nonces of an `x509pop` challenge, the server's followed by the agent's, with
    /// SHA-256.
    ///
    /// # Errors
    /// The key is of a kind that the protocol's hash does not go with, or the library refuses.
    pub fn sign_nonce(&self, message: &[u8]) -> Result<NonceSignature, KeyError> {
        match (&self.0.signer, self.0.key_type) {
            (Signer::Rsa(pair), _) => {
                sign_rsa(pair, &aws::RSA_PSS_SHA256, message).map(NonceSignature::Rsa)
            }
            (Signer::Ec(pair), KeyType::EcP256) => {
                let fixed = sign_fixed(pair, message)?;
                let (r, s) = halves(&fixed);
                Ok(NonceSignature::Ecdsa {
                    r: r.to_vec(),
                    s: s.to_vec(),
                })
            }
            // No library here signs SHA-256 with P-384, which the protocol would ask for.
            (Signer::Ec(_), other) => Err(KeyError::NonceUnsupported(other)),
        }
    }

    fn from_sec1(der: &[u8]) -> Result<Self, KeyError> {
        for curve in [&P256, &P384] {
            if let Ok(pair) = AwsEcdsaKeyPair::from_private_key_der(curve.readable, der) {
                return Self::ec_from_aws(curve, &pair);
            }
        }
        Err(KeyError::Unreadable)
    }

    fn generate_ec(curve: &'static Curve) -> Result<Self, KeyError> {
        let document = EcdsaKeyPair::generate_pkcs8(curve.signing, &SystemRandom::new())
            .map_err(|_unspecified| KeyError::Random)?;
        Self::ec(curve, Zeroizing::new(document.as_ref().to_vec()))
    }

    fn ec_from_aws(curve: &'static Curve, pair: &AwsEcdsaKeyPair) -> Result<Self, KeyError> {
        let private: EcPrivateKeyBin<'_> = pair
            .private_key()
            .as_be_bytes()
            .map_err(|_unspecified| KeyError::Unreadable)?;
        // Joined in one go, so that no copy of the secret is left behind by a growing buffer.
        let public = pair.public_key().as_ref();
        let parts = [
            curve.pkcs8_prefix,
            private.as_ref(),
            curve.pkcs8_middle,
            public,
        ];
        Self::ec(curve, Zeroizing::new(parts.concat()))
    }

    fn ec(curve: &'static Curve, pkcs8: Zeroizing<Vec<u8>>) -> Result<Self, KeyError> {
        let pair = EcdsaKeyPair::from_pkcs8(curve.signing, &pkcs8, &SystemRandom::new())
            .map_err(|_rejected| KeyError::Unreadable)?;
        let public_bits = pair.public_key().as_ref().to_vec();
        Ok(Self(Arc::new(Inner {
            key_type: curve.key_type,
            pkcs8,
            spki: [curve.spki_prefix, &public_bits].concat(),
            public_bits,
            signer: Signer::Ec(pair),
        })))
    }

    fn generate_rsa(size: KeySize) -> Result<Self, KeyError> {
        Self::rsa(RsaKeyPair::generate(size).map_err(|_unspecified| KeyError::Random)?)
    }

    fn rsa(pair: RsaKeyPair) -> Result<Self, KeyError> {
        let unreadable = |_unspecified| KeyError::Unreadable;
        let key_type = match pair.public_modulus_len() {
            256..=383 => KeyType::Rsa2048,
            384..=1024 => KeyType::Rsa4096,
            _ => return Err(KeyError::Unreadable),
        };
        let public = pair.public_key();
        let spki: PublicKeyX509Der<'_> = public.as_der().map_err(unreadable)?;
        Ok(Self(Arc::new(Inner {
            key_type,
            pkcs8: Zeroizing::new(pair.as_der().map_err(unreadable)?.as_ref().to_vec()),
            spki: spki.as_ref().to_vec(),
            public_bits: public.as_ref().to_vec(),
            signer: Signer::Rsa(pair),
        })))
    }
}

impl fmt::Debug for PrivateKey {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        write!(f, "PrivateKey({})", self.0.key_type)
    }
}

impl rcgen::PublicKeyData for PrivateKey {
    fn der_bytes(&self) -> &[u8] {
        &self.0.public_bits
    }

    fn algorithm(&self) -> &'static rcgen::SignatureAlgorithm {
        match self.0.key_type {
            KeyType::EcP256 => &rcgen::PKCS_ECDSA_P256_SHA256,
            KeyType::EcP384 => &rcgen::PKCS_ECDSA_P384_SHA384,
            KeyType::Rsa2048 | KeyType::Rsa4096 => &rcgen::PKCS_RSA_SHA256,
        }
    }
}

impl rcgen::SigningKey for PrivateKey {
    fn sign(&self, message: &[u8]) -> Result<Vec<u8>, rcgen::Error> {
        Self::sign(self, message).map_err(|_error| rcgen::Error::RemoteKeyError)
    }
}

impl fmt::Display for KeyType {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.write_str(match self {
            Self::EcP256 => "ec-p256",
            Self::EcP384 => "ec-p384",
            Self::Rsa2048 => "rsa-2048",
            Self::Rsa4096 => "rsa-4096",
        })
    }
}

impl FromStr for KeyType {
    type Err = KeyError;

    fn from_str(name: &str) -> Result<Self, KeyError> {
        match name {
            "ec-p256" => Ok(Self::EcP256),
            "ec-p384" => Ok(Self::EcP384),
            "rsa-2048" => Ok(Self::Rsa2048),
            "rsa-4096" => Ok(Self::Rsa4096),
            _ => Err(KeyError::UnknownType(name.to_owned())),
        }
    }
}

fn sign_fixed(pair: &EcdsaKeyPair, message: &[u8]) -> Result<Vec<u8>, KeyError> {
    let signature = pair
        .sign(&SystemRandom::new(), message)
        .map_err(|_unspecified| KeyError::Sign)?;
    Ok(signature.as_ref().to_vec())
}

fn sign_rsa(
    pair: &RsaKeyPair,
    padding: &'static dyn RsaEncoding,
    message: &[u8],
) -> Result<Vec<u8>, KeyError> {
    let mut signature = vec![0; pair.public_modulus_len()];
    let random = aws_lc_rs::rand::SystemRandom::new();
    pair.sign(padding, &random, message, &mut signature)
        .map_err(|_unspecified| KeyError::Sign)?;
    Ok(signature)
}

fn halves(fixed: &[u8]) -> (&[u8], &[u8]) {
    fixed.split_at(fixed.len() / 2)
}

struct Inner {
    key_type: KeyType,
    pkcs8: Zeroizing<Vec<u8>>,
    spki: Vec<u8>,
    public_bits: Vec<u8>,
    signer: Signer,
}

#[expect(clippy::large_enum_variant, reason = "both live behind one Arc")]
enum Signer {
    Ec(EcdsaKeyPair),
    Rsa(RsaKeyPair),
}

const PEM_BEGIN: &str = "-----BEGIN PRIVATE KEY-----\n";
const PEM_END: &str = "-----END PRIVATE KEY-----\n";
const PEM_LINE: usize = 64;

#[cfg(test)]
mod tests;
