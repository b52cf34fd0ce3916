//! Keys of the test's own, and the tokens and bundle entries that are made with them by hand.

use std::time::{SystemTime, UNIX_EPOCH};

use aws_lc_rs::{
    encoding::{AsDer, PublicKeyX509Der},
    rand::SystemRandom,
    rsa::{KeyPair as RsaKeyPair, KeySize},
    signature::{self as aws, EcdsaKeyPair, Ed25519KeyPair, KeyPair},
};
use base64::{
    Engine as _,
    prelude::{BASE64_STANDARD, BASE64_URL_SAFE_NO_PAD},
};
use serde_json::{Value, json};

/// A key with a name.
pub(crate) struct Key {
    pub(crate) kid: &'static str,
    /// The algorithm that it signs with unless another is named.
    pub(crate) alg: &'static str,
    pair: Pair,
}

enum Pair {
    Ec(EcdsaKeyPair),
    Rsa(RsaKeyPair),
    Ed25519(Ed25519KeyPair),
}

impl Key {
    pub(crate) fn p256(kid: &'static str) -> Self {
        Self::ec(kid, "ES256", &aws::ECDSA_P256_SHA256_FIXED_SIGNING)
    }

    pub(crate) fn p384(kid: &'static str) -> Self {
        Self::ec(kid, "ES384", &aws::ECDSA_P384_SHA384_FIXED_SIGNING)
    }

    pub(crate) fn p521(kid: &'static str) -> Self {
        Self::ec(kid, "ES512", &aws::ECDSA_P521_SHA512_FIXED_SIGNING)
    }

    pub(crate) fn secp256k1(kid: &'static str) -> Self {
        Self::ec(kid, "ES256K", &aws::ECDSA_P256K1_SHA256_FIXED_SIGNING)
    }

    pub(crate) fn rsa(kid: &'static str) -> Self {
        let pair = Pair::Rsa(RsaKeyPair::generate(KeySize::Rsa2048).unwrap());
        let alg = "RS256";
        Self { kid, alg, pair }
    }

    pub(crate) fn ed25519(kid: &'static str) -> Self {
        let pair = Pair::Ed25519(Ed25519KeyPair::generate().unwrap());
        let alg = "EdDSA";
        Self { kid, alg, pair }
    }

    fn ec(
        kid: &'static str,
        alg: &'static str,
        signing: &'static aws::EcdsaSigningAlgorithm,
    ) -> Self {
        let pair = Pair::Ec(EcdsaKeyPair::generate(signing).unwrap());
        Self { kid, alg, pair }
    }

    pub(crate) fn spki(&self) -> Vec<u8> {
        let der: PublicKeyX509Der<'_> = match &self.pair {
            Pair::Ec(pair) => pair.public_key().as_der().unwrap(),
            Pair::Rsa(pair) => pair.public_key().as_der().unwrap(),
            Pair::Ed25519(pair) => pair.public_key().as_der().unwrap(),
        };
        der.as_ref().to_vec()
    }

    /// The private key of a P-256 key, for a certificate of the same key.
    pub(crate) fn pkcs8(&self) -> Vec<u8> {
        let Pair::Ec(pair) = &self.pair else {
            panic!("an EC key");
        };
        pair.to_pkcs8v1().unwrap().as_ref().to_vec()
    }

    /// The entry of a bundle document.
    pub(crate) fn jwk(&self, usage: &str) -> Value {
        let mut jwk = public_members(&self.spki());
        jwk["use"] = json!(usage);
        jwk["kid"] = json!(self.kid);
        jwk
    }

    /// A token with the ordinary header.
    pub(crate) fn token(&self, claims: &Value) -> String {
        let header = json!({"alg": self.alg, "kid": self.kid, "typ": "JWT"});
        self.token_of(&header, claims)
    }

    pub(crate) fn token_of(&self, header: &Value, claims: &Value) -> String {
        self.token_from(&header.to_string(), &claims.to_string())
    }

    /// A token whose header and claims are any text.
    pub(crate) fn token_from(&self, header: &str, claims: &str) -> String {
        self.seal(&format!("{}.{}", encode(header), encode(claims)))
    }

    /// Signs any text, and puts the signature behind it.
    pub(crate) fn seal(&self, signed: &str) -> String {
        let signature = self.sign(self.alg, signed.as_bytes());
        format!("{signed}.{}", encode(signature))
    }

    pub(crate) fn sign(&self, alg: &str, message: &[u8]) -> Vec<u8> {
        let random = SystemRandom::new();
        match &self.pair {
            Pair::Ec(pair) => pair.sign(&random, message).unwrap().as_ref().to_vec(),
            Pair::Ed25519(pair) => pair.sign(message).as_ref().to_vec(),
            Pair::Rsa(pair) => {
                let mut signature = vec![0; pair.public_modulus_len()];
                pair.sign(rsa_padding(alg), &random, message, &mut signature)
                    .unwrap();
                signature
            }
        }
    }
}

