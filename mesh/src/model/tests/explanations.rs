//! What people are told of the course of a request.

use http::{HeaderMap, HeaderValue};
use proptest::{prelude::*, sample::select};

use super::*;
use crate::{
    path::HttpPath,
    route::{HttpCall, HttpDecision, To},
};

const SHOP: &str = "apiVersion: networking.istio.io/v1
kind: ServiceEntry
metadata: { name: shop }
spec:
  hosts: [shop.test]
  location: MESH_INTERNAL
  resolution: STATIC
  ports: [{ number: 80, name: http, protocol: HTTP }]
  subjectAltNames: ['spiffe://example.org/shop']
  endpoints:
  - { address: 10.0.0.1, ports: { http: 15006 }, labels: { version: v1 }, locality: eu/one }
  - { address: 10.0.0.2, labels: { version: v2 }, serviceAccount: shop }
---
apiVersion: networking.istio.io/v1
kind: DestinationRule
metadata: { name: shop }
spec:
  host: shop.test
  subsets:
  - { name: v1, labels: { version: v1 } }
  - { name: v2, labels: { version: v2 } }
  - { name: v3, labels: { version: v3 } }
---
apiVersion: networking.istio.io/v1
kind: VirtualService
metadata: { name: shop }
spec:
  hosts: [shop.test]
  http:
  - match: [{ headers: { x-beta: { exact: 'true' } } }]
    name: beta
    headers: { request: { set: { x-set: one }, remove: [x-beta] } }
    rewrite: { uri: /new, authority: inner.test }
    timeout: 3s
    retries: { attempts: 2, retryOn: 'connect-failure,503', perTryTimeout: 1s, backoff: 30ms }
    fault: { abort: { httpStatus: 500, percentage: { value: 1.5 } } }
    mirror: { host: shop.test, subset: v2 }
    mirrorPercentage: { value: 10 }
    route:
    - { destination: { host: shop.test, subset: v1 }, weight: 95 }
    - { destination: { host: shop.test, subset: v2 }, weight: 5 }
  - match: [{ uri: { prefix: /moved }, method: { exact: GET } }]
    redirect: { authority: other.test }
  - match: [{ uri: { prefix: /none } }]
    route: [{ destination: { host: shop.test, subset: v3 } }]
  - match: [{ uri: { prefix: / }, withoutHeaders: { x-lost: {} } }]
    directResponse: { status: 418 }
";

