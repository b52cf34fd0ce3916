//! Tokens that are good, and why others are not.

use std::{collections::BTreeMap, time::Duration};

use base64::{Engine as _, engine::general_purpose::URL_SAFE_NO_PAD};
use http::{HeaderValue, header};
use serde_json::{Value, json};
use signet_identity::{
    bundle::JwtAuthority,
    jwt::Claims,
    key::{KeyType, PrivateKey},
    unix,
};
use signet_mesh::{Model, Source, Workload};

use super::*;
use crate::clock;

const AUDIENCE: &str = "spiffe://example.org/orders";
const ISSUER: &str = "https://accounts.example";
const HOUR: Duration = Duration::from_secs(3600);

/// Somebody who signs tokens, and a proxy that verifies them.
struct Signer {
    key: PrivateKey,
    bundle: Bundle,
    rules: WorkloadRequestAuthentication,
    tokens: Tokens,
}

impl Signer {
    /// Of JWT-SVIDs alone.
    fn of_svids() -> Self {
        let key = PrivateKey::generate(KeyType::EcP256).unwrap();
        let name: TrustDomain = "example.org".parse().unwrap();
        let mut bundle = Bundle::empty(name.clone());
        bundle.jwt_authorities.push(JwtAuthority {
            key_id: "k".to_owned(),
            spki_der: key.spki_der().to_vec(),
            expires_at: None,
            tainted: false,
        });
        let bundles = HashMap::from([(name, Arc::new(bundle.clone()))]);
        let svids = Svids {
            audiences: vec!["other".to_owned(), AUDIENCE.to_owned()],
            bundles: watch::channel(Arc::new(bundles)).1,
            place: TokenPlace::bearer(),
        };
        Self {
            key,
            bundle,
            rules: WorkloadRequestAuthentication::default(),
            tokens: Tokens {
                svids: Some(svids),
                keys: KeySets::default(),
            },
        }
    }

    /// Of tokens of an issuer, whose rule has more keys.
    fn of_issuer(more: &str) -> Self {
        let mut signer = Self::of_svids();
        let jwks = Value::String(signer.bundle.to_jwks());
        let rule = format!("{{ issuer: '{ISSUER}', jwks: {jwks}{more} }}");
        signer.rules = rules(&rule);
        signer.tokens.svids = None;
        signer
    }