fn rsa_padding(alg: &str) -> &'static dyn aws::RsaEncoding {
    match alg {
        "RS256" => &aws::RSA_PKCS1_SHA256,
        "RS384" => &aws::RSA_PKCS1_SHA384,
        "RS512" => &aws::RSA_PKCS1_SHA512,
        "PS256" => &aws::RSA_PSS_SHA256,
        "PS384" => &aws::RSA_PSS_SHA384,
        "PS512" => &aws::RSA_PSS_SHA512,
        other => panic!("{other} is no algorithm of RSA"),
    }
}

/// The members of a public key (RFC 7518 §6), cut out of its fixed DER form.
pub(crate) fn public_members(spki: &[u8]) -> Value {
    let tail = |length: usize| &spki[spki.len() - length..];
    let ec = |curve: &str, width: usize| {
        let (x, y) = tail(width * 2).split_at(width);
        json!({"kty": "EC", "crv": curve, "x": encode(x), "y": encode(y)})
    };
    match spki.len() {
        91 => ec("P-256", 32),
        88 => ec("secp256k1", 32),
        120 => ec("P-384", 48),
        158 => ec("P-521", 66),
        44 => json!({"kty": "OKP", "crv": "Ed25519", "x": encode(tail(32))}),
        294 => json!({"kty": "RSA", "n": encode(&tail(261)[..256]), "e": "AQAB"}),
        length => panic!("a public key of {length} bytes"),
    }
}

/// A bundle document of these entries.
pub(crate) fn document(sequence: u64, keys: &[Value]) -> Value {
    json!({"spiffe_sequence": sequence, "spiffe_refresh_hint": 300, "keys": keys})
}

/// Good claims of a workload of `domain`, for the audience `aud`.
pub(crate) fn claims(domain: &str) -> Value {
    json!({
        "sub": format!("spiffe://{domain}/w"),
        "aud": ["x", "aud"],
        "exp": now() + 300,
    })
}

pub(crate) fn with(object: &Value, name: &str, value: Value) -> Value {
    let mut object = object.clone();
    object[name] = value;
    object
}

pub(crate) fn without(object: &Value, name: &str) -> Value {
    let mut object = object.clone();
    object.as_object_mut().unwrap().remove(name);
    object
}

pub(crate) fn now() -> i64 {
    let since = SystemTime::now().duration_since(UNIX_EPOCH).unwrap();
    i64::try_from(since.as_secs()).unwrap()
}

pub(crate) fn encode(bytes: impl AsRef<[u8]>) -> String {
    BASE64_URL_SAFE_NO_PAD.encode(bytes)
}

pub(crate) fn standard(bytes: impl AsRef<[u8]>) -> String {
    BASE64_STANDARD.encode(bytes)
}

/// The JSON of a part of a token: 0 is the header, 1 the claims.
pub(crate) fn part(token: &str, index: usize) -> Value {
    let part = token.split('.').nth(index).unwrap();
    serde_json::from_slice(&BASE64_URL_SAFE_NO_PAD.decode(part).unwrap()).unwrap()
}
