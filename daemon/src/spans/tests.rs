//! What a collector gets, and what becomes of spans that none takes.

use std::{
    net::SocketAddr,
    time::{Duration, Instant, UNIX_EPOCH},
};

use tokio::{
    io::{AsyncReadExt as _, AsyncWriteExt as _},
    net::{TcpListener, TcpStream},
    task::JoinSet,
};
use tokio_util::sync::CancellationToken;

use super::*;
use crate::metrics::Registry;

fn span(number: u64) -> Span {
    Span {
        trace_id: 0x0102_0304_0506_0708_090a_0b0c_0d0e_0f10,
        span_id: number,
        parent_id: Some(0xff),
        trace_state: None,
        service: "shop".into(),
        kind: SpanKind::Client,
        name: "GET".to_owned(),
        start: UNIX_EPOCH + Duration::from_micros(1_700_000_000_000_001),
        took: Duration::from_micros(250),
        error: Some("no answer".to_owned()),
        peer: Some("127.0.0.1:80".parse().unwrap()),
        attributes: vec![
            Attribute::text("url.path", "/a\"b"),
            Attribute::number("http.response.status_code", 504),
        ],
    }
}

/// A collector of Zipkin, which says nothing by itself.
async fn zipkin() -> (SocketAddr, TcpListener) {
    let listener = TcpListener::bind("127.0.0.1:0").await.unwrap();
    (listener.local_addr().unwrap(), listener)
}

fn way(address: SocketAddr) -> (Registry, Reporter, Export) {
    let collector = Collector::parse(CollectorProtocol::Zipkin, &format!("http://{address}"));
    let registry = Registry::new();
    let (mut reporters, mut exports) = open(&[collector.unwrap()], &registry);
    (registry, reporters.remove(0), exports.remove(0))
}

/// The head and body of the next request.
async fn next(listener: &TcpListener, answer: &str) -> (String, serde_json::Value) {
    let (mut stream, _) = listener.accept().await.unwrap();
    let mut text = String::new();
    let (head, length) = loop {
        let mut bytes = [0; 4096];
        let count = stream.read(&mut bytes).await.unwrap();
        text.push_str(str::from_utf8(&bytes[..count]).unwrap());
        if let Some((head, _)) = text.split_once("\r\n\r\n") {
            let length = head
                .lines()
                .find_map(|it| it.strip_prefix("content-length: "));
            break (head.to_owned(), length.unwrap().parse::<usize>().unwrap());
        }
    };
    let body = body(&mut stream, &text[head.len() + 4..], length).await;
    let answer = format!("HTTP/1.1 {answer}\r\ncontent-length: 0\r\n\r\n");
    stream.write_all(answer.as_bytes()).await.unwrap();
    (head, serde_json::from_str(&body).unwrap())
}

async fn body(stream: &mut TcpStream, begun: &str, length: usize) -> String {
    let mut rest = vec![0; length - begun.len()];
    stream.read_exact(&mut rest).await.unwrap();
    format!("{begun}{}", str::from_utf8(&rest).unwrap())
}

fn count(registry: &Registry, metric: &str, having: &str) -> u64 {
    let text = registry.text();
    let mut lines = text.lines();
    let line = lines.find(|it| it.starts_with(metric) && it.contains(having));
    line.map_or(0, |line| line.rsplit(' ').next().unwrap().parse().unwrap())
}

