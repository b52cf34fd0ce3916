//! Traces: a request over three hops is one tree, at every collector.

use std::{
    net::{Ipv4Addr, TcpListener},
    time::{Duration, Instant},
};

use nix::sys::signal::Signal;

use super::collectors::{Collector, Span};
use crate::testbed::{Bed, Hops, Server, eventually};

const TRACE: &str = "4bf92f3577b34da6a3ce929d0e0e4736";
const CALLER: &str = "00f067aa0ba902b7";

/// That spans go to both, of every request of which nobody decided otherwise.
fn tracing(otlp: &Collector, zipkin: &Collector) -> String {
    format!(
        "mesh: []
tracing:
  otlp: {{ endpoint: 'http://127.0.0.1:{}' }}
  zipkin: {{ endpoint: 'http://127.0.0.1:{}' }}
  randomSamplingPercentage: 100
",
        otlp.port, zipkin.port
    )
}

/// The spans of a trace from its root on, once there are four.
fn tree(collector: &Collector, trace: &str, root: &str) -> Vec<Span> {
    let mut left = eventually("four spans", || {
        let spans = collector.of(trace);
        (spans.len() >= 4).then_some(spans)
    });
    assert_eq!(left.len(), 4, "{left:#?}");
    let mut parent = root.to_owned();
    let mut tree: Vec<Span> = Vec::new();
    while let Some(at) = left.iter().position(|span| span.parent == parent) {
        let span = left.remove(at);
        parent.clone_from(&span.id);
        tree.push(span);
    }
    assert!(left.is_empty(), "not in the tree: {left:#?}");
    tree
}

fn is_the_tree_of_three_hops(tree: &[Span]) {
    let told: Vec<_> = tree.iter().map(|it| (&*it.service, &*it.kind)).collect();
    let expected = [
        ("client", "CLIENT"),
        ("middle", "SERVER"),
        ("middle", "CLIENT"),
        ("end", "SERVER"),
    ];
    assert_eq!(told, expected);
    let calls = [("client", "middle"), ("middle", "end")];
    for (spans, (source, destination)) in tree.chunks(2).zip(calls) {
        for span in spans {
            let attribute = |name: &str| span.attributes.get(name).map_or("", String::as_str);
            for (name, id) in [("source", source), ("destination", destination)] {
                let principal = attribute(&format!("{name}.principal"));
                assert_eq!(principal, format!("spiffe://example.org/{id}"), "{span:#?}");
            }
            assert_eq!(attribute("http.request.method"), "GET");
            assert_eq!(attribute("http.response.status_code"), "200");
            assert_eq!(attribute("response_flags"), "-");
            assert!(!attribute("guid:x-request-id").is_empty());
            assert!(!span.is_error && span.name == "GET", "{span:#?}");
        }
    }
    for pair in tree.windows(2) {
        let ([begun, ended], [inner_begun, inner_ended]) = (pair[0].times, pair[1].times);
        // Zipkin cuts off what is less than a microsecond; the end of a body is seen at both ends
        // when each has the time for it.
        assert!(begun <= inner_begun + 1_000, "{pair:#?}");
        assert!(inner_ended <= ended + 1_000_000_000, "{pair:#?}");
    }
    assert_eq!(tree[0].attributes["url.path"], "/hello");
}

