//! What pages of other origins may do.

use super::{Answer, Traffic, routes};
use crate::testbed::Bed;

const POLICY: &str = "  - match: [{ uri: { prefix: /ignored } }]
    corsPolicy: { allowOrigins: [{ exact: 'https://a.test' }], unmatchedPreflights: IGNORE }
    route: [{ destination: { host: shop.test, subset: v1 } }]
  - match: [{ uri: { prefix: /slow } }]
    timeout: 300ms
    corsPolicy: { allowOrigins: [{ exact: 'https://a.test' }] }
    route: [{ destination: { host: shop.test, subset: v1 } }]
  - corsPolicy:
      allowOrigins: [{ exact: 'https://a.test' }]
      allowMethods: [GET, PUT]
      allowHeaders: [x-a]
      exposeHeaders: [x-internal]
      maxAge: 1h
      allowCredentials: true
    route: [{ destination: { host: shop.test, subset: v1 } }]
";

const PREFLIGHT: &str = "access-control-request-method: PUT\r\n";

fn preflight(traffic: &Traffic<'_>, path: &str, origin: &str) -> Answer {
    let headers = format!("origin: {origin}\r\n{PREFLIGHT}");
    traffic.ask("OPTIONS", path, &headers, "")
}

#[test]
fn the_proxy_says_what_pages_of_an_allowed_origin_may_do() {
    let bed = Bed::new();
    let traffic = Traffic::start(&bed, &routes(POLICY));
    let application = &traffic.one.application;
    let answer = preflight(&traffic, "/", "https://a.test");
    assert_eq!((answer.status, &*answer.body), (200, ""), "{answer:?}");
    for line in [
        "access-control-allow-origin: https://a.test",
        "access-control-allow-methods: get,put",
        "access-control-allow-headers: x-a",
        "access-control-allow-credentials: true",
        "access-control-max-age: 3600",
    ] {
        assert!(answer.head.contains(line), "{line} in {answer:?}");
    }
    assert!(application.asked().is_empty());

    let asks = |path: &str| traffic.ask("GET", path, "origin: https://a.test\r\n", "");
    let answer = asks("/");
    assert_eq!((answer.status, &*answer.body), (200, "v1"));
    for line in [
        "access-control-allow-origin: https://a.test",
        "access-control-expose-headers: x-internal",
    ] {
        assert!(answer.head.contains(line), "{line} in {answer:?}");
    }
    // A page may read why there is no answer, too.
    let answer = asks("/slow");
    assert_eq!(answer.status, 504);
    assert!(
        answer
            .head
            .contains("access-control-allow-origin: https://a.test")
    );
}

#[test]
fn pages_of_other_origins_are_told_nothing() {
    let bed = Bed::new();
    let traffic = Traffic::start(&bed, &routes(POLICY));
    let application = &traffic.one.application;
    let told = |answer: &Answer| answer.head.contains("access-control");
    let answer = traffic.ask("GET", "/", "origin: https://b.test\r\n", "");
    assert!(answer.status == 200 && !told(&answer), "{answer:?}");
    // The service may know better, unless it is not to be asked.
    application.asked();
    let answer = preflight(&traffic, "/", "https://b.test");
    assert!(answer.body == "v1" && !told(&answer), "{answer:?}");
    assert_eq!(application.asked().len(), 1);
    let answer = preflight(&traffic, "/ignored", "https://b.test");
    assert_eq!((answer.status, &*answer.body), (200, ""), "{answer:?}");
    assert!(
        !told(&answer) && application.asked().is_empty(),
        "{answer:?}"
    );
}
