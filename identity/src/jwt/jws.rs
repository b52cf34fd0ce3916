//! A token taken apart and read strictly: one spelling, no name twice, nothing guessed.

use std::time::{Duration, SystemTime, UNIX_EPOCH};

use base64::{Engine as _, engine::general_purpose::URL_SAFE_NO_PAD};
use serde_json::{Map, Value};

use super::{JwtError, MAX_LENGTH};
use crate::{
    crypto::{Hash, Scheme},
    json, unix,
};

/// What stands in a compact JWS, before anything of it is proven.
#[derive(Debug)]
pub(super) struct Jws<'a> {
    /// Header and claims as they were received.
    pub(super) signed: &'a [u8],
    /// The claims as they were received.
    pub(super) payload: &'a str,
    pub(super) signature: Vec<u8>,
    pub(super) scheme: Scheme,
    pub(super) header: Map<String, Value>,
    pub(super) claims: Map<String, Value>,
}

impl<'a> Jws<'a> {
    pub(super) fn parse(text: &'a str) -> Result<Self, JwtError> {
        if text.len() > MAX_LENGTH {
            return Err(JwtError::TooLong(text.len()));
        }
        let segments = Segments::of(text)?;
        let header = object("header", segments.header)?;
        let scheme = scheme(&header)?;
        if header.contains_key("crit") {
            return Err(JwtError::Critical);
        }
        Ok(Self {
            signed: segments.signed.as_bytes(),
            payload: segments.claims,
            signature: decode(segments.signature)?,
            scheme,
            claims: object("claims", segments.claims)?,
            header,
        })
    }

    /// The name of its key, if it has one.
    pub(super) fn key_id(&self) -> Option<&str> {
        let key_id = self.header.get("kid").and_then(Value::as_str);
        key_id.filter(|kid| !kid.is_empty())
    }

    /// For whom it is; at least one.
    pub(super) fn audience(&self) -> Result<Vec<String>, JwtError> {
        let wrong = JwtError::Claim("aud");
        let text = |value: &Value| value.as_str().map(str::to_owned);
        let audience: Option<Vec<String>> = match self.claims.get("aud") {
            Some(Value::Array(values)) => values.iter().map(text).collect(),
            Some(value) => text(value).map(|one| vec![one]),
            None => None,
        };
        audience
            .filter(|audience| !audience.is_empty())
            .ok_or(wrong)
    }

    /// When it ends, which has to be said.
    pub(super) fn expires_at(&self) -> Result<SystemTime, JwtError> {
        self.time("exp")?.ok_or(JwtError::Claim("exp"))
    }

    /// Checks `exp`, and `nbf` and `iat` where they stand.
    pub(super) fn check_time(&self, now: SystemTime, leeway: Duration) -> Result<(), JwtError> {
        let earliest = now.checked_sub(leeway).unwrap_or(UNIX_EPOCH);
        if self.expires_at()? < earliest {
            return Err(JwtError::Expired);
        }
        let latest = now.checked_add(leeway).unwrap_or(now);
        for claim in ["nbf", "iat"] {
            if self.time(claim)?.is_some_and(|time| time > latest) {
                return Err(JwtError::NotYetValid);
            }
        }
        Ok(())
    }

    /// RFC 7519 §2: a NumericDate may have a fraction.
    fn time(&self, name: &'static str) -> Result<Option<SystemTime>, JwtError> {
        let Some(value) = self.claims.get(name) else {
            return Ok(None);
        };
        let time = match (value.as_i64(), value.as_f64()) {
            (Some(seconds), _) => unix::time(seconds),
            (None, Some(seconds)) => Duration::try_from_secs_f64(seconds.max(0.0))
                .ok()
                .and_then(|since| UNIX_EPOCH.checked_add(since)),
            (None, None) => None,
        };
        time.map(Some).ok_or(JwtError::Claim(name))
    }
}

struct Segments<'a> {
    header: &'a str,
    claims: &'a str,
    signature: &'a str,
    signed: &'a str,
}

impl<'a> Segments<'a> {
    fn of(text: &'a str) -> Result<Self, JwtError> {
        let (signed, signature) = text.rsplit_once('.').ok_or(JwtError::NotCompact)?;
        let (header, claims) = signed.split_once('.').ok_or(JwtError::NotCompact)?;
        if header.is_empty() || claims.is_empty() || signature.is_empty() || claims.contains('.') {
            return Err(JwtError::NotCompact);
        }
        Ok(Self {
            header,
            claims,
            signature,
            signed,
        })
    }
}

/// How it is signed: with the key of one who alone has it. What anybody could sign who verifies it
/// (`HS256`), or who cannot (`none`), is no token.
fn scheme(header: &Map<String, Value>) -> Result<Scheme, JwtError> {
    let algorithm = header.get("alg").unwrap_or(&Value::Null);
    match algorithm.as_str() {
        Some("RS256") => Ok(Scheme::RsaPkcs1(Hash::Sha256)),
        Some("RS384") => Ok(Scheme::RsaPkcs1(Hash::Sha384)),
        Some("RS512") => Ok(Scheme::RsaPkcs1(Hash::Sha512)),
        Some("PS256") => Ok(Scheme::RsaPss(Hash::Sha256)),
        Some("PS384") => Ok(Scheme::RsaPss(Hash::Sha384)),
        Some("PS512") => Ok(Scheme::RsaPss(Hash::Sha512)),
        Some("ES256") => Ok(Scheme::EcdsaFixed(Hash::Sha256)),
        Some("ES384") => Ok(Scheme::EcdsaFixed(Hash::Sha384)),
        Some("ES512") => Ok(Scheme::EcdsaFixed(Hash::Sha512)),
        Some("EdDSA") => Ok(Scheme::Ed25519),
        Some(_) | None => Err(JwtError::Algorithm(algorithm.to_string())),
    }
}

fn object(part: &'static str, text: &str) -> Result<Map<String, Value>, JwtError> {
    json::object(&decode(text)?).map_err(|error| JwtError::Json {
        part,
        reason: error.to_string(),
    })
}

/// RFC 7515 §2: base64url without padding, and only the one spelling that encoding gives.
fn decode(text: &str) -> Result<Vec<u8>, JwtError> {
    URL_SAFE_NO_PAD
        .decode(text)
        .map_err(|_malformed| JwtError::NotCompact)
}
