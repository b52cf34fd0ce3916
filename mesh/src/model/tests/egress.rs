//! Policies for services, which are enforced where the services are called.

use http::HeaderMap;
use signet_identity::SpiffeId;

use super::*;
use crate::{authorization::Http, path::HttpPath};

fn policy(spec: &str) -> String {
    format!(
        "---\napiVersion: security.istio.io/v1\nkind: AuthorizationPolicy\n\
         metadata: {{ name: egress, namespace: shop }}\nspec: {spec}\n"
    )
}

/// A policy for the service `reviews` with these further parts.
fn for_reviews(rest: &str) -> String {
    let target = "{ group: networking.istio.io, kind: ServiceEntry, name: reviews }";
    policy(&format!("{{ targetRefs: [{target}], {rest} }}"))
}

fn services() -> String {
    service(
        "reviews",
        "hosts: [reviews.test], resolution: STATIC, endpoints: [{ address: 10.0.0.7 }]",
    ) + &service(
        "other",
        "hosts: [other.test], resolution: STATIC, endpoints: [{ address: 10.0.0.7 }]",
    )
}

/// What is told to `caller` that calls `host`, with HTTP if there is a path.
fn judged(text: &str, caller: &str, host: &str, path: Option<&str>) -> String {
    let model = parse(text).unwrap_or_else(|errors| panic!("{text}\n{errors:#?}"));
    let workload = Workload {
        namespace: "shop".to_owned(),
        labels: BTreeMap::new(),
    };
    let model = model.for_workload(&workload, "istio-system");
    let called = model.of_host(host, 80).expect("a service");
    let caller: SpiffeId = caller.parse().expect("a SPIFFE ID");
    let headers = HeaderMap::new();
    let path = path.map(|path| HttpPath::parse(path).expect("a path"));
    let http = path.as_ref().map(|path| Http {
        method: "GET",
        path,
        host,
        headers: &headers,
        token: None,
    });
    match model.may_call(called, Some(&caller), http) {
        Ok(()) => "permitted".to_owned(),
        Err(denied) => denied.to_string(),
    }
}

const WEB: &str = "spiffe://example.org/web";

#[test]
fn a_policy_for_a_service_is_asked_with_the_caller_as_its_source() {
    let allow = for_reviews(
        "rules: [{ from: [{ source: { principals: [example.org/web] } }], \
                   to: [{ operation: { paths: [/open*] } }] }]",
    );
    let text = services() + &allow;
    assert_eq!(
        judged(&text, WEB, "reviews.test", Some("/open")),
        "permitted"
    );
    for (caller, path) in [
        (WEB, Some("/closed")),
        ("spiffe://example.org/other", Some("/open")),
        // Of bytes nothing is known that an ALLOW asks for.
        (WEB, None),
    ] {
        let told = judged(&text, caller, "reviews.test", path);
        assert!(
            told.starts_with("denied: no ALLOW policy matched"),
            "{told}"
        );
    }
    assert_eq!(
        judged(&text, WEB, "other.test", Some("/closed")),
        "permitted"
    );
}

#[test]
fn a_deny_for_a_service_keeps_its_callers_away() {
    let text = services() + &for_reviews("action: DENY, rules: [{}]");
    for path in [Some("/"), None] {
        let told = judged(&text, WEB, "reviews.test", path);
        assert_eq!(told, "denied by DENY policy shop/egress rule 0");
        assert_eq!(judged(&text, WEB, "other.test", path), "permitted");
    }
}

#[test]
fn what_a_policy_for_a_service_cannot_be_is_refused() {
    for (text, wanted) in [
        (
            policy(
                "{ targetRefs: [{ group: networking.istio.io, kind: ServiceEntry, name: no }] }",
            ),
            "is for ServiceEntry shop/no, which there is none of",
        ),
        (
            policy(
                "{ targetRefs: [{ group: gateway.networking.k8s.io, kind: Gateway, name: reviews }] }",
            ),
            "select workloads with `selector.matchLabels` instead",
        ),
        (
            for_reviews("selector: { matchLabels: { a: b } }"),
            "cannot stand beside selector",
        ),
        (
            for_reviews("action: AUDIT, rules: [{}]"),
            "can neither be tried nor audited",
        ),
        (
            for_reviews("rules: [{ from: [{ source: { ipBlocks: [10.0.0.0/8] } }] }]"),
            "is not known where a service is called",
        ),
        (
            for_reviews("rules: [{ when: [{ key: 'request.auth.claims[a]', values: [b] }] }]"),
            "is not known where a service is called",
        ),
    ] {
        let errors = parse(&(services() + &text))
            .map(|_| wanted)
            .expect_err(wanted);
        assert!(
            errors.iter().any(|it| it.to_string().contains(wanted)),
            "{errors:#?}"
        );
    }
}
