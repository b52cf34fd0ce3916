//! The claims: whose token it is, for whom, and until when.

use std::{
    sync::Arc,
    time::{Duration, UNIX_EPOCH},
};

use serde_json::{Value, json};
use signet_identity::{TrustDomain, bundle::Bundle, jwt};

use super::{
    forge::{claims, document, now, with, without},
    world::{FORGE, World},
};

#[test]
fn jwt_12_further_claims_are_allowed_and_reach_the_caller() {
    let world = World::shared();
    let more = |domain: &str| {
        let mut claims = claims(domain);
        claims["iss"] = json!("issuer");
        claims["jti"] = json!("one");
        claims["iat"] = json!(now() - 1);
        claims["foo"] = json!({"bar": [1, true, null]});
        claims
    };
    let own = world.accepts(&world.own.token(&more("example.org")));
    assert_eq!(own.spiffe_id, "spiffe://example.org/w");
    let fields = own.claims.unwrap().fields;
    let names: Vec<&str> = fields.keys().map(String::as_str).collect();
    assert_eq!(names, ["aud", "exp", "foo", "iat", "iss", "jti", "sub"]);
    // What another trust domain says privately is its own affair, unless the agent is told
    // otherwise.
    let other = world.accepts(&world.forge.p256.token(&more(FORGE)));
    let fields = other.claims.unwrap().fields;
    let names: Vec<&str> = fields.keys().map(String::as_str).collect();
    assert_eq!(names, ["aud", "exp", "iat", "iss", "jti", "sub"]);
}

#[test]
fn jwt_12_a_token_may_be_long_but_not_endless() {
    let world = World::shared();
    let long = |bytes: usize| {
        let claims = with(&claims(FORGE), "foo", json!("x".repeat(bytes)));
        world.forge.p256.token(&claims)
    };
    world.accepts(&long(45_000));
    world.refuses(&long(60_000), "at most");
    world.refuses(&long(120_000), "at most");
}

#[test]
fn jwt_14_only_a_whole_spiffe_id_is_a_subject() {
    let world = World::shared();
    let of = |subject: Value| {
        let claims = with(&claims(FORGE), "sub", subject);
        world.forge.p256.token(&claims)
    };
    world.accepts(&of(json!("spiffe://forge.test/a/b")));
    // The standard does not ask for a path here.
    world.accepts(&of(json!("spiffe://forge.test")));
    for subject in [
        json!(1),
        json!(null),
        json!(["spiffe://forge.test/w"]),
        json!({}),
    ] {
        world.refuses(&of(subject), "\"sub\"");
    }
    for subject in [
        "",
        "w",
        "forge.test/w",
        "spiffe://forge.test/",
        "spiffe://forge.test//w",
        "spiffe://forge.test/../w",
        "spiffe://forge.test/w ",
        "spiffe://forge.test/%77",
        "spiffe://forge.test:1/w",
        "spiffe://FORGE.test/w",
        "SPIFFE://forge.test/w",
        "https://forge.test/w",
    ] {
        world.refuses(&of(json!(subject)), "no SPIFFE ID");
    }
    let long = format!("spiffe://forge.test/{}", "a".repeat(2028));
    assert_eq!(long.len(), 2048);
    assert_eq!(world.accepts(&of(json!(long))).spiffe_id, long);
    world.refuses(&of(json!(format!("{long}a"))), "no SPIFFE ID");
    let without = world.forge.p256.token(&without(&claims(FORGE), "sub"));
    world.refuses(&without, "\"sub\"");
}

