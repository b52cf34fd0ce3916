//! Tokens good and bad, each refusal by its reason.

use std::{error::Error as _, io, sync::LazyLock};

use serde_json::json;

use super::*;
use crate::{
    bundle::JwtAuthority,
    crypto::testing::{Signer, jws_signers},
    key::KeyType,
    testing::{after, domain, id, now},
};

const WEB: &str = "spiffe://example.org/web";

/// A key, and the bundle of `example.org` with it as `k1`.
struct Fixture {
    key: PrivateKey,
    bundle: Arc<Bundle>,
}

impl Fixture {
    fn new(key_type: KeyType) -> Self {
        let key = PrivateKey::generate(key_type).expect("key");
        let bundle = bundle(key.spki_der());
        Self { key, bundle }
    }

    fn validate(&self, token: &str) -> Result<ValidJwt, JwtError> {
        let find = |trust_domain: &TrustDomain| {
            (*trust_domain == self.bundle.trust_domain).then(|| Arc::clone(&self.bundle))
        };
        validate(token, "aud", find, now())
    }

    /// A token of any header and claims, with a good signature.
    fn token(&self, header: &str, claims: &str) -> String {
        let signed = format!("{}.{}", encode(header), encode(claims));
        let signature = self.key.sign_jws(signed.as_bytes()).expect("signature");
        format!("{signed}.{}", URL_SAFE_NO_PAD.encode(signature))
    }

    fn with_header(&self, header: &str) -> Result<ValidJwt, JwtError> {
        self.validate(&self.token(header, &good_claims().to_string()))
    }

    fn with_claim(&self, name: &str, value: Value) -> Result<ValidJwt, JwtError> {
        let mut claims = good_claims();
        let members = claims.as_object_mut().expect("object");
        members.insert(name.to_owned(), value);
        self.validate(&self.token(HEADER, &claims.to_string()))
    }

    fn without_claim(&self, name: &str) -> Result<ValidJwt, JwtError> {
        let mut claims = good_claims();
        claims.as_object_mut().expect("object").remove(name);
        self.validate(&self.token(HEADER, &claims.to_string()))
    }
}

const HEADER: &str = r#"{"alg":"ES256","kid":"k1","typ":"JWT"}"#;

fn good_claims() -> Value {
    json!({"sub": WEB, "aud": ["x", "aud"], "exp": unix::seconds(after(300))})
}

fn bundle(spki_der: &[u8]) -> Arc<Bundle> {
    let authority = JwtAuthority {
        key_id: "k1".to_owned(),
        spki_der: spki_der.to_vec(),
        expires_at: None,
        tainted: false,
    };
    Arc::new(Bundle {
        jwt_authorities: vec![authority],
        ..Bundle::empty(domain("example.org"))
    })
}

fn encode(text: &str) -> String {
    URL_SAFE_NO_PAD.encode(text)
}

fn claims() -> Claims {
    Claims {
        sub: id(WEB),
        aud: vec!["aud".to_owned()],
        iat: now(),
        exp: after(300),
        iss: None,
        jti: None,
    }
}

#[test]
fn what_is_signed_is_accepted_for_every_key_type() {
    for key_type in [KeyType::EcP256, KeyType::EcP384, KeyType::Rsa2048] {
        let fixture = Fixture::new(key_type);
        let token = sign(&fixture.key, "k1", &claims()).expect("token");
        let valid = fixture.validate(&token).expect("valid");
        assert_eq!(valid.id, id(WEB));
        assert_eq!(valid.expires_at, after(300));
    }
}

#[test]
fn an_issued_token_has_the_members_of_the_standard_and_no_other() {
    let fixture = Fixture::new(KeyType::EcP256);
    let full = Claims {
        iss: Some("issuer".into()),
        jti: Some("name".into()),
        ..claims()
    };
    let token = sign(&fixture.key, "k1", &full).expect("token");
    let header = token.split('.').next().expect("header");
    assert_eq!(
        URL_SAFE_NO_PAD.decode(header).expect("base64"),
        HEADER.as_bytes()
    );
    let valid = fixture.validate(&token).expect("valid");
    let expected = json!({
        "sub": WEB, "aud": ["aud"], "iss": "issuer", "jti": "name",
        "iat": unix::seconds(now()), "exp": unix::seconds(after(300)),
    });
    assert_eq!(Value::Object(valid.claims), expected);
}

