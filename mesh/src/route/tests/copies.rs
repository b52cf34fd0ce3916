//! What pages of other origins may do, and what copies are called.

use http::{Method, header};

use super::*;

const POLICY: &str = "corsPolicy: { allowOrigins: [{ exact: 'https://a.org' }], \
                      allowMethods: [GET, PUT], allowHeaders: [x-a, x-b], exposeHeaders: [x-c], \
                      maxAge: 1h, allowCredentials: true";

/// What is decided on a request with these headers, by a policy with more keys.
fn decided(more: &str, method: Method, headers: &[(HeaderName, &'static str)]) -> CorsDecision {
    let routes = loaded(&http(&to("one", &format!("{POLICY}{more} }}"))));
    let mut call = get("/").method(method.as_str());
    for (name, value) in headers {
        let value = HeaderValue::from_static(value);
        call.headers.insert(name, value);
    }
    call.ask(|call| {
        let HttpDecision::Routed(routed) = routes.http(call, 0) else {
            panic!("it is routed");
        };
        let cors = routed.route.cors.as_ref().expect("a policy");
        cors.decide(call.method, call.headers)
    })
}

/// What changes make of headers that the service gave.
fn changed(changes: &HeaderChanges) -> Vec<String> {
    let mut headers = HeaderMap::new();
    changes.apply(&mut headers);
    let line = |(name, value): (&HeaderName, &HeaderValue)| {
        format!("{name}: {}", value.to_str().expect("text"))
    };
    let mut lines: Vec<_> = headers.iter().map(line).collect();
    lines.sort();
    lines
}

const ASKS: (HeaderName, &str) = (header::ACCESS_CONTROL_REQUEST_METHOD, "PUT");
const A: (HeaderName, &str) = (header::ORIGIN, "https://a.org");
const B: (HeaderName, &str) = (header::ORIGIN, "https://b.org");

#[test]
fn a_preflight_of_an_allowed_origin_is_answered_with_all_that_is_allowed() {
    let CorsDecision::Answered(headers) = decided("", Method::OPTIONS, &[A, ASKS]) else {
        panic!("it is answered");
    };
    let wanted = [
        "access-control-allow-credentials: true",
        "access-control-allow-headers: x-a,x-b",
        "access-control-allow-methods: GET,PUT",
        "access-control-allow-origin: https://a.org",
        "access-control-max-age: 3600",
    ];
    assert_eq!(changed(&headers), wanted);
}

#[test]
fn an_answer_to_an_allowed_origin_says_so() {
    for method in [Method::GET, Method::OPTIONS] {
        let CorsDecision::Passes(changes) = decided("", method, &[A]) else {
            panic!("it passes");
        };
        let wanted = [
            "access-control-allow-credentials: true",
            "access-control-allow-origin: https://a.org",
            "access-control-expose-headers: x-c",
        ];
        assert_eq!(changed(&changes), wanted);
    }
}

#[test]
fn what_is_not_of_an_allowed_origin_passes_unchanged() {
    let unchanged = CorsDecision::Passes(HeaderChanges::default());
    let ignore = ", unmatchedPreflights: IGNORE";
    let empty = (header::ORIGIN, "");
    for (more, method, headers) in [
        ("", Method::GET, &[B][..]),
        (ignore, Method::GET, &[B]),
        ("", Method::OPTIONS, &[B, ASKS]),
        (
            ", unmatchedPreflights: FORWARD",
            Method::OPTIONS,
            &[B, ASKS],
        ),
        (ignore, Method::OPTIONS, &[ASKS]),
        (ignore, Method::OPTIONS, &[empty, ASKS]),
        (ignore, Method::PUT, &[B, ASKS]),
        (ignore, Method::OPTIONS, &[B]),
    ] {
        let decision = decided(more, method.clone(), headers);
        assert_eq!(decision, unchanged, "{more} {method} {headers:?}");
    }
    let nothing = CorsDecision::Answered(HeaderChanges::default());
    assert_eq!(decided(ignore, Method::OPTIONS, &[B, ASKS]), nothing);
}

#[test]
fn a_copy_is_called_by_the_name_of_a_shadow() {
    for (authority, wanted) in [
        ("shop.test", "shop.test-shadow"),
        ("shop.test:80", "shop.test-shadow:80"),
        ("10.0.0.1:80", "10.0.0.1-shadow:80"),
        ("[::1]:80", "[::1]:80"),
    ] {
        assert_eq!(Mirror::authority(authority), wanted);
    }
}
