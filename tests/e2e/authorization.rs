//! What policies can ask of a request beyond who sends it, and what they say without deciding.

use crate::{policy::Mesh, testbed::Bed};

/// A policy of this name whose `spec` is given in flow style.
fn policy(metadata: &str, spec: &str) -> String {
    format!(
        "---\napiVersion: security.istio.io/v1\nkind: AuthorizationPolicy\n\
         metadata: {{ {metadata} }}\nspec: {spec}\n"
    )
}

#[test]
fn what_is_audited_or_only_tried_passes_and_is_told() {
    let bed = Bed::new();
    let text = policy(
        "name: marked",
        "{ action: AUDIT, rules: [{ to: [{ operation: { methods: [POST] } }] }] }",
    ) + &policy(
        "name: tried, annotations: { istio.io/dry-run: 'true' }",
        "{ action: DENY, rules: [{ to: [{ operation: { paths: [/admin*] } }] }] }",
    );
    let mesh = Mesh::start_with(&bed, "HTTP", &text, "");
    assert_eq!(mesh.ask("POST", "/cart", "").0, 200);
    mesh.shop
        .process
        .says("audited_by=\"AUDIT policy default/marked rule 0\"");
    assert_eq!(mesh.ask("GET", "/admin", "").0, 200);
    mesh.shop
        .process
        .says("dry_run=\"denied by DENY policy default/tried rule 0\"");
    let told = mesh.shop.process.log();
    let line = told.lines().find(|line| line.contains("GET /admin"));
    assert!(!line.unwrap().contains("audited_by"), "{told}");
}

#[test]
fn an_address_before_trusted_proxies_is_believed_of_them_alone() {
    let office = policy(
        "name: office",
        "{ rules: [{ from: [{ source: { remoteIpBlocks: [192.0.2.0/24] } }] }] }",
    );
    let office_now = "x-forwarded-for: 10.9.9.9, 192.0.2.7\r\n";
    for (settings, status) in [
        ("", 403),
        (
            "trustedProxies: [10.0.0.0/8, spiffe://example.org/gateway]\n",
            403,
        ),
        ("trustedProxies: [spiffe://example.org/client]\n", 200),
        ("trustedProxies: [127.0.0.0/8]\n", 200),
    ] {
        let bed = Bed::new();
        let mesh = Mesh::start_with(&bed, "HTTP", &office, settings);
        assert_eq!(mesh.ask("GET", "/", office_now).0, status, "{settings}");
        assert_eq!(mesh.ask("GET", "/", "").0, 403, "{settings}");
        let forged = "x-forwarded-for: 192.0.2.7, 10.9.9.9\r\n";
        assert_eq!(mesh.ask("GET", "/", forged).0, 403, "{settings}");
    }
}

#[test]
fn a_request_is_judged_by_the_jwt_svid_that_it_brings() {
    let bed = Bed::new();
    let text = policy(
        "name: jobs",
        "{ rules: [\
           { from: [{ source: { requestPrincipals: ['spiffe://example.org/job'] } }] }, \
           { to: [{ operation: { paths: [/open] } }] }] }",
    );
    let settings = "jwt: { audiences: [spiffe://example.org/shop] }\n";
    let mesh = Mesh::start_with(&bed, "HTTP", &text, settings);
    let mint = |name: &str, audience: &str| {
        let id = format!("spiffe://example.org/{name}");
        let minted = mesh
            .server
            .run(&["jwt", "mint", "--spiffe-id", &id, "--audience", audience]);
        let token = minted.ok().trim().to_owned();
        format!("authorization: Bearer {token}\r\n")
    };
    let good = mint("job", "spiffe://example.org/shop");
    // The keys come by a stream of their own.
    crate::testbed::eventually("the token is good", || {
        (mesh.ask("GET", "/", &good).0 == 200).then_some(())
    });
    let other = mint("other", "spiffe://example.org/shop");
    assert_eq!(mesh.ask("GET", "/", &other).0, 403);
    assert_eq!(mesh.ask("GET", "/", "").0, 403);
    assert_eq!(mesh.ask("GET", "/open", "").0, 200);
    // A bad token is worse than none, wherever it is shown.
    let elsewhere = mint("job", "spiffe://example.org/elsewhere");
    for bad in [elsewhere.as_str(), "authorization: Bearer abc\r\n"] {
        let (status, answer) = mesh.ask("GET", "/open", bad);
        assert_eq!(status, 401, "{answer}");
        let challenge = "www-authenticate: Bearer error=\"invalid_token\"";
        assert!(answer.contains(challenge), "{answer}");
    }
    let twice = format!("{good}{good}");
    assert_eq!(mesh.ask("GET", "/open", &twice).0, 401);
    let basic = "authorization: Basic YTpi\r\n";
    assert_eq!(mesh.ask("GET", "/open", basic).0, 200);
}

#[test]
fn one_identity_asks_no_more_than_it_may_and_not_by_another_connection_either() {
    let bed = Bed::new();
    let text = policy("name: all", "{ rules: [{}] }");
    let settings = "localRateLimit: { maxTokens: 3, tokensPerFill: 3, fillInterval: 1h }\n";
    let mesh = Mesh::start_with(&bed, "HTTP", &text, settings);
    for _ in 0..3 {
        assert_eq!(mesh.ask("GET", "/", "").0, 200);
    }
    let (status, answer) = mesh.ask("GET", "/", "");
    assert_eq!(status, 429, "{answer}");
    assert!(answer.contains("x-envoy-ratelimited: true"), "{answer}");
    mesh.shop.process.says("response_flags=RL");
}