#[test]
fn a_token_for_nobody_is_not_made() {
    let fixture = Fixture::new(KeyType::EcP256);
    let nobody = Claims {
        aud: Vec::new(),
        ..claims()
    };
    assert_eq!(
        sign(&fixture.key, "k1", &nobody),
        Err(SignError::NoAudience)
    );
}

/// A key that is kept elsewhere, or one that cannot be reached.
struct Elsewhere(Option<PrivateKey>);

impl super::Signer for Elsewhere {
    type Error = io::Error;

    fn jws_algorithm(&self) -> &'static str {
        self.0.as_ref().map_or("ES384", PrivateKey::jws_algorithm)
    }

    fn sign_jws(&self, message: &[u8]) -> io::Result<Vec<u8>> {
        let key = self.0.as_ref().ok_or(io::ErrorKind::NotConnected)?;
        key.sign_jws(message).map_err(io::Error::other)
    }
}

#[test]
fn a_key_that_is_kept_elsewhere_signs_and_says_itself_why_it_does_not() {
    let fixture = Fixture::new(KeyType::EcP384);
    let reached = Elsewhere(Some(fixture.key.clone()));
    let token = sign(&reached, "k1", &claims()).expect("token");
    assert_eq!(fixture.validate(&token).expect("valid").id, id(WEB));

    let refused = sign(&Elsewhere(None), "k1", &claims()).expect_err("no key");
    let cause = refused.source().expect("a cause");
    assert_eq!(cause.to_string(), "not connected");
}

