//! Conditions on a request's token, and on the address before trusted proxies.

use super::*;

fn permits(condition: &str, call: &Call) -> bool {
    decide(&rule("ALLOW", condition), call).is_permitted()
}

fn denies(condition: &str, call: &Call) -> bool {
    !decide(&rule("DENY", condition), call).is_permitted()
}

const CLAIMS: &str = r#"{
    "sub": "alice", "aud": ["shop", "billing"], "azp": "app-1",
    "groups": ["staff", "admin"], "scope": "read write", "level": 3,
    "realm": { "roles": ["editor"] }, "note": "read write"
}"#;

#[test]
fn a_rule_can_ask_for_what_a_token_says() {
    let with = web().http("GET", "/").token("https://id.example", CLAIMS);
    let without = web().http("GET", "/");
    for (key, good, bad) in [
        (
            "request.auth.principal",
            "https://id.example/alice",
            "https://id.example/bob",
        ),
        (
            "request.auth.principal",
            "https://id.example/*",
            "https://other.example/*",
        ),
        ("request.auth.principal", "'*'", "alice"),
        ("request.auth.audiences", "billing", "stock"),
        ("request.auth.presenter", "app-1", "app-2"),
        ("request.auth.claims[groups]", "admin", "root"),
        ("request.auth.claims[scope]", "write", "delete"),
        ("request.auth.claims[realm][roles]", "editor", "owner"),
        ("request.auth.claims[level]", "'3'", "'4'"),
        ("request.auth.claims[note]", "read write", "write"),
        ("request.auth.claims[groups]", "'*'", "'*x'"),
    ] {
        let condition =
            |value: &str| format!("{{ when: [{{ key: '{key}', values: [{value}] }}] }}");
        assert!(permits(&condition(good), &with), "{key} {good}");
        assert!(!permits(&condition(bad), &with), "{key} {bad}");
        assert!(!permits(&condition(good), &without), "{key} without token");
        assert!(denies(&condition(good), &with) && !denies(&condition(bad), &with));
    }
    let principals = "{ from: [{ source: { requestPrincipals: ['https://id.example/alice'] } }] }";
    assert!(permits(principals, &with) && !permits(principals, &without));
    // Who must have a token: nobody without one passes.
    let any = "{ from: [{ source: { notRequestPrincipals: ['*'] } }] }";
    assert!(denies(any, &without) && !denies(any, &with));
}

#[test]
fn a_token_means_nothing_where_no_http_is_spoken() {
    let principals = "{ from: [{ source: { requestPrincipals: ['*'] } }] }";
    assert!(!permits(principals, &web()));
    let deny = "{ from: [{ source: { notRequestPrincipals: ['*'] } }], \
                to: [{ operation: { ports: ['8080'] } }] }";
    assert!(denies(deny, &web()));
}

#[test]
fn a_jwt_svid_speaks_for_its_spiffe_id() {
    let mut call = web().http("GET", "/");
    let id = "spiffe://example.org/job".parse().expect("a SPIFFE ID");
    let claims = serde_json::from_str(r#"{ "iss": "https://id.example", "sub": "x" }"#);
    call.token = Some(Token::of_svid(&id, claims.expect("claims")));
    let rule =
        |value: &str| format!("{{ from: [{{ source: {{ requestPrincipals: ['{value}'] }} }}] }}");
    assert!(permits(&rule("spiffe://example.org/job"), &call));
    assert!(!permits(&rule("https://id.example/x"), &call));
}

#[test]
fn a_token_without_a_subject_has_no_principal() {
    let call = web().http("GET", "/").token("https://id.example", "{}");
    assert!(!permits(
        "{ from: [{ source: { requestPrincipals: ['*'] } }] }",
        &call
    ));
}

#[test]
fn the_address_before_trusted_proxies_is_another_one_than_the_peers() {
    let block = "{ from: [{ source: { remoteIpBlocks: [192.0.2.0/24] } }] }";
    let key = "{ when: [{ key: remote.ip, values: [192.0.2.0/24] }] }";
    let far = web().ip("10.0.0.1").remote(Some("192.0.2.7"));
    let near = web().ip("192.0.2.7").remote(Some("10.0.0.1"));
    for condition in [block, key] {
        assert!(permits(condition, &far) && denies(condition, &far));
        assert!(!permits(condition, &near) && !denies(condition, &near));
    }
    // Where it cannot be told, less is permitted and more denied.
    let unknown = web().remote(None);
    assert!(!permits(block, &unknown) && denies(block, &unknown));
    let not = "{ from: [{ source: { notRemoteIpBlocks: [192.0.2.0/24] } }] }";
    assert!(!permits(not, &unknown) && denies(not, &unknown));
}

#[test]
fn claims_that_cannot_be_meant_are_refused() {
    for key in [
        "request.auth.claims",
        "request.auth.claims[]",
        "request.auth.claims[a",
        "request.auth.claims[a]b",
        "request.auth.claims[a][b][c][d][e][f][g][h][i]",
    ] {
        let text = rule(
            "ALLOW",
            &format!("{{ when: [{{ key: '{key}', values: [x] }}] }}"),
        );
        let errors = Model::parse(&[source(&text)]).expect_err(key);
        assert!(errors[0].what.contains("names no claim"), "{errors:?}");
    }
}
