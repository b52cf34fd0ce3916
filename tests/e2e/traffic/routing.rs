//! Which version gets a request, what is changed of it, how often it is tried.

use std::time::{Duration, Instant};

use super::{Traffic, routes};
use crate::testbed::{Bed, eventually};

const CANARY: &str = "  - match: [{ headers: { x-user-beta: { exact: 'true' } } }]
    route: [{ destination: { host: shop.test, subset: v2 } }]
  - route:
    - { destination: { host: shop.test, subset: v1 }, weight: 95 }
    - { destination: { host: shop.test, subset: v2 }, weight: 5 }
";

#[test]
fn a_canary_gets_its_share_and_the_beta_header_leads_to_it_always() {
    let bed = Bed::new();
    let traffic = Traffic::start(&bed, &routes(CANARY));
    let canaries = traffic.count(4_000, "v2");
    assert!((140..=260).contains(&canaries), "{canaries} of 4000");
    assert_eq!(traffic.two.application.asked().len(), canaries);
    for _ in 0..20 {
        let answer = traffic.ask("GET", "/", "X-User-Beta: true\r\n", "");
        assert_eq!((answer.status, &*answer.body), (200, "v2"));
    }
    // Both ends are who the service says.
    traffic
        .one
        .proxy
        .process
        .says("spiffe://example.org/client");
    traffic.client.process.says("outbound|80|v1|shop.test");
}

#[test]
fn without_routes_a_service_is_called_by_its_host_and_nothing_else_is() {
    let bed = Bed::new();
    let traffic = Traffic::start(&bed, "");
    let mut bodies: Vec<_> = (0..40).map(|_| traffic.get("/").body).collect();
    bodies.sort();
    bodies.dedup();
    assert_eq!(bodies, ["v1", "v2"]);
    let elsewhere = traffic.send("GET", "/", "host: other.test\r\n", "");
    assert_eq!(elsewhere.status, 502, "{elsewhere:?}");
    assert!(
        elsewhere
            .body
            .contains("no service of the mesh has the host other.test")
    );
    let no_port = traffic.send("GET", "/", "host: shop.test:81\r\n", "");
    assert_eq!(no_port.status, 503, "{no_port:?}");
    assert!(no_port.body.contains("service shop.test has no port 81"));
}

const RETRIES: &str = "  - match: [{ uri: { prefix: /flaky } }]
    retries: { attempts: 3, retryOn: '503', backoff: 25ms }
    route: [{ destination: { host: shop.test, subset: v1 } }]
  - match: [{ uri: { prefix: /slow } }]
    timeout: 300ms
    route: [{ destination: { host: shop.test, subset: v1 } }]
";

#[test]
fn a_retry_hides_an_error_but_repeats_nothing_that_could_do_harm_twice() {
    let bed = Bed::new();
    let traffic = Traffic::start(&bed, &routes(RETRIES));
    let application = &traffic.one.application;
    application.fail(3);
    assert_eq!(traffic.get("/flaky").status, 200);
    let asked = application.asked();
    let counts: Vec<_> = (1..=4)
        .map(|n| format!("x-envoy-attempt-count: {n}"))
        .collect();
    assert!(
        asked
            .iter()
            .zip(&counts)
            .all(|(asked, count)| asked.head.contains(count))
    );
    assert_eq!(asked.len(), 4);
    traffic.client.process.says("attempts=4");

    application.fail(4);
    assert_eq!(traffic.get("/flaky").status, 503);
    assert_eq!(application.asked().len(), 4);

    application.fail(1);
    assert_eq!(traffic.ask("POST", "/flaky", "", "pay").status, 503);
    assert_eq!(application.asked().len(), 1);

    // Who says that it may be repeated has all of it repeated.
    application.fail(2);
    let keyed = traffic.ask("POST", "/flaky", "idempotency-key: 1\r\n", "pay");
    assert_eq!(keyed.status, 200);
    let bodies: Vec<_> = application.asked().into_iter().map(|it| it.body).collect();
    assert_eq!(bodies, ["pay", "pay", "pay"]);
}

#[test]
fn a_route_has_a_timeout() {
    let bed = Bed::new();
    let traffic = Traffic::start(&bed, &routes(RETRIES));
    let started = Instant::now();
    let answer = traffic.get("/slow");
    assert_eq!(answer.status, 504, "{answer:?}");
    assert!(started.elapsed() < Duration::from_millis(1_500));
    assert!(answer.body.contains("within 300ms"), "{answer:?}");
    traffic.client.process.says("response_flags=UT");
    let nowhere = traffic.get("/other");
    assert_eq!(nowhere.status, 404, "{nowhere:?}");
    assert!(
        nowhere
            .body
            .contains("no route of VirtualService default/shop")
    );
    traffic.client.process.says("response_flags=NR");
}

const FAULTS: &str = "  - match: [{ uri: { exact: /abort } }]
    fault: { abort: { httpStatus: 500, percentage: { value: 100 } } }
    route: [{ destination: { host: shop.test } }]
  - match: [{ uri: { exact: /delay } }]
    fault: { delay: { fixedDelay: 100ms, percentage: { value: 100 } } }
    route: [{ destination: { host: shop.test } }]
  - match: [{ uri: { exact: /some } }]
    fault: { abort: { httpStatus: 500, percentage: { value: 10 } } }
    route: [{ destination: { host: shop.test } }]