#[test]
fn each_of_the_nine_algorithms_is_accepted() {
    for Signer {
        algorithm,
        spki_der,
        sign,
    } in jws_signers()
    {
        let header = format!(r#"{{"alg":"{algorithm}","kid":"k1"}}"#);
        let signed = format!("{}.{}", encode(&header), encode(&good_claims().to_string()));
        let signature = URL_SAFE_NO_PAD.encode(sign(signed.as_bytes()));
        let bundle = bundle(&spki_der);
        let find = |_: &TrustDomain| Some(Arc::clone(&bundle));
        let outcome = validate(&format!("{signed}.{signature}"), "aud", find, now());
        assert!(outcome.is_ok(), "{algorithm}: {outcome:?}");
    }
}

#[test]
fn other_algorithms_are_refused() {
    let fixture = Fixture::new(KeyType::EcP256);
    for algorithm in [
        r#""none""#,
        r#""HS256""#,
        r#""EdDSA""#,
        r#""ES256K""#,
        r#""es256""#,
        r#""""#,
        "1",
    ] {
        let outcome = fixture.with_header(&format!(r#"{{"alg":{algorithm},"kid":"k1"}}"#));
        assert_eq!(outcome, Err(JwtError::Algorithm(algorithm.to_owned())));
    }
    let missing = fixture.with_header(r#"{"kid":"k1"}"#);
    assert!(matches!(missing, Err(JwtError::Algorithm(_))));
}

#[test]
fn an_algorithm_that_does_not_fit_the_key_is_refused() {
    let fixture = Fixture::new(KeyType::EcP256);
    for algorithm in ["ES384", "RS256", "PS256"] {
        let outcome = fixture.with_header(&format!(r#"{{"alg":"{algorithm}","kid":"k1"}}"#));
        assert_eq!(outcome, Err(JwtError::BadSignature), "{algorithm}");
    }
}

#[test]
fn only_the_types_jwt_and_jose_are_accepted() {
    let fixture = Fixture::new(KeyType::EcP256);
    let typed =
        |typ: &str| fixture.with_header(&format!(r#"{{"alg":"ES256","kid":"k1","typ":{typ}}}"#));
    assert!(fixture.with_header(r#"{"alg":"ES256","kid":"k1"}"#).is_ok());
    assert!(typed(r#""JWT""#).is_ok());
    assert!(typed(r#""JOSE""#).is_ok());
    for typ in [
        r#""jwt""#,
        r#""at+jwt""#,
        r#""wit+jwt""#,
        r#""""#,
        "1",
        "null",
    ] {
        let refused = JwtError::Type(typ.to_owned(), "neither JWT nor JOSE");
        assert_eq!(typed(typ), Err(refused));
    }
}

#[test]
fn critical_members_are_refused_and_other_members_ignored() {
    let fixture = Fixture::new(KeyType::EcP256);
    let with = |more: &str| fixture.with_header(&format!(r#"{{"alg":"ES256","kid":"k1",{more}}}"#));
    assert_eq!(with(r#""crit":["foo"],"foo":"x""#), Err(JwtError::Critical));
    assert_eq!(with(r#""crit":[]"#), Err(JwtError::Critical));
    assert!(with(r#""jku":"https://evil.example/","cty":"x""#).is_ok());
}

#[test]
fn a_token_without_key_id_or_with_an_unknown_one_is_refused() {
    let fixture = Fixture::new(KeyType::EcP256);
    for header in [
        r#"{"alg":"ES256"}"#,
        r#"{"alg":"ES256","kid":""}"#,
        r#"{"alg":"ES256","kid":1}"#,
    ] {
        assert_eq!(fixture.with_header(header), Err(JwtError::NoKeyId));
    }
    let unknown = fixture.with_header(r#"{"alg":"ES256","kid":"k2"}"#);
    assert_eq!(unknown, Err(JwtError::UnknownKey("k2".to_owned())));
}

#[test]
fn only_a_whole_spiffe_id_is_a_subject() {
    let fixture = Fixture::new(KeyType::EcP256);
    assert_eq!(fixture.without_claim("sub"), Err(JwtError::Claim("sub")));
    assert_eq!(
        fixture.with_claim("sub", json!(1)),
        Err(JwtError::Claim("sub"))
    );
    for subject in ["", "w", "spiffe://example.org/", "spiffe://EXAMPLE.org/web"] {
        let outcome = fixture.with_claim("sub", json!(subject));
        assert!(matches!(outcome, Err(JwtError::Subject(_))), "{subject}");
    }
}

#[test]
fn keys_come_from_the_trust_domain_of_the_subject() {
    let fixture = Fixture::new(KeyType::EcP256);
    let outcome = fixture.with_claim("sub", json!("spiffe://other.org/web"));
    assert!(matches!(outcome, Err(JwtError::UnknownTrustDomain(_))));
}

#[test]
fn the_audience_has_to_be_named_whole() {
    let fixture = Fixture::new(KeyType::EcP256);
    assert!(fixture.with_claim("aud", json!("aud")).is_ok());
    for other in [
        json!(["x"]),
        json!(["AUD"]),
        json!("au"),
        json!("audience"),
        json!(""),
    ] {
        let outcome = fixture.with_claim("aud", other);
        assert_eq!(outcome, Err(JwtError::Audience("aud".to_owned())));
    }
    assert_eq!(fixture.without_claim("aud"), Err(JwtError::Claim("aud")));
    for wrong in [
        json!([]),
        json!(null),
        json!(1),
        json!({}),
        json!(["aud", 1]),
    ] {
        assert_eq!(
            fixture.with_claim("aud", wrong),
            Err(JwtError::Claim("aud"))
        );
    }
}

#[test]
fn the_end_has_to_be_there_and_ahead() {
    let fixture = Fixture::new(KeyType::EcP256);
    let seconds = unix::seconds(now());
    for end in [
        json!(seconds + 60),
        json!(seconds - 30),
        json!(4_000_000_000.5),
    ] {
        assert!(fixture.with_claim("exp", end.clone()).is_ok(), "{end}");
    }
    for end in [json!(seconds - 300), json!(0), json!(-1), json!(-1.5)] {
        assert_eq!(fixture.with_claim("exp", end), Err(JwtError::Expired));
    }
    assert_eq!(fixture.without_claim("exp"), Err(JwtError::Claim("exp")));
    for end in [json!(null), json!("1900000000"), json!(1e20), json!(true)] {
        assert_eq!(fixture.with_claim("exp", end), Err(JwtError::Claim("exp")));
    }
}

#[test]
fn a_token_is_not_accepted_before_its_time() {
    let fixture = Fixture::new(KeyType::EcP256);
    let seconds = unix::seconds(now());
    for claim in ["nbf", "iat"] {
        let outcome = fixture.with_claim(claim, json!(seconds + 600));
        assert_eq!(outcome, Err(JwtError::NotYetValid));
        assert!(fixture.with_claim(claim, json!(seconds - 1)).is_ok());
        assert_eq!(
            fixture.with_claim(claim, json!("x")),
            Err(JwtError::Claim(claim))
        );
    }
}

#[test]
fn a_name_that_stands_twice_is_refused() {
    let fixture = Fixture::new(KeyType::EcP256);
    let doubled = good_claims()
        .to_string()
        .replacen('{', r#"{"sub":"spiffe://a/b","#, 1);
    let outcome = fixture.validate(&fixture.token(HEADER, &doubled));
    assert!(matches!(
        outcome,
        Err(JwtError::Json { part: "claims", .. })
    ));
    let outcome = fixture.with_header(r#"{"alg":"ES256","alg":"ES256","kid":"k1"}"#);
    assert!(matches!(
        outcome,
        Err(JwtError::Json { part: "header", .. })
    ));
}

#[test]
fn a_token_has_one_spelling() {
    let fixture = Fixture::new(KeyType::EcP256);
    let token = fixture.token(HEADER, &good_claims().to_string());
    assert!(fixture.validate(&token).is_ok());
    let (signed, signature) = token.rsplit_once('.').expect("parts");
    let json = format!(r#"{{"payload":"{signed}","signature":"{signature}"}}"#);
    for other in [
        String::new(),
        signed.to_owned(),
        format!("{signed}."),
        format!(".{token}"),
        format!("{token}.x"),
        format!("{token}="),
        format!("{token}\n"),
        format!(" {token}"),
        format!("{signed}\n.{signature}"),
        json,
    ] {
        let outcome = fixture.validate(&other);
        assert!(outcome.is_err(), "{other:?}");
    }
    // The last character of 64 bytes carries four unused bits; only zeros are right there.
    let last = signature.chars().last().expect("character");
    let twin = char::from_u32(u32::from(last) + 1).expect("character");
    let twin = format!(
        "{signed}.{}{twin}",
        signature.strip_suffix(last).expect("prefix")
    );
    assert_eq!(fixture.validate(&twin), Err(JwtError::NotCompact));
}

#[test]
fn changed_bytes_break_the_signature() {
    let fixture = Fixture::new(KeyType::EcP256);
    let token = fixture.token(HEADER, &good_claims().to_string());
    let (signed, signature) = token.rsplit_once('.').expect("parts");
    let (header, _) = signed.split_once('.').expect("parts");
    let other = encode(&json!({"sub": WEB, "aud": "aud", "exp": 4_000_000_000_u32}).to_string());
    let swapped = format!("{header}.{other}.{signature}");
    assert_eq!(fixture.validate(&swapped), Err(JwtError::BadSignature));

    let asn1 = URL_SAFE_NO_PAD.encode(fixture.key.sign(signed.as_bytes()).expect("signature"));
    assert_eq!(
        fixture.validate(&format!("{signed}.{asn1}")),
        Err(JwtError::BadSignature)
    );

    let stranger = Fixture::new(KeyType::EcP256);
    assert_eq!(stranger.validate(&token), Err(JwtError::BadSignature));
}

#[test]
fn a_token_of_no_reasonable_length_is_refused_unread() {
    let fixture = Fixture::new(KeyType::EcP256);
    let outcome = fixture.validate(&"a".repeat(70_000));
    assert_eq!(outcome, Err(JwtError::TooLong(70_000)));
}

proptest::proptest! {
    #[test]
    fn a_changed_character_anywhere_is_refused(at in 0_usize..4000, other in "[A-Za-z0-9_.=-]") {
        static SAMPLE: LazyLock<(Fixture, String)> = LazyLock::new(|| {
            let fixture = Fixture::new(KeyType::EcP256);
            let token = fixture.token(HEADER, &good_claims().to_string());
            (fixture, token)
        });
        let (fixture, token) = &*SAMPLE;
        let at = at % token.len();
        let mut changed = token.clone();
        changed.replace_range(at..=at, &other);
        let outcome = fixture.validate(&changed);
        proptest::prop_assert_eq!(outcome.is_ok(), changed == *token);
    }
}
