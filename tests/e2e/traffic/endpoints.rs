//! Endpoints that are not there, and what goes to those that are, in every version of HTTP.

use std::process::Command;

use super::{Traffic, routes};
use crate::testbed::{Bed, free_port};

impl Traffic<'_> {
    /// From now on, the endpoint of the second version is where nobody listens.
    fn lose_second(&self) {
        let documents = std::fs::read_to_string(&self.documents).unwrap();
        let (before, after) = documents.split_once("labels: { version: v2 }").unwrap();
        let (start, _) = before.rsplit_once("  - { address").unwrap();
        let port = free_port();
        let lost = format!(
            "{start}  - {{ address: 127.0.0.1, ports: {{ http: {port} }}, labels: {{ version: v2 }}"
        );
        self.write(&format!("{lost}{after}"));
        self.client.process.says("the new model is in force");
    }
}

#[test]
fn an_endpoint_that_is_not_there_is_passed_over_whatever_the_method() {
    let bed = Bed::new();
    let traffic = Traffic::start(&bed, "");
    traffic.lose_second();
    for _ in 0..30 {
        let answer = traffic.get("/");
        assert_eq!((answer.status, &*answer.body), (200, "v1"));
        let answer = traffic.ask("POST", "/", "", "pay");
        assert_eq!((answer.status, &*answer.body), (200, "v1"));
    }
    // Nothing that was to be sent was lost, or sent twice.
    let asked = traffic.one.application.asked();
    assert_eq!(asked.iter().filter(|it| it.body == "pay").count(), 30);
    assert_eq!(asked.len(), 60);
    traffic.client.process.says("attempts=2");
}

const ONLY_SECOND: &str = "  - route: [{ destination: { host: shop.test, subset: v2 } }]
    retries: { attempts: 0 }
";

#[test]
fn a_service_of_which_nothing_is_there_is_unavailable_and_says_so() {
    let bed = Bed::new();
    let traffic = Traffic::start(&bed, &routes(ONLY_SECOND));
    traffic.lose_second();
    let answer = traffic.get("/");
    assert_eq!(answer.status, 503, "{answer:?}");
    assert!(answer.body.contains("cannot be connected to"), "{answer:?}");
    traffic.client.process.says("response_flags=UF");
}

#[test]
fn a_body_that_is_too_large_to_be_kept_is_sent_once() {
    let bed = Bed::new();
    let retried = "  - retries: { attempts: 2, retryOn: '503' }
    route: [{ destination: { host: shop.test, subset: v1 } }]
";
    let traffic = Traffic::start(&bed, &routes(retried));
    for (size, tries) in [(1_000, 3), (200_000, 1)] {
        traffic.one.application.fail(9);
        let body = "x".repeat(size);
        let answer = traffic.ask("PUT", "/flaky", "", &body);
        assert_eq!(answer.status, 503, "{answer:?}");
        let asked = traffic.one.application.asked();
        assert_eq!(asked.len(), tries, "of {size} bytes");
        assert!(asked.iter().all(|it| it.body == body));
    }
}

#[test]
fn http2_is_routed_as_http1_is() {
    let bed = Bed::new();
    let beta = "  - match: [{ headers: { x-user-beta: { exact: 'true' } } }]
    route: [{ destination: { host: shop.test, subset: v2 } }]
  - route: [{ destination: { host: shop.test, subset: v1 } }]
";
    let traffic = Traffic::start(&bed, &routes(beta));
    let curl = |header: &str| {
        let url = format!("http://shop.test:{}/", traffic.out);
        let resolve = format!("shop.test:{}:127.0.0.1", traffic.out);
        let mut command = Command::new("curl");
        command.args(["-s", "--http2-prior-knowledge", "--resolve", &resolve]);
        // The port of the URL is the proxy's own.
        command.args(["-H", "host: shop.test", "-H", header, &url]);
        String::from_utf8(command.output().unwrap().stdout).unwrap()
    };
    assert_eq!(curl("x-user-beta: true"), "v2");
    assert_eq!(curl("x-user-beta: false"), "v1");
}
