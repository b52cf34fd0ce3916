//! Tokens of other issuers (RFC 7519, OpenID Connect): whose they say that they are is known before
//! anything of them is proven, and decides by whose keys they are verified.
//!
//! Other than in Envoy, a token without an end (`exp`) is refused.

use std::time::SystemTime;

use serde_json::{Map, Value};

use super::{JwtError, LEEWAY, jws::Jws, key_set::KeySet};

/// A token of which nothing is proven yet.
#[derive(Debug)]
pub struct Issued<'a>(Jws<'a>);

/// What a token says that was found to be good.
#[derive(Debug, Clone, PartialEq)]
pub struct IssuedClaims<'a> {
    /// Everything it says.
    pub claims: Map<String, Value>,
    /// The same as it was received, in base64url.
    pub payload: &'a str,
}

impl<'a> Issued<'a> {
    /// Takes a token apart.
    ///
    /// # Errors
    /// It is malformed, or of a kind that is not shown to others (RFC 8725 §3.11).
    pub fn parse(text: &'a str) -> Result<Self, JwtError> {
        let jws = Jws::parse(text)?;
        match jws.header.get("typ") {
            None => {}
            Some(Value::String(name)) if is_shown(name) => {}
            Some(other) => {
                return Err(JwtError::Type(
                    other.to_string(),
                    "none of JWT, JOSE and at+jwt",
                ));
            }
        }
        Ok(Self(jws))
    }

    /// Who is said to have made it.
    pub fn issuer(&self) -> Option<&str> {
        self.0.claims.get("iss").and_then(Value::as_str)
    }

    /// The name of its key, if it has one.
    pub fn key_id(&self) -> Option<&str> {
        self.0.key_id()
    }

    /// Accepts it, if one of `keys` signed it, and it is for one of `audiences`, if there are any.
    ///
    /// # Errors
    /// It is for others, not valid at `now`, or not signed by one of the keys.
    pub fn verified(
        &self,
        audiences: &[Box<str>],
        keys: &KeySet,
        now: SystemTime,
    ) -> Result<IssuedClaims<'a>, JwtError> {
        let jws = &self.0;
        jws.check_time(now, LEEWAY)?;
        if !audiences.is_empty() {
            check_audience(jws, audiences)?;
        }
        let issuer = self.issuer().ok_or(JwtError::Claim("iss"))?;
        keys.verify(jws, issuer)?;
        Ok(IssuedClaims {
            claims: jws.claims.clone(),
            payload: jws.payload,
        })
    }
}

/// Whole values, no prefix and no folding of case.
fn check_audience(jws: &Jws<'_>, audiences: &[Box<str>]) -> Result<(), JwtError> {
    let found = jws.audience()?;
    if found
        .iter()
        .any(|one| audiences.iter().any(|it| **it == **one))
    {
        return Ok(());
    }
    Err(JwtError::OtherAudience {
        found: format!("{found:?}"),
        expected: audiences.join(" or "),
    })
}

/// ID tokens and access tokens (RFC 9068 §2.1).
fn is_shown(name: &str) -> bool {
    let name = name.to_ascii_lowercase();
    let name = name.strip_prefix("application/").unwrap_or(&name);
    matches!(name, "jwt" | "jose" | "at+jwt")
}