/// Asks `answer` about a request for `shop.test`.
fn ask<T>(
    authority: &str,
    path: &str,
    header: Option<&'static str>,
    answer: impl FnOnce(&WorkloadModel, &HttpCall<'_>) -> T,
) -> T {
    let model = parse(SHOP).unwrap_or_else(|errors| panic!("{errors:#?}"));
    let workload = Workload {
        namespace: "default".to_owned(),
        labels: BTreeMap::new(),
    };
    let model = model.for_workload(&workload, "istio-system");
    let mut headers = HeaderMap::new();
    if let Some(name) = header {
        headers.insert(name, HeaderValue::from_static("true"));
    }
    let path = HttpPath::parse(path).expect("a path");
    let call = HttpCall {
        method: "GET",
        scheme: "http",
        authority,
        path: &path,
        query: None,
        headers: &headers,
        port: 80,
    };
    answer(&model, &call)
}

fn explained(authority: &str, path: &str, header: Option<&'static str>) -> String {
    let own = "example.org".parse().expect("a trust domain");
    ask(authority, path, header, |model, call| {
        model.explain(call, &own).to_string()
    })
}

#[test]
fn a_request_is_followed_to_every_endpoint_that_may_get_it() {
    let wanted = "\
sent on by its route
VirtualService default/shop (mesh.yaml:24)
  line 30: route beta takes it: header x-beta exact \"true\"
  request headers: remove x-beta, set x-set: one
  path: becomes /new
  authority: becomes inner.test
  fault: 1.5% are answered 500
  timeout: 3s
  retries: up to 2 on connect-failure,retriable-status-codes,503, each try within 1s, first after 30ms
  mirror: 10% to shop.test subset v2
95 of 100 to shop.test subset v1
  cluster outbound|80|v1|shop.test
    ServiceEntry default/shop (mesh.yaml:1), port http
    DestinationRule default/shop (mesh.yaml:14)
    endpoint 10.0.0.1 port 15006, locality eu/one, version=v1: must be spiffe://example.org/shop
5 of 100 to shop.test subset v2
  cluster outbound|80|v2|shop.test
    ServiceEntry default/shop (mesh.yaml:1), port http
    DestinationRule default/shop (mesh.yaml:14)
    endpoint 10.0.0.2 port 80, version=v2: must be spiffe://example.org/ns/default/sa/shop or spiffe://example.org/shop
";
    assert_eq!(explained("shop.test", "/", Some("x-beta")), wanted);
}

#[test]
fn a_request_that_goes_nowhere_is_told_why() {
    let passed = "  line 30: does not match: header x-beta exact \"true\"\n  line 42: ";
    let moved = explained("shop.test", "/moved/a", None);
    let wanted = "answered 301, go to http://other.test/moved/a, by its route\n\
                  VirtualService default/shop (mesh.yaml:24)\n";
    let taken = "route takes it: uri prefix \"/moved\", method exact \"GET\"\n";
    assert_eq!(moved, format!("{wanted}{passed}{taken}"));
    let none = explained("shop.test", "/none", None);
    assert!(
        none.ends_with("    it goes nowhere: there is no endpoint\n"),
        "{none}"
    );
    let teapot = explained("shop.test", "/", None);
    assert!(
        teapot.starts_with("answered 418, by its route\n"),
        "{teapot}"
    );
    let lost = explained("shop.test", "/", Some("x-lost"));
    let wanted = "answered 404: no route of VirtualService default/shop (mesh.yaml:24) takes it\n";
    assert!(lost.starts_with(&format!("{wanted}{passed}")), "{lost}");
    assert!(
        lost.ends_with("prefix \"/\", without header x-lost present\n"),
        "{lost}"
    );
    let other = explained("other.test", "/", None);
    assert_eq!(
        other,
        "no VirtualService routes it: it goes to the service it calls\n  \
         it goes nowhere: no service of the mesh has the host other.test\n"
    );
}

#[test]
fn a_request_arrives_as_its_route_changes_it() {
    let own = "example.org".parse().expect("a trust domain");
    let arrivals = ask("shop.test", "/a", Some("x-beta"), |model, call| {
        model.explain(call, &own).arrivals(call)
    });
    let [arrival] = &*arrivals else {
        panic!("both ways are the same: {arrivals:?}");
    };
    assert_eq!(
        (&*arrival.authority, arrival.path.as_str()),
        ("inner.test", "/newa")
    );
    let headers: Vec<_> = arrival.headers.keys().collect();
    assert_eq!(headers, ["x-set"]);
    let none = ask("shop.test", "/none", None, |model, call| {
        model.explain(call, &own).arrivals(call)
    });
    assert_eq!(none, []);
}

proptest! {
    #[test]
    fn the_explanation_is_of_the_decision(
        authority in select(&["shop.test", "SHOP.test:80", "other.test"]),
        path in select(&["/", "/moved", "/none/a", "/x"]),
        header in select(&[None, Some("x-beta"), Some("x-lost")]),
        random in any::<u64>(),
    ) {
        let own = "example.org".parse().expect("a trust domain");
        ask(authority, path, header, |model, call| {
            let explanation = model.explain(call, &own);
            let same = match (&explanation.course, model.routes.http(call, random)) {
                (Course::Unrouted(_), HttpDecision::Unrouted) => true,
                (Course::NoRoute(object), HttpDecision::NoRoute(other)) => *object == other,
                (Course::Answered { routed, .. }, HttpDecision::Routed(other)) => {
                    routed.route.line == other.route.line
                }
                (Course::Forwarded { shares, .. }, HttpDecision::Routed(other)) => {
                    let To::Destination(_, picked) = other.to else {
                        panic!("it goes nowhere");
                    };
                    shares.iter().any(|share| share.weighted == picked)
                }
                (_, _) => false,
            };
            prop_assert!(same, "{explanation}");
            Ok(())
        })?;
    }
}
