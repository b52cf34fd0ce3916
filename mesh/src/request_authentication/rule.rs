//! What one rule says: whose tokens, where they are, by which keys they are verified, and what the
//! application is told of them.

use std::{fmt, sync::Arc};

use base64::{Engine as _, engine::general_purpose::URL_SAFE_NO_PAD};
use http::{HeaderMap, HeaderName, HeaderValue};
use serde_json::{Map, Value};
use signet_identity::jwt::{IssuedClaims, KeySet};
use thiserror::Error;

use super::{jwks_uri::RemoteKeys, place::TokenPlace};
use crate::object::ObjectRef;

/// How the tokens of one issuer are verified.
#[derive(Debug, Clone)]
pub struct JwtRule {
    /// The document that it stands in.
    pub by: Arc<ObjectRef>,
    /// Which of its rules it is, counted from 0.
    pub index: usize,
    /// Whose tokens they are.
    pub issuer: Box<str>,
    /// For whom a token may be; whoever it is for if there are none.
    pub audiences: Vec<Box<str>>,
    /// What verifies them.
    pub keys: IssuerKeys,
    /// Whether the application gets the token, too.
    pub forwards_token: bool,
    pub(super) places: Vec<TokenPlace>,
    /// The header that says everything that the token says.
    pub(super) payload_to: Option<HeaderName>,
    pub(super) claims_to: Vec<ClaimHeader>,
}

/// What tokens are verified by.
#[derive(Debug, Clone)]
pub enum IssuerKeys {
    /// Keys that the document holds.
    Written(Arc<KeySet>),
    /// Keys that are fetched.
    Remote(Arc<RemoteKeys>),
}

/// A header that says what a claim says.
#[derive(Debug, Clone, PartialEq, Eq)]
pub(super) struct ClaimHeader {
    pub(super) header: HeaderName,
    pub(super) claim: Box<str>,
}

/// A claim that no header can say.
#[derive(Debug, Clone, PartialEq, Eq, Error)]
#[error("the token's claim {0:?} cannot be written into a header")]
pub struct Untellable(Box<str>);

impl JwtRule {
    /// Whether a token is looked for at `place`.
    pub(super) fn looks_at(&self, place: &TokenPlace) -> bool {
        self.places.contains(place)
    }

    /// The headers that are made of tokens.
    pub(super) fn headers(&self) -> impl Iterator<Item = &HeaderName> {
        let of_claims = self.claims_to.iter().map(|it| &it.header);
        self.payload_to.iter().chain(of_claims)
    }

    /// Tells the application what a token says. Texts, numbers and truth values are written as they
    /// are, lists and objects as JSON in base64url, as Envoy does it.
    ///
    /// # Errors
    /// A claim that no header can say.
    pub fn tell(
        &self,
        token: &IssuedClaims<'_>,
        headers: &mut HeaderMap,
    ) -> Result<(), Untellable> {
        if let Some(name) = &self.payload_to
            && let Ok(value) = HeaderValue::from_str(token.payload)
        {
            headers.insert(name, value);
        }
        for ClaimHeader { header, claim } in &self.claims_to {
            let Some(value) = claim_of(&token.claims, claim) else {
                continue;
            };
            let text = match value {
                Value::Null => continue,
                Value::String(text) => text.clone(),
                Value::Bool(_) | Value::Number(_) => value.to_string(),
                Value::Array(_) | Value::Object(_) => URL_SAFE_NO_PAD.encode(value.to_string()),
            };
            let value = HeaderValue::try_from(text);
            headers.insert(header, value.map_err(|_invalid| Untellable(claim.clone()))?);
        }
        Ok(())
    }
}

impl fmt::Display for JwtRule {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        let ObjectRef { name, file, line } = &*self.by;
        let index = self.index;
        write!(
            f,
            "RequestAuthentication {name} jwtRules[{index}] ({file}:{line})"
        )
    }
}

/// The claim of this name, or the one inside others, whose names are parted by dots.
fn claim_of<'c>(claims: &'c Map<String, Value>, name: &str) -> Option<&'c Value> {
    claims.get(name).or_else(|| {
        let mut names = name.split('.');
        let first = claims.get(names.next()?)?;
        names.try_fold(first, |value, name| value.get(name))
    })
}
