//! JWT-SVIDs: compact JWS only, signed by a JWT authority of the trust domain in `sub`. And tokens
//! of other issuers, as OpenID Connect has them, which are verified by the issuer's own keys.

mod issued;
mod jws;
mod key_set;
mod token;

pub use issued::{Issued, IssuedClaims};
pub use key_set::{KeySet, KeySetError};

use std::{
    sync::Arc,
    time::{Duration, SystemTime},
};

use base64::{Engine as _, engine::general_purpose::URL_SAFE_NO_PAD};
use serde::Serialize;
use serde_json::{Map, Value};
use spiffe::{SpiffeId, TrustDomain};

use crate::{
    bundle::Bundle,
    crypto,
    id::IdError,
    key::{KeyError, PrivateKey},
    unix,
};
use token::Token;

/// What a token says.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct Claims {
    /// Whose token it is.
    pub sub: SpiffeId,
    /// Who may accept it; at least one.
    pub aud: Vec<String>,
    /// When it was made.
    pub iat: SystemTime,
    /// When it ends.
    pub exp: SystemTime,
    /// Who made it.
    pub iss: Option<String>,
    /// Its own name.
    pub jti: Option<String>,
}

/// A token that was accepted.
#[derive(Debug, Clone, PartialEq)]
pub struct ValidJwt {
    /// Whose it is.
    pub id: SpiffeId,
    /// Everything it says.
    pub claims: Map<String, Value>,
    /// When it ends.
    pub expires_at: SystemTime,
}

/// What signs tokens: a private key of this process, or what stands for a key kept elsewhere.
pub trait Signer {
    /// Why it could not sign.
    type Error: std::error::Error + 'static;

    /// The JWS name of what [`Self::sign_jws`] does.
    fn jws_algorithm(&self) -> &'static str;

    /// Signs as JWS wants it.
    ///
    /// # Errors
    /// The signer's own.
    fn sign_jws(&self, message: &[u8]) -> Result<Vec<u8>, Self::Error>;
}

/// Why a token could not be made.
#[derive(Debug, Clone, PartialEq, thiserror::Error)]
pub enum SignError<E: std::error::Error + 'static> {
    /// Nobody to accept it.
    #[error("a JWT-SVID needs at least one audience")]
    NoAudience,
    /// Header or claims could not be written as JSON.
    #[error("the token's {segment} cannot be encoded: {reason}")]
    Encode {
        /// Header or claims.
        segment: &'static str,
        /// What is wrong with it.
        reason: String,
    },
    /// The key could not sign.
    #[error("the token could not be signed")]
    Signer(#[source] E),
}

