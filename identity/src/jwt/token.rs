//! What a JWT-SVID has to be, beyond a token that is well formed.

use serde_json::Value;
use spiffe::SpiffeId;

use super::{JwtError, jws::Jws};
use crate::{crypto::Scheme, id};

pub(super) struct Token<'a> {
    pub(super) jws: Jws<'a>,
    pub(super) key_id: String,
    pub(super) id: SpiffeId,
    pub(super) audience: Vec<String>,
}

impl<'a> Token<'a> {
    pub(super) fn parse(text: &'a str) -> Result<Self, JwtError> {
        let jws = Jws::parse(text)?;
        // JWT-SVID §2.1: nine algorithms, and this is none of them.
        if jws.scheme == Scheme::Ed25519 {
            return Err(JwtError::Algorithm("\"EdDSA\"".to_owned()));
        }
        check_type(&jws)?;
        let subject = jws
            .claims
            .get("sub")
            .and_then(Value::as_str)
            .ok_or(JwtError::Claim("sub"))?;
        jws.expires_at()?;
        Ok(Self {
            key_id: jws.key_id().ok_or(JwtError::NoKeyId)?.to_owned(),
            id: id::parse(subject).map_err(JwtError::Subject)?,
            audience: jws.audience()?,
            jws,
        })
    }
}

/// JWT-SVID §2.3.
fn check_type(jws: &Jws<'_>) -> Result<(), JwtError> {
    match jws.header.get("typ") {
        None => Ok(()),
        Some(Value::String(name)) if name == "JWT" || name == "JOSE" => Ok(()),
        Some(other) => Err(JwtError::Type(other.to_string(), "neither JWT nor JOSE")),
    }
}
