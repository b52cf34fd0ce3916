//! What is refused, with its line and remedy.

use proptest::{prelude::*, sample::select};

use super::*;

/// The only error of a rule.
fn refused(rule: &str) -> String {
    let text = document("a", &format!("{{ jwtRules: [{rule}] }}"));
    let errors = parse(&text).map(|_| text).expect_err(rule);
    assert_eq!(errors.len(), 1, "{rule}: {errors:#?}");
    errors[0].to_string()
}

#[test]
fn a_rule_that_says_too_little_or_too_much_is_refused() {
    let uri = "jwksUri: 'https://a.example/k'";
    for (rule, why) in [
        (format!("{{ {uri} }}"), "jwtRules[0].issuer is missing"),
        (
            format!("{{ issuer: 'spiffe://a', {uri} }}"),
            "the principals of JWT-SVIDs",
        ),
        ("{ issuer: a }".to_owned(), "names no keys; write jwksUri"),
        (
            format!("{{ issuer: a, {uri}, jwks: '{JWKS}' }}"),
            "both jwks and jwksUri",
        ),
        (
            format!("{{ issuer: a, jwks: '{JWKS}', timeout: 1s }}"),
            "for keys that are fetched",
        ),
        (
            format!("{{ issuer: a, {uri}, timeout: 2m }}"),
            "longer than a minute",
        ),
        (
            format!("{{ issuer: a, {uri}, audiences: [] }}"),
            "audiences is an empty list",
        ),
    ] {
        let told = refused(&rule);
        assert!(
            told.contains(why) && told.starts_with("tokens.yaml:"),
            "{told}"
        );
    }
}

#[test]
fn a_place_or_header_that_cannot_be_meant_is_refused() {
    let uri = "jwksUri: 'https://a.example/k'";
    for (rule, why) in [
        (
            format!("{{ issuer: a, {uri}, fromHeaders: [{{ prefix: x }}] }}"),
            "fromHeaders[0].name is missing",
        ),
        (
            format!("{{ issuer: a, {uri}, fromHeaders: [{{ name: host }}] }}"),
            "\"host\" is no header that can be changed",
        ),
        (
            format!("{{ issuer: a, {uri}, fromCookies: ['a=b'] }}"),
            "is not the name of a cookie",
        ),
        (
            format!("{{ issuer: a, {uri}, fromParams: [] }}"),
            "fromParams is an empty list",
        ),
        (
            format!("{{ issuer: a, {uri}, outputPayloadToHeader: 'a b' }}"),
            "is not the name of a header",
        ),
        (
            format!(
                "{{ issuer: a, {uri}, outputClaimToHeaders: [{{ header: x, claim: a }}, {{ header: X, claim: b }}] }}"
            ),
            "x is made of another claim, too",
        ),
        (
            format!("{{ issuer: a, {uri}, spaceDelimitedClaims: [x] }}"),
            "spaceDelimitedClaims is not supported yet",
        ),
        (
            format!("{{ issuer: a, jwks_uri: 'https://a.example/k', {uri} }}"),
            "write it as `jwksUri`",
        ),
        (
            format!("{{ issuer: a, {uri}, audience: [x] }}"),
            "did you mean `audiences`?",
        ),
    ] {
        let told = refused(&rule);
        assert!(
            told.contains(why) && told.starts_with("tokens.yaml:"),
            "{told}"
        );
    }
}

#[test]
fn keys_that_verify_nothing_are_refused() {
    for (keys, why) in [
        ("", "is no JWK set"),
        ("[]", "is no JWK set"),
        (r#"{"keys":{}}"#, "is no JWK set"),
        (r#"{"keys":[],"keys":[]}"#, "is no JWK set"),
        (
            r#"{"keys":[]}"#,
            "no key in it verifies tokens: there is none",
        ),
        (r#"{"keys":[{"kty":"oct","k":"c2VjcmV0"}]}"#, "or secret"),
        (
            r#"{"keys":[{"kty":"EC","crv":"P-256","x":"AA","y":"AA"}]}"#,
            "a key is broken",
        ),
    ] {
        let told = refused(&format!("{{ issuer: a, jwks: '{keys}' }}"));
        assert!(told.contains(why), "{told}");
    }
    let for_secrets = JWKS.replace(r#""kid""#, r#""use":"enc","kid""#);
    assert!(refused(&format!("{{ issuer: a, jwks: '{for_secrets}' }}")).contains("something else"));
}

#[test]
fn keys_at_an_address_where_others_could_answer_are_refused() {
    for (uri, why) in [
        ("http://a.example/k", "in plaintext"),
        ("http://127.0.0.1.example/k", "in plaintext"),
        ("https://10.0.0.1/k", "certificates are for names"),
        ("https://u@a.example/k", "names no host"),
        ("ftp://a.example/k", "not spoken to by HTTPS"),
        ("/keys", "names no host"),
        ("https://a.example:0/k", "no such port"),
        ("https://a.example:99999/k", "no such port"),
    ] {
        let told = refused(&format!("{{ issuer: a, jwksUri: '{uri}' }}"));
        assert!(told.contains(why), "{uri}: {told}");
    }
}

#[test]
fn a_document_for_a_part_of_kubernetes_is_refused_by_name() {
    let spec = format!(
        "{{ targetRefs: [{{ kind: Gateway, name: x }}], jwtRules: [{}] }}",
        rule("a", "")
    );
    let errors = parse(&document("a", &spec))
        .map(|_| spec)
        .expect_err("refused");
    assert!(
        errors[0]
            .to_string()
            .contains("targetRefs is not supported yet"),
        "{errors:?}"
    );
    let errors = parse(&document("a", "{}"))
        .map(|_| ())
        .expect_err("refused");
    assert!(
        errors[0].to_string().contains("spec.jwtRules is missing"),
        "{errors:?}"
    );
}

proptest! {
    #[test]
    fn any_text_is_answered(
        text in "\\PC{0,60}",
        begin in select(&["jwtRules: [{ issuer: a, jwks: '", "jwtRules: [{ jwksUri: ", "jwtRules: [", "x: "]),
    ) {
        let _ = parse(&document("a", &format!("{{ {begin}{text}")));
    }
}