#[test]
fn jwt_14_a_member_that_stands_twice_is_refused() {
    let world = World::shared();
    let key = &world.forge.p256;
    let header = r#"{"alg":"ES256","kid":"p256"}"#;
    let claims = claims(FORGE).to_string();
    world.accepts(&key.token_from(header, &claims));
    for twice in [
        r#"{"sub":"spiffe://forge.test/admin","#,
        r#"{"\u0073ub":"spiffe://forge.test/admin","#,
        r#"{"aud":"somebody","#,
        r#"{"exp":1,"#,
        r#"{"foo":{"a":1,"a":2},"#,
    ] {
        let claims = claims.replacen('{', twice, 1);
        world.refuses(&key.token_from(header, &claims), "stands twice");
    }
    for twice in [
        r#"{"alg":"none","#,
        r#"{"kid":"rsa","#,
        r#"{"alg":"ES256","#,
    ] {
        let header = header.replacen('{', twice, 1);
        world.refuses(&key.token_from(&header, &claims), "stands twice");
    }
    // Names are compared as they stand.
    let other = claims.replacen('{', r#"{"SUB":"spiffe://forge.test/admin","#, 1);
    let valid = world.accepts(&key.token_from(header, &other));
    assert_eq!(valid.spiffe_id, "spiffe://forge.test/w");
}

#[test]
fn jwt_14_claims_are_one_json_object() {
    let world = World::shared();
    let key = &world.forge.p256;
    let header = r#"{"alg":"ES256","kid":"p256"}"#;
    let good = claims(FORGE).to_string();
    world.accepts(&key.token_from(header, &format!(" {good}\n")));
    for bad in [
        "[]".to_owned(),
        "null".to_owned(),
        format!("[{good}]"),
        format!("{good}x"),
        format!("{good}{good}"),
        format!("\u{feff}{good}"),
        good.replace("\"aud\"", "'aud'"),
        good.replacen(
            '{',
            &format!("{{\"deep\":{}{},", "[".repeat(5000), "]".repeat(5000)),
            1,
        ),
    ] {
        world.refuses(&key.token_from(header, &bad), "claims is unreadable");
    }
    // A token inside a token is none (JWT-02).
    let nested = key.token(&claims(FORGE));
    world.refuses(&key.token_from(header, &nested), "claims is unreadable");
}

#[test]
fn jwt_17_a_token_for_nobody_is_refused() {
    let world = World::shared();
    let key = &world.forge.p256;
    world.accepts(&key.token(&claims(FORGE)));
    world.refuses(&key.token(&without(&claims(FORGE), "aud")), "\"aud\"");
    for nobody in [json!([]), json!(null)] {
        let token = key.token(&with(&claims(FORGE), "aud", nobody));
        world.refuses(&token, "\"aud\"");
    }
    // Nor does it help to expect nobody.
    let refused = world.validate("", &key.token(&claims(FORGE))).unwrap_err();
    assert_eq!(refused.code(), tonic::Code::InvalidArgument);
    assert!(refused.message().contains("audience must be specified"));
}

#[test]
fn jwt_18_the_own_audience_has_to_be_one_of_the_tokens_and_whole() {
    let world = World::shared();
    let for_whom = |aud: Value| {
        let claims = with(&claims(FORGE), "aud", aud);
        world.forge.p256.token(&claims)
    };
    for good in [
        json!("aud"),
        json!(["aud"]),
        json!(["x", "aud"]),
        json!(["aud", "aud"]),
    ] {
        world.accepts(&for_whom(good));
    }
    for bad in [
        json!(["x"]),
        json!(["AUD"]),
        json!("AUD"),
        json!("au"),
        json!("audi"),
        json!("aud "),
        json!("x aud"),
        json!("x,aud"),
        json!(""),
        json!(["", "*"]),
    ] {
        world.refuses(&for_whom(bad), "not for audience");
    }
}

#[test]
fn jwt_19_an_audience_of_another_type_is_refused() {
    let world = World::shared();
    let for_whom = |aud: Value| {
        let claims = with(&claims(FORGE), "aud", aud);
        world.forge.p256.token(&claims)
    };
    world.accepts(&for_whom(json!(["aud"])));
    for bad in [
        json!(1),
        json!(true),
        json!({}),
        json!({"aud": "aud"}),
        json!(["aud", 1]),
        json!(["aud", null]),
        json!([["aud"]]),
    ] {
        world.refuses(&for_whom(bad), "\"aud\"");
    }
}

#[test]
fn jwt_22_a_token_without_end_is_refused() {
    let world = World::shared();
    let key = &world.forge.p256;
    world.accepts(&key.token(&claims(FORGE)));
    world.refuses(&key.token(&without(&claims(FORGE), "exp")), "\"exp\"");
    let later = now() + 300;
    for bad in [
        json!(null),
        json!(later.to_string()),
        json!(true),
        json!([later]),
        json!({}),
    ] {
        let token = key.token(&with(&claims(FORGE), "exp", bad));
        world.refuses(&token, "\"exp\"");
    }
}

#[test]
fn jwt_23_a_token_past_its_end_is_refused() {
    let world = World::shared();
    let key = &world.forge.p256;
    let until = |exp: &str| {
        let claims = without(&claims(FORGE), "exp").to_string();
        let claims = claims.replacen('{', &format!(r#"{{"exp":{exp},"#), 1);
        key.token_from(r#"{"alg":"ES256","kid":"p256"}"#, &claims)
    };
    let later = now() + 60;
    for good in [
        later.to_string(),
        format!("{later}.5"),
        format!("{later}e0"),
        i64::MAX.to_string(),
    ] {
        world.accepts(&until(&good));
    }
    let past = now() - 300;
    for bad in [
        past.to_string(),
        format!("{past}.5"),
        "0".into(),
        "-1".into(),
        "-1.5".into(),
    ] {
        world.refuses(&until(&bad), "expired");
    }
    // Nothing so large that it comes round again, or that no clock can say.
    for huge in ["1e20", "1e308", "-1e20", "18446744073709551616"] {
        let refused = world.validate("aud", &until(huge)).unwrap_err();
        assert_eq!(refused.code(), tonic::Code::InvalidArgument, "{huge}");
    }
    world.refuses(&until("1e999"), "unreadable");
}

#[test]
fn jwt_23_24_clocks_may_disagree_by_a_minute_and_no_more() {
    let key = super::forge::Key::p256("k");
    let text = document(1, &[key.jwk("jwt-svid")]).to_string();
    let domain = TrustDomain::new(FORGE).unwrap();
    let bundle = Arc::new(Bundle::from_document(domain, &text).unwrap());
    let clock = UNIX_EPOCH + Duration::from_secs(2_000_000_000);
    let outcome = |claims: &Value| {
        let find = |_: &TrustDomain| Some(Arc::clone(&bundle));
        jwt::validate(&key.token(claims), "aud", find, clock).map(|valid| valid.id.to_string())
    };
    let until = |exp: i64| outcome(&with(&claims(FORGE), "exp", json!(exp)));
    assert_eq!(until(1_999_999_940).unwrap(), "spiffe://forge.test/w");
    assert_eq!(until(1_999_999_939), Err(jwt::JwtError::Expired));
    let from = |nbf: i64| {
        let claims = with(&claims(FORGE), "exp", json!(2_000_000_300));
        outcome(&with(&claims, "nbf", json!(nbf)))
    };
    assert_eq!(from(2_000_000_060).unwrap(), "spiffe://forge.test/w");
    assert_eq!(from(2_000_000_061), Err(jwt::JwtError::NotYetValid));
}

#[test]
fn jwt_24_a_token_before_its_beginning_is_refused() {
    let world = World::shared();
    let from = |nbf: Value| {
        let claims = with(&claims(FORGE), "nbf", nbf);
        world.forge.p256.token(&claims)
    };
    for good in [json!(now() - 1), json!(0), json!(-1), json!(1.5)] {
        world.accepts(&from(good));
    }
    world.refuses(&from(json!(now() + 600)), "not valid yet");
    for bad in [json!("0"), json!(null), json!([]), json!(1e20)] {
        world.refuses(&from(bad), "\"nbf\"");
    }
}

#[test]
fn jwt_34_the_same_token_is_accepted_twice() {
    let world = World::shared();
    let once = with(&claims(FORGE), "jti", json!("once"));
    let token = world.forge.p256.token(&once);
    world.accepts(&token);
    world.accepts(&token);
}
