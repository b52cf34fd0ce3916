//! Whose tokens one workload takes.

use std::{slice, sync::Arc};

use http::{HeaderMap, HeaderName};

use super::{
    jwks_uri::RemoteKeys,
    place::{TokenError, TokenPlace},
    rule::{IssuerKeys, JwtRule},
};

/// The rules for the tokens of one workload's requests.
#[derive(Debug, Clone, Default)]
pub struct WorkloadRequestAuthentication {
    rules: Vec<Arc<JwtRule>>,
    /// Each once.
    places: Vec<TokenPlace>,
    /// The headers that are made of tokens, which nobody else may set.
    told: Vec<HeaderName>,
}

/// A token of a request, and where it stands.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct FoundToken {
    /// The token; nothing of it is proven.
    pub token: String,
    /// Where it stands.
    pub place: TokenPlace,
}

impl WorkloadRequestAuthentication {
    pub(super) fn new(rules: impl Iterator<Item = Arc<JwtRule>>) -> Self {
        let mut own = Self {
            rules: rules.collect(),
            ..Self::default()
        };
        for rule in &own.rules {
            for place in &rule.places {
                if !own.places.contains(place) {
                    own.places.push(place.clone());
                }
            }
            own.told.extend(rule.headers().cloned());
        }
        own
    }

    /// Whether there is no rule.
    pub fn is_empty(&self) -> bool {
        self.rules.is_empty()
    }

    /// Every rule.
    pub fn rules(&self) -> &[Arc<JwtRule>] {
        &self.rules
    }

    /// The keys that are fetched.
    pub fn remote_keys(&self) -> impl Iterator<Item = &Arc<RemoteKeys>> {
        self.rules.iter().filter_map(|rule| match &rule.keys {
            IssuerKeys::Written(_) => None,
            IssuerKeys::Remote(keys) => Some(keys),
        })
    }

    /// The rules for the tokens of `issuer` that stand at `place`.
    pub fn rules_of<'r>(
        &'r self,
        issuer: &'r str,
        place: &'r TokenPlace,
    ) -> impl Iterator<Item = &'r Arc<JwtRule>> {
        let all = self.rules.iter();
        all.filter(move |rule| *rule.issuer == *issuer && rule.looks_at(place))
    }

    /// The token of a request, which may also stand at one more place.
    ///
    /// # Errors
    /// It cannot be said which one it is.
    pub fn token(
        &self,
        headers: &HeaderMap,
        query: Option<&str>,
        also: Option<&TokenPlace>,
    ) -> Result<Option<FoundToken>, TokenError> {
        let also = also.filter(|place| !self.places.contains(place));
        let also = also.map_or(&[][..], slice::from_ref);
        let mut found: Option<FoundToken> = None;
        for place in self.places.iter().chain(also) {
            let Some(token) = place.token(headers, query)? else {
                continue;
            };
            if let Some(earlier) = found {
                return Err(TokenError::Two(earlier.place, place.clone()));
            }
            let place = place.clone();
            found = Some(FoundToken { token, place });
        }
        Ok(found)
    }

    /// Takes away the headers that only a token may set.
    pub fn withhold(&self, headers: &mut HeaderMap) {
        for name in &self.told {
            headers.remove(name);
        }
    }
}
