//! The keys of an issuer of tokens: a JWK set (RFC 7517), as it publishes it.
//!
//! What is not understood is left out, as §5 wants it; a set of which nothing is left is refused.

use serde_json::{Map, Value};

use super::{JwtError, jws::Jws};
use crate::{bundle, crypto, json};

/// The keys of one issuer.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct KeySet(Vec<Key>);

#[derive(Debug, Clone, PartialEq, Eq)]
struct Key {
    id: Option<Box<str>>,
    /// The only one that it is for, if it is for one.
    algorithm: Option<Box<str>>,
    spki_der: Vec<u8>,
}

/// Why a text is no set of keys.
#[derive(Debug, Clone, PartialEq, Eq, thiserror::Error)]
pub enum KeySetError {
    /// Not a JWK set.
    #[error("it is no JWK set: {0}")]
    NotASet(String),
    /// More than any honest set has.
    #[error("it has {0} keys; at most {MOST_KEYS} are read")]
    TooMany(usize),
    /// Nothing in it that could verify a token.
    #[error("no key in it verifies tokens: {0}")]
    NoKey(&'static str),
}

impl KeySet {
    /// Reads a JWK set.
    ///
    /// # Errors
    /// It is none, or no key in it verifies tokens.
    pub fn parse(text: &str) -> Result<Self, KeySetError> {
        let not_a_set = |why: String| KeySetError::NotASet(why);
        let document = json::object(text.as_bytes()).map_err(|why| not_a_set(why.to_string()))?;
        let Some(Value::Array(keys)) = document.get("keys") else {
            return Err(not_a_set("the member \"keys\" is not an array".to_owned()));
        };
        if keys.len() > MOST_KEYS {
            return Err(KeySetError::TooMany(keys.len()));
        }
        let mut why = "there is none";
        let mut read = Vec::new();
        for key in keys {
            match Key::read(key) {
                Ok(key) => read.push(key),
                Err(reason) => why = reason,
            }
        }
        match read.is_empty() {
            true => Err(KeySetError::NoKey(why)),
            false => Ok(Self(read)),
        }
    }

    /// Whether there is a key of this name, or any, if a token names none.
    pub fn has(&self, key_id: Option<&str>) -> bool {
        self.0.iter().any(|key| key.is_called(key_id))
    }

    /// Whether one of the keys signed it.
    pub(super) fn verify(&self, jws: &Jws<'_>, issuer: &str) -> Result<(), JwtError> {
        let algorithm = jws.header.get("alg").and_then(Value::as_str);
        let is_for = |key: &&Key| key.algorithm.is_none() || key.algorithm.as_deref() == algorithm;
        let mut candidates = self.0.iter().filter(|key| key.is_called(jws.key_id()));
        let mut candidates = candidates.by_ref().filter(is_for).peekable();
        if candidates.peek().is_none() {
            return Err(JwtError::NoSuchKey {
                issuer: issuer.to_owned(),
                key: jws
                    .key_id()
                    .map_or_else(|| "at all".to_owned(), |kid| format!("{kid:?}")),
            });
        }
        let signed = |key: &Key| {
            crypto::verify(&key.spki_der, jws.scheme, jws.signed, &jws.signature).is_ok()
        };
        match candidates.any(signed) {
            true => Ok(()),
            false => Err(JwtError::BadSignature),
        }
    }
}

impl Key {
    fn read(key: &Value) -> Result<Self, &'static str> {
        let key = key.as_object().ok_or("a key is not an object")?;
        let text = |name| key.get(name).and_then(Value::as_str);
        // RFC 7517 §4.2 and §4.3.
        if text("use").is_some_and(|usage| usage != "sig") || !verifies(key) {
            return Err("a key is for something else than signatures");
        }
        let spki_der = bundle::public_key_of_jwk(key);
        Ok(Self {
            spki_der: spki_der
                .ok_or("a key is broken, of a kind that is not supported, or secret")?,
            id: text("kid").filter(|kid| !kid.is_empty()).map(Into::into),
            algorithm: text("alg").map(Into::into),
        })
    }

    /// A token that names no key may be signed by any (RFC 7515 §4.1.4).
    fn is_called(&self, key_id: Option<&str>) -> bool {
        key_id.is_none() || self.id.as_deref() == key_id
    }
}

fn verifies(key: &Map<String, Value>) -> bool {
    match key.get("key_ops") {
        None => true,
        Some(Value::Array(all)) => all.iter().any(|one| one.as_str() == Some("verify")),
        Some(_) => false,
    }
}

/// An issuer has a few; each that fits a token costs a verification.
const MOST_KEYS: usize = 64;
