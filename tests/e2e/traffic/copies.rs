//! Copies of requests, for mirrors.

use std::{
    net::{Ipv4Addr, TcpListener},
    time::{Duration, Instant},
};

use nix::sys::signal::Signal;

use super::{Traffic, routes};
use crate::testbed::{Bed, eventually};

const MIRRORED: &str = "  - match: [{ uri: { prefix: /some } }]
    mirror: { host: shop.test, subset: v2 }
    mirrorPercentage: { value: 10 }
    route: [{ destination: { host: shop.test, subset: v1 } }]
  - headers: { request: { set: { x-set: one } } }
    mirror: { host: shop.test, subset: v2 }
    route: [{ destination: { host: shop.test, subset: v1 } }]
";

#[test]
fn a_copy_goes_to_the_mirror_and_its_answer_to_nobody() {
    let bed = Bed::new();
    let traffic = Traffic::start(&bed, &routes(MIRRORED));
    let mirror = &traffic.two.application;
    for body in ["", "pay"] {
        let answer = traffic.ask("POST", "/flaky?a=b", "", body);
        assert_eq!((answer.status, &*answer.body), (200, "v1"));
        let asked = eventually("the copy arrives", || mirror.asked().pop());
        assert_eq!(asked.body, body);
        for part in ["post /flaky?a=b ", "host: shop.test-shadow", "x-set: one"] {
            assert!(asked.head.contains(part), "{part} in {}", asked.head);
        }
    }
    mirror.fail(1);
    let answer = traffic.get("/flaky");
    assert_eq!((answer.status, &*answer.body), (200, "v1"));
    eventually("the copy arrives", || mirror.asked().pop());
    for _ in 0..300 {
        assert_eq!(traffic.get("/some").body, "v1");
    }
    let requests = traffic.one.application.asked();
    assert!(!requests.iter().any(|it| it.head.contains("-shadow")));
    let mut copies = mirror.asked().len();
    eventually("the last of them arrives", || {
        copies += mirror.asked().len();
        (copies >= 10).then_some(())
    });
    assert!(copies <= 60, "{copies} of 300");
}

#[test]
fn of_a_body_that_is_too_large_to_be_kept_there_is_no_copy() {
    let bed = Bed::new();
    let traffic = Traffic::start(&bed, &routes(MIRRORED));
    let large = "x".repeat(200_000);
    assert_eq!(traffic.ask("POST", "/", "", &large).body, "v1");
    let asked = traffic.one.application.asked();
    assert_eq!(asked.len(), 1);
    assert!(asked.iter().all(|it| it.body == large));
    assert_eq!(traffic.ask("POST", "/", "", "small").body, "v1");
    let asked = eventually("the next copy arrives", || {
        traffic.two.application.asked().pop()
    });
    assert_eq!(asked.body, "small");
}

#[test]
fn a_mirror_that_never_answers_delays_nothing() {
    let bed = Bed::new();
    let hole = TcpListener::bind((Ipv4Addr::LOCALHOST, 0)).unwrap();
    let port = hole.local_addr().unwrap().port();
    let entry = format!(
        "apiVersion: networking.istio.io/v1
kind: ServiceEntry
metadata: {{ name: hole }}
spec:
  hosts: [hole.test]
  location: MESH_INTERNAL
  resolution: STATIC
  ports: [{{ number: 80, name: http, protocol: HTTP }}]
  subjectAltNames: ['spiffe://example.org/hole']
  endpoints: [{{ address: 127.0.0.1, ports: {{ http: {port} }} }}]
---
"
    );
    let route = "  - mirrors: [{ destination: { host: hole.test } }]
    route: [{ destination: { host: shop.test, subset: v1 } }]
";
    let documents = format!("{entry}{}", routes(route));
    let mut traffic = Traffic::with_settings(&bed, "", &documents, "drainTimeout: 20s\n");
    traffic.get("/");
    let started = Instant::now();
    for _ in 0..300 {
        let answer = traffic.ask("POST", "/", "", "pay");
        assert_eq!((answer.status, &*answer.body), (200, "v1"));
    }
    assert!(started.elapsed() < Duration::from_secs(15));
    // Nor does the proxy wait for it when it is to end.
    let proxy = &mut traffic.client.process;
    proxy.signal(Signal::SIGTERM);
    assert!(proxy.ends_within(Duration::from_secs(5)).success());
}
