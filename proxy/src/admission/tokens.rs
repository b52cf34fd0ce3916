//! The token that a request comes with (RFC 6750 §2.1), and whether it is good.

use std::{collections::HashMap, sync::Arc, time::SystemTime};

use http::{HeaderMap, header};
use signet_identity::{
    TrustDomain,
    bundle::Bundle,
    jwt::{self, JwtError},
};
use signet_mesh::Token;
use tokio::sync::watch;

use crate::flow::Policy;

/// The keys of tokens, by trust domain.
pub(super) type Bundles = HashMap<TrustDomain, Arc<Bundle>>;

/// Those in force.
pub(super) type SharedBundles = watch::Receiver<Arc<Bundles>>;

/// Verifies tokens.
#[derive(Debug)]
pub(super) struct Tokens {
    /// A token must be for one of them.
    pub(super) audiences: Vec<String>,
    pub(super) bundles: SharedBundles,
}

impl Tokens {
    /// What a JWT-SVID says.
    ///
    /// # Errors
    /// It is not good, and why.
    pub(super) fn verified(&self, token: &str, now: SystemTime) -> Result<Token, Policy> {
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

/// The token in the `Authorization` header. Other schemes are the application's affair.
///
/// # Errors
/// There are two headers, of which the application might read the other one.
pub(super) fn bearer(headers: &HeaderMap) -> Result<Option<&str>, Policy> {
    let mut given = headers.get_all(header::AUTHORIZATION).iter();
    let Some(value) = given.next() else {
        return Ok(None);
    };
    if given.next().is_some() {
        return Err(bad("the request has more than one Authorization header"));
    }
    let Ok(text) = value.to_str() else {
        return Err(bad("the Authorization header is not readable"));
    };
    let (scheme, token) = text.split_once(' ').unwrap_or((text, ""));
    match scheme.eq_ignore_ascii_case("bearer") {
        true => Ok(Some(token.trim())),
        false => Ok(None),
    }
}

fn bad(why: impl ToString) -> Policy {
    Policy::BadToken(why.to_string().into())
}

#[cfg(test)]
mod tests {
    use std::time::Duration;

    use http::HeaderValue;
    use signet_identity::{
        bundle::JwtAuthority,
        jwt::Claims,
        key::{KeyType, PrivateKey},
    };

    use super::*;
    use crate::clock;

    const AUDIENCE: &str = "spiffe://example.org/orders";

    struct Issuer {
        key: PrivateKey,
        tokens: Tokens,
    }

    impl Issuer {
        fn new() -> Self {
            let key = PrivateKey::generate(KeyType::EcP256).unwrap();
            let name: TrustDomain = "example.org".parse().unwrap();
            let mut bundle = Bundle::empty(name.clone());
            bundle.jwt_authorities.push(JwtAuthority {
                key_id: "k".to_owned(),
                spki_der: key.spki_der().to_vec(),
                expires_at: None,
                tainted: false,
            });
            let bundles = HashMap::from([(name, Arc::new(bundle))]);
            let tokens = Tokens {
                audiences: vec!["other".to_owned(), AUDIENCE.to_owned()],
                bundles: watch::channel(Arc::new(bundles)).1,
            };
            Self { key, tokens }
        }

        fn token(&self, audience: &str, lives: Duration) -> String {
            let claims = Claims {
                sub: "spiffe://example.org/job".parse().unwrap(),
                aud: vec![audience.to_owned()],
                iat: clock::now(),
                exp: clock::now() + lives,
                iss: None,
                jti: None,
            };
            jwt::sign(&self.key, "k", &claims).unwrap()
        }

        fn verified(&self, token: &str, now: SystemTime) -> Result<String, String> {
            match self.tokens.verified(token, now) {
                Ok(token) => Ok(token.principal().unwrap().to_owned()),
                Err(Policy::BadToken(why)) => Err(why.to_string()),
                Err(other) => panic!("{other:?}"),
            }
        }
    }

    #[test]
    fn a_jwt_svid_for_us_is_good_and_any_other_is_not() {
        let (issuer, now) = (Issuer::new(), clock::now());
        let hour = Duration::from_secs(3600);
        let good = issuer.token(AUDIENCE, hour);
        assert_eq!(
            issuer.verified(&good, now).as_deref(),
            Ok("spiffe://example.org/job")
        );
        let refused = |token: &str, now| issuer.verified(token, now).unwrap_err();
        assert!(refused(&issuer.token("somebody", hour), now).contains("not for audience"));
        assert!(refused(&good, now + 2 * hour).contains("expired"));
        let forged = Issuer::new().token(AUDIENCE, hour);
        assert!(refused(&forged, now).contains("signature does not match"));
        assert!(refused("opaque", now).contains("not a compact JWS"));
    }

    #[test]
    fn only_one_bearer_token_is_read() {
        let with = |values: &[&'static str]| {
            let mut headers = HeaderMap::new();
            for value in values {
                headers.append(header::AUTHORIZATION, HeaderValue::from_static(value));
            }
            headers
        };
        assert_eq!(bearer(&with(&[])).unwrap(), None);
        assert_eq!(bearer(&with(&["Basic abc"])).unwrap(), None);
        assert_eq!(bearer(&with(&["bearer abc"])).unwrap(), Some("abc"));
        assert_eq!(bearer(&with(&["Bearer"])).unwrap(), Some(""));
        assert!(bearer(&with(&["Bearer a", "Bearer b"])).is_err());
        assert!(bearer(&with(&["Basic a", "Bearer b"])).is_err());
    }
}
