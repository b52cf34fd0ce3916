//! Signers for tests, in every algorithm that a JWT-SVID may have.

use std::sync::Arc;

use aws_lc_rs::{
    encoding::{AsDer, PublicKeyX509Der},
    rand::SystemRandom,
    rsa::{KeyPair as RsaKeyPair, KeySize},
    signature::{self as aws, EcdsaKeyPair, KeyPair as _, RsaPssSaltLength},
};

/// Makes one signature.
type Sign = Box<dyn Fn(&[u8]) -> Vec<u8>>;

/// A key that signs in one way.
pub(crate) struct Signer {
    pub(crate) algorithm: &'static str,
    pub(crate) spki_der: Vec<u8>,
    pub(crate) sign: Sign,
}

/// One signer for each of the nine algorithms.
pub(crate) fn jws_signers() -> Vec<Signer> {
    let mut signers = vec![
        ec("ES256", &aws::ECDSA_P256_SHA256_FIXED_SIGNING),
        ec("ES384", &aws::ECDSA_P384_SHA384_FIXED_SIGNING),
        ec("ES512", &aws::ECDSA_P521_SHA512_FIXED_SIGNING),
    ];
    let paddings: [(&'static str, &'static dyn aws::RsaEncoding); 6] = [
        ("RS256", &aws::RSA_PKCS1_SHA256),
        ("RS384", &aws::RSA_PKCS1_SHA384),
        ("RS512", &aws::RSA_PKCS1_SHA512),
        ("PS256", &aws::RSA_PSS_SHA256),
        ("PS384", &aws::RSA_PSS_SHA384),
        ("PS512", &aws::RSA_PSS_SHA512),
    ];
    // Making such a key takes long; one is enough for all.
    let pair = Arc::new(RsaKeyPair::generate(KeySize::Rsa2048).expect("key"));
    signers.extend(paddings.map(|(name, padding)| rsa(&pair, name, padding)));
    signers
}

/// RSA-PSS with the longest salt that fits, as Go signs by default.
pub(crate) fn pss_longest_salt() -> Signer {
    static LONGEST: aws::RsaSignatureEncoding =
        aws::RSA_PSS_SHA256.with_pss_salt_length(RsaPssSaltLength::Max);
    let pair = Arc::new(RsaKeyPair::generate(KeySize::Rsa2048).expect("key"));
    rsa(&pair, "PSS", &LONGEST)
}

/// ECDSA on P-521 with SHA-256, as an x509pop agent with such a key signs.
pub(crate) fn p521_sha256() -> Signer {
    ec("", &aws::ECDSA_P521_SHA256_FIXED_SIGNING)
}

fn ec(name: &'static str, algorithm: &'static aws::EcdsaSigningAlgorithm) -> Signer {
    let pair = EcdsaKeyPair::generate(algorithm).expect("key");
    let spki: PublicKeyX509Der<'_> = pair.public_key().as_der().expect("public key");
    Signer {
        algorithm: name,
        spki_der: spki.as_ref().to_vec(),
        sign: Box::new(move |message| {
            let signature = pair.sign(&SystemRandom::new(), message).expect("signature");
            signature.as_ref().to_vec()
        }),
    }
}

fn rsa(
    pair: &Arc<RsaKeyPair>,
    name: &'static str,
    padding: &'static dyn aws::RsaEncoding,
) -> Signer {
    let pair = Arc::clone(pair);
    let spki: PublicKeyX509Der<'_> = pair.public_key().as_der().expect("public key");
    Signer {
        algorithm: name,
        spki_der: spki.as_ref().to_vec(),
        sign: Box::new(move |message| {
            let mut signature = vec![0; pair.public_modulus_len()];
            pair.sign(padding, &SystemRandom::new(), message, &mut signature)
                .expect("signature");
            signature
        }),
    }
}