    fn svid(&self, audience: &str, lives: Duration) -> String {
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

    /// A token with these claims and others.
    fn token(&self, more: Value) -> String {
        self.token_with(json!({"alg": "ES256", "kid": "k"}), more)
    }

    fn token_with(&self, head: Value, more: Value) -> String {
        let mut claims = json!({
            "iss": ISSUER,
            "sub": "alice",
            "exp": unix::seconds(clock::now() + HOUR),
        });
        let own = claims.as_object_mut().unwrap();
        own.extend(more.as_object().unwrap().clone());
        own.retain(|_, value| !value.is_null());
        let encode = |value: &Value| URL_SAFE_NO_PAD.encode(value.to_string());
        let signed = format!("{}.{}", encode(&head), encode(&claims));
        let signature = self.key.sign_jws(signed.as_bytes()).unwrap();
        format!("{signed}.{}", URL_SAFE_NO_PAD.encode(signature))
    }

    fn read(&self, headers: &mut HeaderMap, query: Option<&str>) -> Result<Shown, String> {
        let carried = Carried { headers, query };
        self.read_at(carried, clock::now())
    }

    fn read_at(&self, carried: Carried<'_>, now: SystemTime) -> Result<Shown, String> {
        let read = self.tokens.read(&self.rules, carried, now);
        read.map_err(|policy| {
            let Policy::BadToken(why) = policy else {
                panic!("{policy:?}");
            };
            why.to_string()
        })
    }

    /// The principal of a request with this token.
    fn principal(&self, token: &str) -> Result<String, String> {
        let shown = self.read(&mut bearing(token), None)?;
        Ok(shown.token.unwrap().principal().unwrap().to_owned())
    }

    fn refusal(&self, token: &str) -> String {
        self.principal(token).unwrap_err()
    }
}

fn rules(rule: &str) -> WorkloadRequestAuthentication {
    let text = format!(
        "apiVersion: security.istio.io/v1\nkind: RequestAuthentication\n\
         metadata: {{ name: users, namespace: shop }}\nspec: {{ jwtRules: [{rule}] }}\n"
    );
    let name = "users.yaml".to_owned();
    let model = Model::parse(&[Source { name, text }]).unwrap();
    let workload = Workload {
        namespace: "shop".to_owned(),
        labels: BTreeMap::new(),
    };
    let model = model.for_workload(&workload, "root");
    model.request_authentication
}

fn bearing(token: &str) -> HeaderMap {
    let mut headers = HeaderMap::new();
    let value = HeaderValue::try_from(format!("Bearer {token}")).unwrap();
    headers.insert(header::AUTHORIZATION, value);
    headers
}

#[test]
fn a_jwt_svid_for_us_is_good_and_any_other_is_not() {
    let (signer, now) = (Signer::of_svids(), clock::now());
    let good = signer.svid(AUDIENCE, HOUR);
    assert_eq!(
        signer.principal(&good).as_deref(),
        Ok("spiffe://example.org/job")
    );
    let wrong = signer.refusal(&signer.svid("somebody", HOUR));
    assert!(wrong.contains("not for audience"), "{wrong}");
    let headers = &mut bearing(&good);
    let late = signer.read_at(
        Carried {
            headers,
            query: None,
        },
        now + 2 * HOUR,
    );
    assert!(late.unwrap_err().contains("expired"));
    let forged = Signer::of_svids().svid(AUDIENCE, HOUR);
    assert!(signer.refusal(&forged).contains("signature does not match"));
    assert!(signer.refusal("opaque").contains("not a compact JWS"));
}

#[test]
fn only_one_bearer_token_is_read() {
    let signer = Signer::of_svids();
    let with = |values: &[&'static str]| {
        let mut headers = HeaderMap::new();
        for value in values {
            headers.append(header::AUTHORIZATION, HeaderValue::from_static(value));
        }
        let shown = signer.read(&mut headers, None);
        shown.map(|shown| shown.token.is_some())
    };
    assert_eq!(with(&[]), Ok(false));
    assert_eq!(with(&["Basic abc"]), Ok(false));
    for not_good in ["bearer abc", "Bearer", "Bearer "] {
        assert!(
            with(&[not_good]).unwrap_err().contains("compact JWS"),
            "{not_good}"
        );
    }
    for two in [["Bearer a", "Bearer b"], ["Basic a", "Bearer b"]] {
        let why = with(&two).unwrap_err();
        assert!(why.contains("more than one Authorization header"), "{why}");
    }
}

#[test]
fn a_token_of_an_issuer_gives_its_principal_and_does_not_go_on() {
    let signer = Signer::of_issuer("");
    let good = signer.token(json!({}));
    assert_eq!(
        signer.principal(&good).as_deref(),
        Ok("https://accounts.example/alice")
    );
    let mut headers = bearing(&good);
    signer.read(&mut headers, None).unwrap();
    assert!(headers.is_empty(), "{headers:?}");
    let kept = Signer::of_issuer(", forwardOriginalToken: true");
    let mut headers = bearing(&kept.token(json!({})));
    kept.read(&mut headers, None).unwrap();
    assert!(headers.contains_key(header::AUTHORIZATION));
    let none = signer.read(&mut HeaderMap::new(), Some("a=b")).unwrap();
    assert!(none.token.is_none() && none.query.is_none(), "anonymous");
}

#[test]
fn a_token_in_the_query_or_a_cookie_is_taken_out_of_it() {
    let signer = Signer::of_issuer("");
    let token = signer.token(json!({})).replace('.', "%2E");
    let query = format!("a=1&access%5ftoken={token}&b=%2F");
    let shown = signer.read(&mut HeaderMap::new(), Some(&query)).unwrap();
    assert_eq!(shown.query.as_deref(), Some("a=1&b=%2F"));
    assert!(shown.token.is_some());
    let twice = format!("{query}&access_token=x");
    let why = signer
        .read(&mut HeaderMap::new(), Some(&twice))
        .unwrap_err();
    assert!(
        why.contains("more than one parameter access_token"),
        "{why}"
    );
    let why = signer.read(&mut bearing("x"), Some(&query)).unwrap_err();
    assert!(
        why.contains("two tokens, in Authorization header and in parameter"),
        "{why}"
    );

    let signer = Signer::of_issuer(", fromCookies: [session]");
    let mut headers = HeaderMap::new();
    let cookie = format!("a=1; session={}; b=2", signer.token(json!({})));
    headers.insert(header::COOKIE, HeaderValue::try_from(cookie).unwrap());
    let shown = signer.read(&mut headers, None).unwrap();
    assert_eq!(
        (shown.token.is_some(), &headers[header::COOKIE]),
        (true, &HeaderValue::from_static("a=1; b=2"))
    );
    // Where else a token stands is the application's affair.
    assert!(
        signer
            .read(&mut bearing("opaque"), None)
            .unwrap()
            .token
            .is_none()
    );
}

#[test]
fn a_token_that_is_not_good_is_refused_with_its_reason() {
    let signer = Signer::of_issuer(", audiences: [shop, cart]");
    let shop = json!({"aud": ["cart"]});
    assert!(signer.principal(&signer.token(shop.clone())).is_ok());
    let with = |more: Value| {
        let mut claims = shop.clone();
        claims
            .as_object_mut()
            .unwrap()
            .extend(more.as_object().unwrap().clone());
        signer.refusal(&signer.token(claims))
    };
    let hour_ago = unix::seconds(clock::now() - HOUR);
    let in_an_hour = unix::seconds(clock::now() + HOUR);
    for (more, why) in [
        (json!({"exp": hour_ago}), "the token has expired"),
        (json!({"exp": null}), "\"exp\" is missing"),
        (json!({"nbf": in_an_hour}), "not valid yet"),
        (
            json!({"aud": "bank"}),
            "the token is for [\"bank\"], and shop or cart is expected",
        ),
        (json!({"aud": null}), "\"aud\" is missing"),
        (
            json!({"iss": "https://other.example"}),
            "Jwt issuer is not configured: no RequestAuthentication for this workload names \"https://other.example\"",
        ),
        (
            json!({"iss": null}),
            "Jwt issuer is not configured: the token names none",
        ),
    ] {
        let told = with(more);
        assert!(told.contains(why), "{told}");
    }
    let other = signer.token_with(json!({"alg": "ES256", "kid": "x"}), shop.clone());
    assert!(signer.refusal(&other).contains("has no key \"x\""));
    let unnamed = signer.token_with(json!({"alg": "ES256"}), shop.clone());
    assert!(
        signer.principal(&unnamed).is_ok(),
        "any of its keys may be meant"
    );
    let forged = Signer::of_issuer("").token(shop.clone());
    assert!(signer.refusal(&forged).contains("signature does not match"));
    for alg in ["none", "HS256", "RS256", "ES384"] {
        let confused = signer.token_with(json!({"alg": alg, "kid": "k"}), shop.clone());
        assert!(signer.principal(&confused).is_err(), "{alg}");
    }
    let logout = signer.token_with(
        json!({"alg": "ES256", "kid": "k", "typ": "logout+jwt"}),
        shop,
    );
    assert!(signer.refusal(&logout).contains("logout+jwt"));
}

#[test]
fn what_the_application_is_told_of_a_token_nobody_else_can_say() {
    let signer = Signer::of_issuer(
        ", outputPayloadToHeader: x-token, outputClaimToHeaders: [\
         { header: x-email, claim: email }, { header: x-role, claim: 'realm.role' }, \
         { header: x-dotted, claim: 'https://a.example/b' }]",
    );
    let forged = |headers: &mut HeaderMap| {
        for name in ["x-token", "x-email", "x-role"] {
            headers.insert(name, HeaderValue::from_static("mallory"));
        }
    };
    let mut headers = HeaderMap::new();
    forged(&mut headers);
    signer.read(&mut headers, None).unwrap();
    assert!(headers.is_empty(), "{headers:?}");
    let claims = json!({
        "email": "a@example.org", "realm": { "role": 7 }, "https://a.example/b": true,
    });
    let mut headers = bearing(&signer.token(claims));
    forged(&mut headers);
    signer.read(&mut headers, None).unwrap();
    assert_eq!(headers["x-email"], "a@example.org");
    assert_eq!(
        (&headers["x-role"], &headers["x-dotted"]),
        (&HeaderValue::from(7), &HeaderValue::from_static("true"))
    );
    let payload = URL_SAFE_NO_PAD
        .decode(headers["x-token"].as_bytes())
        .unwrap();
    let payload: Value = serde_json::from_slice(&payload).unwrap();
    assert_eq!(payload["sub"], "alice");
    let two_lines = signer.token(json!({"email": "a\r\nx-role: admin"}));
    assert!(
        signer
            .refusal(&two_lines)
            .contains("\"email\" cannot be written into a header")
    );
}

#[test]
fn tokens_of_both_kinds_are_told_apart_by_their_issuer() {
    let mut signer = Signer::of_issuer("");
    signer.tokens.svids = Signer::of_svids().tokens.svids;
    let svids = signer.tokens.svids.as_mut().unwrap();
    let name: TrustDomain = "example.org".parse().unwrap();
    let bundles = HashMap::from([(name, Arc::new(signer.bundle.clone()))]);
    svids.bundles = watch::channel(Arc::new(bundles)).1;
    let svid = signer.svid(AUDIENCE, HOUR);
    assert_eq!(
        signer.principal(&svid).as_deref(),
        Ok("spiffe://example.org/job")
    );
    let token = signer.token(json!({}));
    assert_eq!(
        signer.principal(&token).as_deref(),
        Ok("https://accounts.example/alice")
    );
    // Who claims to be of an issuer is verified by that one's keys and no others.
    signer.rules = Signer::of_issuer("").rules;
    let svid = signer.token(json!({"sub": "spiffe://example.org/job", "aud": AUDIENCE}));
    assert!(signer.refusal(&svid).contains("signature does not match"));
}

#[test]
fn before_keys_were_fetched_tokens_are_refused() {
    let mut signer = Signer::of_svids();
    signer.tokens.svids = None;
    signer.rules = rules(&format!(
        "{{ issuer: '{ISSUER}', jwksUri: 'https://accounts.example/keys' }}"
    ));
    let why = signer.refusal(&signer.token(json!({})));
    assert!(
        why.contains("no keys of its issuer are known yet: accounts.example"),
        "{why}"
    );
}
