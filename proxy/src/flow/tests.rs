//! What a record says of its connection or request.

use std::{collections::BTreeMap, sync::atomic::Ordering};

use signet_daemon::metrics::Registry;
use signet_mesh::{Side, Workload};
use tokio::sync::watch;

use super::*;
use crate::{
    metrics::{Between, Metrics, Party, Security},
    testing::{lines, who},
};

fn request() -> Flow {
    let request = http::Request::get("/hello?who").body(()).unwrap();
    Flow::request(who(), &request, HeaderValue::from_static("r-1"))
}

#[tokio::test(start_paused = true)]
async fn a_request_has_one_line_with_who_what_bytes_times_and_its_end() {
    let (told, ()) = lines(async {
        let mut flow = request();
        flow.who.other = Other::Peer("spiffe://example.org/web".into());
        flow.permitted(&PermitWhy::NoAllowPolicy);
        tokio::time::sleep(std::time::Duration::from_millis(7)).await;
        flow.answered(StatusCode::OK, &HeaderMap::new());
        flow.traffic().add_sent(5);
        flow.end(End::Complete);
    })
    .await;
    assert_eq!(told.lines().count(), 1, "{told}");
    for part in [
        "GET /hello port=\"web\" peer=\"spiffe://example.org/web\" client=127.0.0.1:9 status=200",
        "permitted_by=permitted: no ALLOW policy restricts this workload response_flags=\"-\" bytes_received=0 bytes_sent=5",
        "duration_ms=7 upstream_ms=7 request_id=\"r-1\"",
    ] {
        assert!(told.contains(part), "{part} in {told}");
    }
}

#[tokio::test]
async fn what_ended_a_flow_first_is_what_it_ended_by() {
    let (told, ()) = lines(async {
        let mut flow = request();
        flow.end(End::Upstream(Upstream::Timeout("no answer".into())));
        flow.end(End::Complete);
    })
    .await;
    assert!(
        told.contains("reason=\"no answer\" response_flags=\"UT\""),
        "{told}"
    );
}

#[tokio::test]
async fn a_cut_ends_whatever_is_under_way_on_the_connection() {
    let (told, ()) = lines(async {
        let flow = request();
        flow.who
            .cut
            .set(End::Policy(Policy::Withdrawn("denied now".into())));
        drop(flow);
    })
    .await;
    assert!(told.contains("reason=\"denied now\""), "{told}");
}

#[tokio::test]
async fn a_connection_that_was_refused_is_a_warning() {
    let (told, ()) = lines(async {
        let mut flow = Flow::connection(who(), Instant::now());
        flow.end(End::Policy(Policy::Denied(Denial::of_test("no rule"))));
    })
    .await;
    assert!(
        told.contains("WARN") && told.contains("connection denied: no rule"),
        "{told}"
    );
}

/// Somebody whose calls are counted, and what that is told by.
fn observed() -> (Who, Registry, Connections) {
    let registry = Registry::new();
    let workload = Workload {
        namespace: "shop".to_owned(),
        labels: BTreeMap::new(),
    };
    let (_, identity) = watch::channel(None);
    let connections = Connections::default();
    let observer = Observer::new(Watching {
        metrics: Arc::new(Metrics::new(&registry, &workload, identity)),
        connections: connections.clone(),
    });
    let between = Between::from(Party::default(), Security::None);
    let mut who = who();
    let connection = observer.connection(between, &who.recorder.name, who.client, &who.other);
    who.observed = Some(Arc::new(connection));
    (who, registry, connections)
}

/// The values of the series of a metric that have this.
fn told(registry: &Registry, metric: &str, having: &str) -> Vec<String> {
    let text = registry.text();
    let lines = text.lines().filter(|line| line.starts_with(metric));
    let lines = lines.filter(|line| line.contains(having));
    let value = |line: &str| line.rsplit(' ').next().unwrap().to_owned();
    lines.map(value).collect()
}

#[tokio::test]
async fn a_request_is_counted_as_it_ended_and_its_copy_is_not() {
    let (who, registry, connections) = observed();
    let request = http::Request::get("/").body(()).unwrap();
    let mut flow = Flow::request(who, &request, HeaderValue::from_static("r-1"));
    drop(flow.copy());
    flow.end(End::Upstream(Upstream::Timeout("slow".into())));
    flow.answered(StatusCode::GATEWAY_TIMEOUT, &HeaderMap::new());
    flow.traffic().add_sent(7);
    assert_eq!(connections.list().len(), 1);
    drop(flow);
    let requests = "istio_requests_total";
    assert_eq!(told(&registry, requests, "response_flags=\"UT\""), ["1"]);
    assert_eq!(told(&registry, requests, ""), ["1"]);
    assert_eq!(told(&registry, "istio_response_bytes_sum", ""), ["7.0"]);
    assert!(connections.list().is_empty());
}

#[tokio::test]
async fn the_status_and_messages_of_grpc_are_those_of_its_trailers_and_bodies() {
    let (who, registry, _) = observed();
    let request = http::Request::post("/").body(()).unwrap();
    let mut flow = Flow::request(who, &request, HeaderValue::from_static("r-1"));
    let received = flow.of_grpc().unwrap();
    received.fetch_add(2, Ordering::Relaxed);
    flow.answered(StatusCode::OK, &HeaderMap::new());
    // Three messages without content.
    flow.frame(&Frame::data(Bytes::from_static(&[0; 15])));
    let status = (
        "grpc-status".parse().unwrap(),
        HeaderValue::from_static("14"),
    );
    flow.frame(&Frame::trailers(HeaderMap::from_iter([status])));
    drop(flow);
    let unavailable = "grpc_response_status=\"14\"";
    for (metric, messages) in [("request", "2"), ("response", "3")] {
        let metric = format!("istio_{metric}_messages_total");
        assert_eq!(told(&registry, &metric, unavailable), [messages]);
    }
}