";

#[test]
fn faults_are_made_by_their_share() {
    let bed = Bed::new();
    let traffic = Traffic::start(&bed, &routes(FAULTS));
    assert_eq!(traffic.get("/abort").status, 500);
    traffic.client.process.says("response_flags=FI");
    let started = Instant::now();
    assert_eq!(traffic.get("/delay").status, 200);
    assert!(started.elapsed() >= Duration::from_millis(100));
    traffic.client.process.says("response_flags=DI");
    let aborted = (0..300)
        .filter(|_| traffic.get("/some").status == 500)
        .count();
    assert!((10..=60).contains(&aborted), "{aborted} of 300");
}

const CHANGES: &str = "  - match: [{ uri: { prefix: /old/ } }]
    rewrite: { uri: /new/, authority: inner.test }
    headers:
      request: { set: { x-set: one }, add: { x-added: two }, remove: [x-secret] }
      response: { set: { x-answer: yes-it-is }, remove: [x-internal] }
    route: [{ destination: { host: shop.test, subset: v1 } }]
  - match: [{ uri: { prefix: /moved } }]
    redirect: { uri: /here, authority: other.test, redirectCode: 308 }
  - match: [{ uri: { prefix: /teapot } }]
    directResponse: { status: 418, body: { string: short and stout } }
";

#[test]
fn requests_and_responses_are_changed_as_the_route_says() {
    let bed = Bed::new();
    let traffic = Traffic::start(&bed, &routes(CHANGES));
    let answer = traffic.ask("GET", "/old/a?b=c", "x-secret: 1\r\n", "");
    assert_eq!(answer.status, 200);
    assert!(answer.head.contains("x-answer: yes-it-is"), "{answer:?}");
    assert!(!answer.head.contains("x-internal"), "{answer:?}");
    let [asked] = &*traffic.one.application.asked() else {
        panic!("one request");
    };
    for part in [
        "get /new/a?b=c ",
        "host: inner.test",
        "x-set: one",
        "x-added: two",
    ] {
        assert!(asked.head.contains(part), "{part} in {}", asked.head);
    }
    assert!(!asked.head.contains("x-secret"), "{}", asked.head);
    let moved = traffic.get("/moved/a");
    assert_eq!(moved.status, 308);
    assert!(
        moved.head.contains("location: http://other.test/here"),
        "{moved:?}"
    );
    let teapot = traffic.get("/teapot");
    assert_eq!((teapot.status, &*teapot.body), (418, "short and stout"));
}

#[test]
fn routes_change_while_the_proxy_runs_and_wrong_ones_change_nothing() {
    let bed = Bed::new();
    let all_to = |version: &str| {
        routes(&format!(
            "  - route: [{{ destination: {{ host: shop.test, subset: {version} }} }}]\n"
        ))
    };
    let traffic = Traffic::start(&bed, &all_to("v1"));
    let services = std::fs::read_to_string(&traffic.documents).unwrap();
    let services = services.split("kind: VirtualService").next().unwrap();
    let services = services.rsplit_once("---").unwrap().0.to_owned();
    let write = |routes: &str| traffic.write(&format!("{services}---\n{routes}"));
    assert_eq!(traffic.get("/").body, "v1");
    write(&all_to("v2"));
    eventually("requests go to v2", || {
        let answer = traffic.get("/");
        assert_eq!(answer.status, 200, "{answer:?}");
        (answer.body == "v2").then_some(())
    });
    write(&all_to("v3"));
    traffic.client.process.says("the model in force stays");
    assert_eq!(traffic.get("/").body, "v2");
    // What proxies do not carry is not left out in silence.
    write(
        "apiVersion: networking.istio.io/v1
kind: DestinationRule
metadata: { name: passed }
spec:
  host: passed.test
  trafficPolicy: { loadBalancer: { simple: PASSTHROUGH } }
",
    );
    traffic
        .client
        .process
        .says("loadBalancer.simple PASSTHROUGH is not carried by proxies yet");
    assert_eq!(traffic.get("/").body, "v2");
}

#[test]
fn a_service_that_is_somebody_else_is_not_called() {
    let bed = Bed::new();
    let traffic = Traffic::start(&bed, "");
    let documents = std::fs::read_to_string(&traffic.documents).unwrap();
    let other = documents.replace(
        "'spiffe://example.org/v1', 'spiffe://example.org/v2'",
        "'spiffe://example.org/bank'",
    );
    traffic.write(&other);
    eventually("nobody is who the service has to be", || {
        let answer = traffic.get("/");
        (answer.status == 503).then_some(answer)
    });
    traffic.client.process.says("is not accepted");
    let nobody = other
        .lines()
        .filter(|line| !line.contains("subjectAltNames"));
    traffic.write(&nobody.collect::<Vec<_>>().join("\n"));
    let answer = eventually("nobody is expected", || {
        let answer = traffic.get("/");
        answer
            .body
            .contains("it is not known who")
            .then_some(answer)
    });
    assert_eq!(answer.status, 503, "{answer:?}");
}