/// Why a token is not accepted. No variant shows the token.
#[derive(Debug, Clone, PartialEq, thiserror::Error)]
pub enum JwtError {
    /// Longer than any honest token.
    #[error("the token is {0} bytes long; at most {MAX_LENGTH} are allowed")]
    TooLong(usize),
    /// Not three base64url parts.
    #[error("the token is not a compact JWS of three base64url parts")]
    NotCompact,
    /// Header or claims are not one JSON object with distinct names.
    #[error("the token's {part} is unreadable: {reason}")]
    Json {
        /// Header or claims.
        part: &'static str,
        /// What is wrong with it.
        reason: String,
    },
    /// An algorithm that tokens are not signed with (JWT-SVID §2.1).
    #[error("the token's algorithm {0} is not allowed")]
    Algorithm(String),
    /// No name of a key.
    #[error("the token has no key id (kid)")]
    NoKeyId,
    /// Another kind of token (JWT-SVID §2.3).
    #[error("the token's type {0} is {1}")]
    Type(String, &'static str),
    /// An extension that has to be understood (RFC 7515 §4.1.11).
    #[error("the token has critical header members (crit); none is understood")]
    Critical,
    /// A claim that is missing or of the wrong kind.
    #[error("the token's claim {0:?} is missing or malformed")]
    Claim(&'static str),
    /// The subject is no SPIFFE ID.
    #[error("the token's subject is no SPIFFE ID: {0}")]
    Subject(#[source] IdError),
    /// Past its end.
    #[error("the token has expired")]
    Expired,
    /// Before its beginning.
    #[error("the token is not valid yet")]
    NotYetValid,
    /// For somebody else.
    #[error("the token is not for audience {0:?}")]
    Audience(String),
    /// No bundle for the subject's trust domain.
    #[error("no bundle is known for the trust domain of {0}")]
    UnknownTrustDomain(SpiffeId),
    /// No such key in the bundle.
    #[error("the bundle of the token's trust domain has no JWT authority {0:?}")]
    UnknownKey(String),
    /// No such key among those of the issuer.
    #[error("{issuer} has no key {key} that verifies such a token")]
    NoSuchKey {
        /// Whose keys they are.
        issuer: String,
        /// The name that the token gives, or that it gives none.
        key: String,
    },
    /// The token is for none of those who may accept it.
    #[error("the token is for {found}, and {expected} is expected")]
    OtherAudience {
        /// For whom it is.
        found: String,
        /// For whom it should be.
        expected: String,
    },
    /// The signature is of another message or key.
    #[error("the token's signature does not match")]
    BadSignature,
}

/// Makes a token.
///
/// # Errors
/// The claims name no audience, or the signer does not sign.
pub fn sign<S: Signer>(
    signer: &S,
    key_id: &str,
    claims: &Claims,
) -> Result<String, SignError<S::Error>> {
    if claims.aud.is_empty() {
        return Err(SignError::NoAudience);
    }
    let header = Header {
        alg: signer.jws_algorithm(),
        kid: key_id,
        typ: "JWT",
    };
    let payload = Payload {
        aud: &claims.aud,
        exp: unix::seconds(claims.exp),
        iat: unix::seconds(claims.iat),
        iss: claims.iss.as_deref(),
        jti: claims.jti.as_deref(),
        sub: claims.sub.to_string(),
    };
    let mut token = segment("header", &header)?;
    token.push('.');
    token.push_str(&segment("claims", &payload)?);
    let signature = signer.sign_jws(token.as_bytes());
    let signature = signature.map_err(SignError::Signer)?;
    token.push('.');
    URL_SAFE_NO_PAD.encode_string(signature, &mut token);
    Ok(token)
}

/// Accepts a token for `audience`, or says why not. `find` gives the bundle of a trust domain.
///
/// # Errors
/// The token is malformed, not for `audience`, not valid at `now`, or not signed by an authority of
/// its subject's trust domain.
pub fn validate(
    token: &str,
    audience: &str,
    find: impl Fn(&TrustDomain) -> Option<Arc<Bundle>>,
    now: SystemTime,
) -> Result<ValidJwt, JwtError> {
    let token = Token::parse(token)?;
    token.jws.check_time(now, LEEWAY)?;
    // JWT-SVID §3.2: the whole value, no prefix and no folding of case.
    if !token.audience.iter().any(|one| one == audience) {
        return Err(JwtError::Audience(audience.to_owned()));
    }
    let Some(bundle) = find(token.id.trust_domain()) else {
        return Err(JwtError::UnknownTrustDomain(token.id));
    };
    let Some(authority) = bundle.jwt_authority(&token.key_id) else {
        return Err(JwtError::UnknownKey(token.key_id));
    };
    let jws = token.jws;
    crypto::verify(&authority.spki_der, jws.scheme, jws.signed, &jws.signature)
        .map_err(|_bad| JwtError::BadSignature)?;
    Ok(ValidJwt {
        id: token.id,
        expires_at: jws.expires_at()?,
        claims: jws.claims,
    })
}

impl Signer for PrivateKey {
    type Error = KeyError;

    fn jws_algorithm(&self) -> &'static str {
        Self::jws_algorithm(self)
    }

    fn sign_jws(&self, message: &[u8]) -> Result<Vec<u8>, KeyError> {
        Self::sign_jws(self, message)
    }
}

fn segment<E: std::error::Error + 'static>(
    name: &'static str,
    value: &impl Serialize,
) -> Result<String, SignError<E>> {
    let json = serde_json::to_vec(value).map_err(|error| SignError::Encode {
        segment: name,
        reason: error.to_string(),
    })?;
    Ok(URL_SAFE_NO_PAD.encode(json))
}

#[derive(Serialize)]
struct Header<'a> {
    alg: &'static str,
    kid: &'a str,
    typ: &'static str,
}

#[derive(Serialize)]
struct Payload<'a> {
    aud: &'a [String],
    exp: i64,
    iat: i64,
    #[serde(skip_serializing_if = "Option::is_none")]
    iss: Option<&'a str>,
    #[serde(skip_serializing_if = "Option::is_none")]
    jti: Option<&'a str>,
    sub: String,
}

/// How far clocks may disagree, as in SPIRE.
const LEEWAY: Duration = Duration::from_secs(60);
const MAX_LENGTH: usize = 64 * 1024;

#[cfg(test)]
mod tests;