#[tokio::test]
async fn bytes_of_a_connection_are_counted_while_it_is_open() {
    let (who, registry, connections) = observed();
    let flow = Flow::tcp(who, Instant::now(), None);
    flow.traffic().add_received(5);
    connections.count();
    let received = "istio_tcp_received_bytes_total";
    assert_eq!(told(&registry, received, ""), ["5"]);
    flow.traffic().add_received(2);
    drop(flow);
    assert_eq!(told(&registry, received, ""), ["7"]);
    for metric in ["opened", "closed"] {
        let metric = format!("istio_tcp_connections_{metric}_total");
        assert_eq!(told(&registry, &metric, ""), ["1"]);
    }
}

#[tokio::test]
async fn what_a_policy_denied_is_counted_by_the_policy() {
    let (who, registry, _) = observed();
    let mut flow = Flow::connection(who, Instant::now());
    flow.end(End::Policy(Policy::Denied(Denial::of_test("no rule"))));
    drop(flow);
    let denied = told(
        &registry,
        "signet_proxy_denied_total",
        "policy=\"shop/test\"",
    );
    assert_eq!(denied, ["1"]);
}

#[tokio::test(start_paused = true)]
async fn what_a_client_wrote_stays_within_its_line_and_its_quotes_in_istios_forms() {
    let recorder = crate::testing::recorder(&crate::testing::telling(
        crate::config::AccessLogFormat::IstioText,
        None,
    ));
    let who = Who { recorder, ..who() };
    let mut request = http::Request::get("/hello?token").body(()).unwrap();
    let agent = HeaderValue::from_bytes(b"a\" - \\\"\tb").unwrap();
    request.headers_mut().insert("user-agent", agent);
    let mut flow = Flow::request(who, &request, HeaderValue::from_static("r-1"));
    flow.hear(&mut request);
    flow.tried(&"127.0.0.1:80".into(), None);
    flow.answered(StatusCode::OK, &HeaderMap::new());
    let now = std::time::UNIX_EPOCH + std::time::Duration::from_millis(1_700_000_000_123);
    let text = flow.istio_text(&End::Complete, now);
    let begins =
        "[2023-11-14T22:13:20.123Z] \"GET /hello HTTP/1.1\" 200 - via_upstream - \"-\" 0 0 ";
    assert!(text.starts_with(begins), "{text}");
    let ends = " \"-\" \"a\\\" - \\\\\\\"\\tb\" \"r-1\" \"-\" \"127.0.0.1:80\" - - 127.0.0.1:8443 \
                127.0.0.1:9 - -\n";
    assert!(text.ends_with(ends), "{text}");
    assert_eq!(text.lines().count(), 1);
    let json = flow.istio_json(&End::Complete, now);
    assert_eq!(json.lines().count(), 1);
    let json: serde_json::Value = serde_json::from_str(&json).unwrap();
    assert_eq!(json["user_agent"], "a\" - \\\"\tb");
    assert!(json["route_name"].is_null());
    drop(flow);
}

#[tokio::test]
async fn what_goes_out_says_what_was_called_and_a_cluster_only_if_it_has_one() {
    let telling = crate::testing::telling(crate::config::AccessLogFormat::IstioJson, None);
    let listen = "0.0.0.0:15001".parse().unwrap();
    let who = Who {
        recorder: Arc::new(Recorder::new("out", Side::Client, listen, &telling)),
        called: Some("10.1.0.1:80".parse().unwrap()),
        server_name: Some("shop.test".into()),
        other: Other::Mesh,
        ..who()
    };
    let json = |flow: &Flow| -> serde_json::Value {
        let line = flow.istio_json(&End::Complete, std::time::UNIX_EPOCH);
        serde_json::from_str(&line).unwrap()
    };
    let mut flow = Flow::connection(who, Instant::now());
    flow.calls(80);
    let told = json(&flow);
    for (name, value) in [
        ("reporter", "source"),
        ("downstream_local_address", "10.1.0.1:80"),
        ("requested_server_name", "shop.test"),
    ] {
        assert_eq!(told[name], value, "{told:#}");
    }
    assert_eq!(told["destination_port"], 80);
    assert!(told["upstream_cluster"].is_null(), "{told:#}");
    flow.routed(&"default".into(), "outbound|80||shop.test".into());
    assert_eq!(json(&flow)["upstream_cluster"], "outbound|80||shop.test");
    drop(flow);
    let coming = json(&request());
    assert_eq!(coming["reporter"], "destination");
    assert_eq!(coming["downstream_local_address"], "127.0.0.1:8443");
}

#[tokio::test]
async fn our_own_line_of_a_redirected_connection_says_what_it_called() {
    let (told, ()) = lines(async {
        let mut who = who();
        who.called = Some("10.1.0.1:5432".parse().unwrap());
        who.server_name = Some("db.test".into());
        let mut flow = Flow::connection(who, Instant::now());
        flow.calls(5432);
        flow.end(End::Complete);
    })
    .await;
    let part = "destination_port=5432 downstream_local_address=10.1.0.1:5432 \
                requested_server_name=\"db.test\"";
    assert!(told.contains(part), "{told}");
}