#[test]
fn the_address_of_a_collector_has_host_and_port_and_no_tls() {
    let good = |protocol, text| Collector::parse(protocol, text).unwrap().uri.to_string();
    let (otlp, zipkin) = (CollectorProtocol::Otlp, CollectorProtocol::Zipkin);
    assert_eq!(good(otlp, "http://[::1]:4317"), "http://[::1]:4317/");
    let usual = "http://127.0.0.1:9411/api/v2/spans";
    for text in ["http://127.0.0.1:9411", "http://127.0.0.1:9411/", usual] {
        assert_eq!(good(zipkin, text), usual);
    }
    assert_eq!(good(zipkin, "http://a:1/in?x=1"), "http://a:1/in?x=1");
    for text in [
        "127.0.0.1:4317",
        "http://127.0.0.1",
        "http://127.0.0.1:0",
        "http://user@127.0.0.1:4317",
        "grpc://127.0.0.1:4317",
        "http://127.0.0.1:4317/v1/traces",
        "",
    ] {
        let error = Collector::parse(otlp, text).unwrap_err().to_string();
        assert!(error.contains("http://127.0.0.1:4317`"), "{text}: {error}");
    }
    let error = Collector::parse(otlp, "https://a:1").unwrap_err();
    assert!(error.to_string().contains("`outbound`"), "{error}");
}

#[tokio::test]
async fn zipkin_gets_its_json_and_what_is_left_at_the_end_too() {
    let (address, listener) = zipkin().await;
    let (registry, reporter, export) = way(address);
    reporter.report(span(7));
    let stop = CancellationToken::new();
    stop.cancel();
    let (_, (head, json)) = tokio::join!(export.run(stop), next(&listener, "202 Accepted"));
    assert!(head.starts_with("POST /api/v2/spans HTTP/1.1"), "{head}");
    let expected = serde_json::json!([{
        "traceId": "0102030405060708090a0b0c0d0e0f10",
        "id": "0000000000000007",
        "parentId": "00000000000000ff",
        "name": "GET",
        "kind": "CLIENT",
        "timestamp": 1_700_000_000_000_001_u64,
        "duration": 250,
        "localEndpoint": { "serviceName": "shop" },
        "remoteEndpoint": { "ipv4": "127.0.0.1", "port": 80 },
        "tags": { "url.path": "/a\"b", "http.response.status_code": "504", "error": "no answer" },
    }]);
    assert_eq!(json, expected);
    assert_eq!(count(&registry, "signet_spans_sent_total", "zipkin"), 1);
}

#[tokio::test]
async fn a_collector_that_hangs_costs_spans_and_neither_time_nor_memory() {
    let (address, _hangs) = zipkin().await;
    let (registry, reporter, export) = way(address);
    let stop = CancellationToken::new();
    let mut running = JoinSet::new();
    running.spawn(export.run(stop.clone()));
    let begun = Instant::now();
    for number in 1..=10_000 {
        reporter.report(span(number));
        if number % 100 == 0 {
            tokio::task::yield_now().await;
        }
    }
    assert!(begun.elapsed() < Duration::from_secs(1));
    let dropped = "signet_spans_dropped_total";
    let full = count(&registry, dropped, "queue_full");
    // A batch is under way, and the queue is full.
    assert!(
        (10_000 - 2048 - 512..=10_000 - 2048).contains(&full),
        "{full}"
    );
    let stopped = Instant::now();
    stop.cancel();
    running.join_all().await;
    assert!(stopped.elapsed() < FLUSH * 2, "{:?}", stopped.elapsed());
    assert_eq!(count(&registry, dropped, "stopping"), 10_000 - full);
}

#[tokio::test]
async fn what_a_collector_refuses_is_dropped_and_what_it_cannot_take_now_is_sent_again() {
    let (address, listener) = zipkin().await;
    let (registry, reporter, export) = way(address);
    let stop = CancellationToken::new();
    let mut running = JoinSet::new();
    running.spawn(export.run(stop.clone()));
    reporter.report(span(1));
    next(&listener, "400 Bad Request").await;
    reporter.report(span(2));
    next(&listener, "503 Service Unavailable").await;
    let (_, again) = next(&listener, "202 Accepted").await;
    assert_eq!(again[0]["id"], "0000000000000002");
    while count(&registry, "signet_spans_sent_total", "") == 0 {
        tokio::task::yield_now().await;
    }
    stop.cancel();
    running.join_all().await;
    assert_eq!(
        count(&registry, "signet_spans_dropped_total", "\"refused\""),
        1
    );
    assert_eq!(count(&registry, "signet_spans_sent_total", ""), 1);
}
