//! What is told of calls that were counted.

use std::collections::BTreeMap;

use signet_mesh::{Model, Source};
use tokio::sync::watch;

use super::*;

struct Counting {
    registry: Registry,
    metrics: Arc<Metrics>,
}

impl Counting {
    fn start() -> Self {
        let registry = Registry::new();
        let labels = [("app", "shop"), ("version", "v1")];
        let labels = labels.map(|(name, value)| (name.to_owned(), value.to_owned()));
        let workload = Workload {
            namespace: "shop".to_owned(),
            labels: BTreeMap::from(labels),
        };
        let (_, identity) = watch::channel(None);
        let metrics = Arc::new(Metrics::new(&registry, &workload, identity));
        Self { registry, metrics }
    }

    fn follow(&self, spec: &str) {
        let text = format!(
            "apiVersion: telemetry.istio.io/v1\nkind: Telemetry\nmetadata: {{ name: t }}\n\
             spec:\n{spec}"
        );
        let name = "t.yaml".to_owned();
        let model = Model::parse(&[Source { name, text }]).unwrap();
        let workload = Workload {
            namespace: "default".to_owned(),
            labels: BTreeMap::new(),
        };
        let model = model.for_workload(&workload, "default");
        self.metrics.follow(&model.telemetry);
    }

    fn meter(&self) -> Meter {
        let id = signet_identity::id::parse("spiffe://example.org/ns/web/sa/front").unwrap();
        let between = Between::from(Party::of_id(&id), Security::MutualTls);
        Meter::new(&self.metrics, between)
    }

    fn line(&self, start: &str) -> Vec<String> {
        let text = self.registry.text();
        let lines = text.lines().filter(|line| line.starts_with(start));
        lines.map(str::to_owned).collect()
    }
}

fn call(code: u16) -> Call {
    Call {
        outcome: Outcome {
            spoken: Spoken::Http,
            code,
            grpc: None,
            flags: "-",
        },
        micros: 700,
        bytes: Size {
            received: 3,
            sent: 2_000,
        },
        messages: Size::default(),
        retries: 0,
    }
}

#[test]
fn a_request_is_counted_with_every_label_of_istio() {
    let counting = Counting::start();
    let meter = counting.meter();
    meter.request(&call(200));
    meter.request(&call(200));
    let lines = counting.line("istio_requests_total");
    let wanted = "istio_requests_total{reporter=\"destination\",source_workload=\"unknown\",\
        source_workload_namespace=\"web\",\
        source_principal=\"spiffe://example.org/ns/web/sa/front\",source_app=\"unknown\",\
        source_version=\"unknown\",source_cluster=\"unknown\",\
        source_canonical_service=\"unknown\",source_canonical_revision=\"unknown\",\
        destination_workload=\"unknown\",destination_workload_namespace=\"shop\",\
        destination_principal=\"unknown\",destination_app=\"shop\",destination_version=\"v1\",\
        destination_cluster=\"unknown\",destination_canonical_service=\"shop\",\
        destination_canonical_revision=\"v1\",destination_service=\"unknown\",\
        destination_service_name=\"shop\",destination_service_namespace=\"shop\",\
        request_protocol=\"http\",response_code=\"200\",grpc_response_status=\"\",\
        response_flags=\"-\",connection_security_policy=\"mutual_tls\"} 2";
    assert_eq!(lines, [wanted]);
    for (metric, value) in [
        ("istio_request_duration_milliseconds_sum", " 1.4"),
        ("istio_request_bytes_sum", " 6.0"),
        ("istio_response_bytes_sum", " 4000.0"),
    ] {
        let lines = counting.line(metric);
        assert!(lines.iter().all(|line| line.ends_with(value)), "{lines:?}");
        assert_eq!(lines.len(), 1, "{metric}");
    }
}

#[test]
fn every_outcome_has_its_series_however_many_there_are() {
    let counting = Counting::start();
    let meter = counting.meter();
    for code in 200..300 {
        meter.request(&call(code));
        meter.request(&call(code));
    }
    let lines = counting.line("istio_requests_total");
    assert_eq!(lines.len(), 100);
    assert!(lines.iter().all(|line| line.ends_with(" 2")), "{lines:?}");
}

#[test]
fn messages_are_counted_of_grpc_alone_and_retries_by_service() {
    let counting = Counting::start();
    let meter = counting.meter();
    meter.request(&call(200));
    assert!(counting.line("istio_request_messages_total").is_empty());
    let mut call = call(200);
    call.outcome.spoken = Spoken::Grpc;
    call.outcome.grpc = Some(14);
    call.messages = Size {
        received: 2,
        sent: 5,
    };
    call.retries = 2;
    meter.request(&call);
    let lines = counting.line("istio_response_messages_total");
    assert!(
        lines[0].contains("grpc_response_status=\"14\""),
        "{lines:?}"
    );
    assert!(lines[0].ends_with(" 5"), "{lines:?}");
    let lines = counting.line("signet_proxy_retries_total");
    assert_eq!(
        lines,
        ["signet_proxy_retries_total{destination_service=\"unknown\"} 2"]
    );
}

#[test]
fn connections_and_their_bytes_are_counted() {
    let counting = Counting::start();
    let meter = counting.meter();
    meter.opened();
    meter.carried(Size {
        received: 7,
        sent: 9,
    });
    meter.closed();
    for (metric, value) in [
        ("istio_tcp_connections_opened_total", " 1"),
        ("istio_tcp_connections_closed_total", " 1"),
        ("istio_tcp_received_bytes_total", " 7"),
        ("istio_tcp_sent_bytes_total", " 9"),
    ] {
        let lines = counting.line(metric);
        assert!(lines[0].ends_with(value), "{lines:?}");
        assert!(lines[0].contains("request_protocol=\"tcp\""), "{lines:?}");
    }
}

#[test]
fn a_telemetry_takes_metrics_and_tags_away_and_sets_tags_at_once() {
    let counting = Counting::start();
    let meter = counting.meter();
    meter.request(&call(200));
    counting.follow(
        "  metrics:
  - overrides:
    - { match: { metric: REQUEST_SIZE }, disabled: true }
    - match: { metric: REQUEST_COUNT, mode: SERVER }
      tagOverrides:
        source_principal: { operation: REMOVE }
        response_code: { value: \"'any'\" }
        zone: { value: \"'a'\" }
",
    );
    meter.request(&call(503));
    meter.request(&call(503));
    let lines = counting.line("istio_requests_total");
    let new = lines
        .iter()
        .find(|line| line.contains("response_code=\"any\""));
    let new = new.unwrap();
    assert!(new.contains("zone=\"a\"} 2"), "{new}");
    assert!(!new.contains("source_principal"), "{new}");
    let sizes = counting.line("istio_request_bytes_count");
    assert!(sizes.iter().all(|line| line.ends_with(" 1")), "{sizes:?}");
    assert_eq!(counting.line("istio_response_bytes_count").len(), 2);
}

#[test]
fn what_goes_to_another_provider_alone_is_not_counted_here() {
    let counting = Counting::start();
    counting.follow("  metrics:\n  - providers: [{ name: elsewhere }]\n");
    counting.meter().request(&call(200));
    assert!(counting.line("istio_requests_total").is_empty());
}
