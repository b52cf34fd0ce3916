//! The token that a request comes with, and whether it is good: a JWT-SVID, or one of an issuer
//! that a `RequestAuthentication` names. The claim `iss` says which, before anything is proven.

use std::{collections::HashMap, sync::Arc, time::SystemTime};

use http::HeaderMap;
use signet_identity::{
    TrustDomain,
    bundle::Bundle,
    jwt::{self, Issued, IssuedClaims, JwtError, KeySet},
};
use signet_mesh::{
    FoundToken, IssuerKeys, JwtRule, Token, TokenPlace, WorkloadRequestAuthentication,
};
use tokio::sync::watch;

use super::key_sets::KeySets;
use crate::flow::Policy;

/// The keys of JWT-SVIDs, by trust domain.
pub(super) type Bundles = HashMap<TrustDomain, Arc<Bundle>>;

/// Those in force.
pub(super) type SharedBundles = watch::Receiver<Arc<Bundles>>;

/// Verifies tokens.
#[derive(Debug)]
pub(super) struct Tokens {
    /// None if JWT-SVIDs are not looked at.
    pub(super) svids: Option<Svids>,
    /// The keys of other issuers.
    pub(super) keys: KeySets,
}

/// Verifies JWT-SVIDs.
#[derive(Debug)]
pub(super) struct Svids {
    /// A token must be for one of them.
    pub(super) audiences: Vec<String>,
    pub(super) bundles: SharedBundles,
    /// Where they stand.
    pub(super) place: TokenPlace,
}

/// Where a request may carry a token.
#[derive(Debug)]
pub(crate) struct Carried<'r> {
    /// Its headers.
    pub(crate) headers: &'r mut HeaderMap,
    /// Its query, if it has one.
    pub(crate) query: Option<&'r str>,
}

/// A token that was looked at.
#[derive(Debug, Default)]
pub(crate) struct Shown {
    /// What it says; none if there is no token.
    pub(crate) token: Option<Arc<Token>>,
    /// The query that goes on, if it is another one than before.
    pub(crate) query: Option<String>,
}

impl Tokens {
    /// Whether tokens are looked at.
    pub(super) fn are_read(&self, rules: &WorkloadRequestAuthentication) -> bool {
        self.svids.is_some() || !rules.is_empty()
    }

    /// What the token of a request says, by which its headers are changed.
    ///
    /// # Errors
    /// It is not good, and why.
    pub(super) fn read(
        &self,
        rules: &WorkloadRequestAuthentication,
        carried: Carried<'_>,
        now: SystemTime,
    ) -> Result<Shown, Policy> {
        let Carried { headers, query } = carried;
        rules.withhold(headers);
        let also = self.svids.as_ref().map(|svids| &svids.place);
        let Some(found) = rules.token(headers, query, also).map_err(bad)? else {
            return Ok(Shown::default());
        };
        let issued = Issued::parse(&found.token).map_err(bad)?;
        let of_issuer = issued.issuer().unwrap_or_default();
        let mut of_issuer = rules.rules_of(of_issuer, &found.place).peekable();
        if of_issuer.peek().is_none() {
            let token = Some(Arc::new(self.svid(&issued, &found, now)?));
            return Ok(Shown { token, query: None });
        }
        let mut refused = None;
        for rule in of_issuer {
            match self.verified(rule, &issued, now) {
                Ok(said) => return tell(rule, &found.place, said, Carried { headers, query }),
                Err(why) => refused = refused.or(Some(why)),
            }
        }
        Err(bad(refused.unwrap_or_default()))
    }

    fn verified<'t>(
        &self,
        rule: &JwtRule,
        issued: &Issued<'t>,
        now: SystemTime,
    ) -> Result<IssuedClaims<'t>, String> {
        let keys: Arc<KeySet> = match &rule.keys {
            IssuerKeys::Written(keys) => Arc::clone(keys),
            IssuerKeys::Remote(remote) => self.keys.of(remote, issued.key_id())?,
        };
        let verified = issued.verified(&rule.audiences, &keys, now);
        verified.map_err(|why| why.to_string())
    }

    /// A token of no issuer that is named has to be a JWT-SVID.
    fn svid(
        &self,
        issued: &Issued<'_>,
        found: &FoundToken,
        now: SystemTime,
    ) -> Result<Token, Policy> {
        match &self.svids {
            Some(svids) if found.place == svids.place => svids.verified(&found.token, now),
            Some(_) | None => Err(bad(unknown(issued.issuer()))),
        }
    }
}

impl Svids {
    /// What a JWT-SVID says.
    ///
    /// # Errors
    /// It is not good, and why.
    fn verified(&self, token: &str, now: SystemTime) -> Result<Token, Policy> {
        let bundles = Arc::clone(&self.bundles.borrow());
        let find = |name: &TrustDomain| bundles.get(name).cloned();
        let mut refused = None;
        for audience in &self.audiences {
            match jwt::validate(token, audience, find, now) {
                Ok(valid) => return Ok(Token::of_svid(&valid.id, valid.claims)),
                Err(error @ JwtError::Audience(_)) => refused = Some(error),
                Err(error) => return Err(bad(error)),
            }
        }
        Err(refused.map_or_else(|| bad("no audience is accepted"), bad))
    }
}

/// Tells the application of a good token what its rule wants.
fn tell(
    rule: &JwtRule,
    place: &TokenPlace,
    said: IssuedClaims<'_>,
    carried: Carried<'_>,
) -> Result<Shown, Policy> {
    let Carried { headers, query } = carried;
    let query = match rule.forwards_token {
        true => None,
        false => place.strip(headers, query),
    };
    rule.tell(&said, headers).map_err(bad)?;
    let token = Token::of_issuer(&rule.issuer, said.claims);
    let token = Some(Arc::new(token));
    Ok(Shown { token, query })
}

/// In the words of Envoy, which people look for.
fn unknown(issuer: Option<&str>) -> String {
    let known = "no RequestAuthentication for this workload names";
    match issuer {
        Some(issuer) => {
            let issuer: String = issuer.chars().take(LONGEST_TOLD).collect();
            format!("Jwt issuer is not configured: {known} {issuer:?}")
        }
        None => "Jwt issuer is not configured: the token names none".to_owned(),
    }
}

fn bad(why: impl ToString) -> Policy {
    Policy::BadToken(why.to_string().into())
}

/// Characters of what somebody says of itself.
const LONGEST_TOLD: usize = 200;

#[cfg(test)]
mod tests;