#[test]
fn a_request_over_three_hops_is_one_tree_in_otlp_and_in_zipkin() {
    let (otlp, zipkin) = (Collector::otlp(), Collector::zipkin());
    let bed = Bed::new();
    let hops = Hops::start(Server::start(&bed), &tracing(&otlp, &zipkin));
    let given = format!("traceparent: 00-{TRACE}-{CALLER}-01\r\ntracestate: a=1\r\n");
    assert!(hops.get("/hello?secret", &given).contains("200 OK"));
    for collector in [&otlp, &zipkin] {
        is_the_tree_of_three_hops(&tree(collector, TRACE, CALLER));
    }
    assert!(otlp.of(TRACE).iter().all(|span| span.state == "a=1"));
    // The application is a child of the last proxy.
    let head = hops.asked.lock().unwrap()[0].clone();
    let last = &tree(&otlp, TRACE, CALLER)[3].id;
    assert!(
        head.contains(&format!("traceparent: 00-{TRACE}-{last}-01")),
        "{head}"
    );
    assert!(head.contains("tracestate: a=1"), "{head}");
    // One that nobody began begins at the first proxy, and B3 goes along as it came.
    assert!(hops.get("/hello", "").contains("200 OK"));
    let head = hops.asked.lock().unwrap()[1].clone();
    let parent = head
        .lines()
        .find_map(|it| it.strip_prefix("traceparent: 00-"));
    let trace = parent.unwrap().split('-').next().unwrap().to_owned();
    is_the_tree_of_three_hops(&tree(&zipkin, &trace, ""));
    let b3 = "a3ce929d0e0e4736";
    let given = format!("x-b3-traceid: {b3}\r\nx-b3-spanid: {CALLER}\r\nx-b3-sampled: 1\r\n");
    assert!(hops.get("/hello", &given).contains("200 OK"));
    is_the_tree_of_three_hops(&tree(&zipkin, b3, CALLER));
    is_the_tree_of_three_hops(&tree(&otlp, &format!("{}{b3}", "0".repeat(16)), CALLER));
}

#[test]
fn a_request_that_fails_has_spans_that_say_so_and_one_that_is_not_sampled_has_none() {
    let (otlp, zipkin) = (Collector::otlp(), Collector::zipkin());
    let bed = Bed::new();
    let hops = Hops::start(Server::start(&bed), &tracing(&otlp, &zipkin));
    let no = format!("traceparent: 00-{TRACE}-{CALLER}-00\r\ntracestate: Odd\r\n");
    assert!(hops.get("/hello", &no).contains("200 OK"));
    let head = hops.asked.lock().unwrap()[0].clone();
    assert!(no.lines().all(|line| head.contains(line)), "{head}");
    assert!(hops.get("/broken", "").contains(" 500 "));
    let spans = eventually("the spans of the second", || {
        let spans = otlp.all();
        (spans.len() >= 4).then_some(spans)
    });
    assert!(spans.iter().all(|span| span.trace != TRACE), "{spans:#?}");
    let broken: Vec<_> = spans.iter().filter(|span| span.is_error).collect();
    assert_eq!(broken.len(), 2, "{spans:#?}");
    for span in broken {
        assert_eq!(span.attributes["http.response.status_code"], "500");
        assert_eq!(span.attributes["error.type"], "500");
    }
}

#[test]
fn without_tracing_the_headers_of_a_trace_pass_as_they_are() {
    let bed = Bed::new();
    let hops = Hops::start(Server::start(&bed), "mesh: []\n");
    let given = "traceparent: nonsense\r\ntracestate: Odd, =\r\nb3: x\r\nx-b3-flags: 7\r\n";
    assert!(hops.get("/hello", given).contains("200 OK"));
    let head = hops.asked.lock().unwrap()[0].clone();
    for line in given.lines() {
        assert!(head.contains(&format!("{line}\r\n")), "{line} in {head}");
    }
}

#[test]
fn a_collector_that_hangs_or_is_away_delays_no_request_nor_the_end_of_the_proxy() {
    let hangs = TcpListener::bind((Ipv4Addr::LOCALHOST, 0)).unwrap();
    let port = hangs.local_addr().unwrap().port();
    let settings = format!(
        "mesh: []
drainTimeout: 1s
tracing:
  otlp: {{ endpoint: 'http://127.0.0.1:{port}' }}
  zipkin: {{ endpoint: 'http://127.0.0.1:1' }}
  randomSamplingPercentage: 100
"
    );
    let bed = Bed::new();
    let mut hops = Hops::start(Server::start(&bed), &settings);
    let begun = Instant::now();
    for _ in 0..50 {
        assert!(hops.get("/hello", "").contains("200 OK"));
    }
    assert!(
        begun.elapsed() < Duration::from_secs(10),
        "{:?}",
        begun.elapsed()
    );
    hops.client.process.says("the collector takes no spans");
    let stopped = Instant::now();
    hops.client.process.signal(Signal::SIGTERM);
    assert!(hops.client.process.ends().success());
    assert!(
        stopped.elapsed() < Duration::from_secs(8),
        "{:?}",
        stopped.elapsed()
    );
    hops.client
        .process
        .says("spans are dropped, as they could not be sent in time");
}
