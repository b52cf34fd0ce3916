//! Endpoints that are asked whether they are well, over the mutual TLS of requests.

use std::time::{Duration, Instant};

use super::Traffic;
use crate::testbed::Bed;

impl Traffic<'_> {
    /// From now on the endpoints of `shop.test` are checked like this.
    fn checked(&self, annotation: &str) {
        let documents = std::fs::read_to_string(&self.documents).unwrap();
        let (before, after) = documents.split_once("kind: DestinationRule\n").unwrap();
        let (_, after) = after.split_once('\n').unwrap();
        let metadata = format!(
            "metadata: {{ name: shop, annotations: {{ signet.io/health-check: '{annotation}' }} }}"
        );
        self.write(&format!(
            "{before}kind: DestinationRule\n{metadata}\n{after}"
        ));
        self.client.process.says("the new model is in force");
    }

    /// Asks until so many answers in a row are of these versions alone.
    fn until_all_are_of(&self, versions: &[&str]) {
        let given_up = Instant::now() + Duration::from_secs(20);
        let mut run = Vec::new();
        while run.len() < 30 {
            assert!(Instant::now() < given_up, "{run:?}");
            let answer = self.get("/");
            match versions.contains(&&*answer.body) {
                true => run.push(answer.body),
                false => run.clear(),
            }
        }
        assert!(
            versions.iter().all(|it| run.iter().any(|body| body == it)),
            "{run:?}"
        );
    }
}

#[test]
fn an_endpoint_that_fails_its_checks_gets_no_calls_until_it_passes_them() {
    let bed = Bed::new();
    let traffic = Traffic::start(&bed, "");
    traffic.checked(
        "{ http: { path: /flaky }, interval: 1s, unhealthyThreshold: 2, healthyThreshold: 1 }",
    );
    traffic.until_all_are_of(&["v1", "v2"]);
    let asked = traffic.two.application.asked();
    let checked = asked
        .iter()
        .find(|it| it.head.starts_with("get /flaky http/1.1"));
    let head = &checked.expect("it is checked").head;
    // The other end has seen the proxy's certificate.
    assert!(head.contains("spiffe://example.org/client"), "{head}");
    assert!(head.contains("host: shop.test"), "{head}");
    traffic.two.application.fail(1_000_000);
    traffic
        .client
        .process
        .says("the endpoint is unhealthy: its health checks fail");
    traffic.until_all_are_of(&["v1"]);
    traffic.two.application.fail(0);
    traffic.client.process.says("the endpoint is healthy again");
    traffic.until_all_are_of(&["v1", "v2"]);
}

#[test]
fn a_check_of_grpc_that_nobody_serves_leaves_no_endpoint_and_says_so() {
    let bed = Bed::new();
    let traffic = Traffic::start(&bed, "");
    traffic.checked("{ grpc: {}, interval: 1s, unhealthyThreshold: 1 }");
    drop(traffic.get("/"));
    traffic
        .client
        .process
        .says("the endpoint is unhealthy: its health checks fail");
    let given_up = Instant::now() + Duration::from_secs(20);
    loop {
        let answer = traffic.get("/");
        if answer.status == 503 {
            assert!(answer.body.contains("unhealthy"), "{answer:?}");
            return;
        }
        assert!(Instant::now() < given_up, "{answer:?}");
    }
}
