//! Documents as people have them are read without a warning, and mean what they mean there.

use super::*;

const MESH: &str = r#"
apiVersion: telemetry.istio.io/v1alpha1
kind: Telemetry
metadata:
  name: mesh-default
  namespace: istio-system
spec:
  accessLogging:
  - providers:
    - name: envoy
    filter:
      expression: "response.code >= 400"
  tracing:
  - providers:
    - name: localtrace
    customTags:
      foo:
        literal:
          value: bar
      host:
        header: { name: X-Host, defaultValue: "" }
      node:
        environment: { name: NODE, defaultValue: unknown }
    randomSamplingPercentage: 12.5
  metrics:
  - providers:
    - name: prometheus
    overrides:
    - match:
        metric: ALL_METRICS
        mode: CLIENT
      disabled: true
    - match: { metric: REQUEST_COUNT }
      tagOverrides:
        grpc_response_status:
          operation: REMOVE
        tier:
          operation: UPSERT
          value: "'front'"
        zone: { value: '"a b"' }
---
apiVersion: telemetry.istio.io/v1
kind: Telemetry
metadata:
  name: quiet
  namespace: shop
spec:
  selector:
    matchLabels:
      app: web
  accessLogging:
  - match:
      mode: CLIENT
    disabled: true
  tracing:
  - match: { mode: SERVER }
    disableSpanReporting: true
    useRequestIdForTraceSampling: false
    enableIstioTags: false
"#;

#[test]
fn what_is_said_for_the_mesh_is_told_by_every_workload() {
    let model = model(MESH);
    assert_eq!(model.warnings(), []);
    let told = told(&model, "zoo/a");
    for side in [Side::Client, Side::Server] {
        let logs = told.access_log(side).expect("a log");
        assert_eq!(logs.len(), 1);
        assert_eq!(logs[0].provider.as_deref(), Some("envoy"));
        let filter = logs[0].filter.as_ref().expect("a filter");
        assert!(filter.keeps(Some(404)) && !filter.keeps(Some(200)) && !filter.keeps(None));
        let tracing = told.tracing(side).expect("tracing");
        assert_eq!(tracing.provider.as_deref(), Some("localtrace"));
        assert_eq!(tracing.sampling.expect("a share").to_string(), "12.5%");
        assert!(tracing.reports_spans && tracing.uses_request_id && tracing.has_istio_tags);
        let metrics = told.metrics(side).expect("metrics");
        assert_eq!(metrics.len(), 1);
        assert_eq!(metrics[0].provider.as_deref(), Some("prometheus"));
        for metric in Metric::ALL {
            assert_eq!(
                metrics[0].is_disabled(metric),
                side == Side::Client,
                "{metric}"
            );
        }
        assert_eq!(
            tags(&told, side, Metric::RequestCount),
            ["-grpc_response_status", "tier=front", "zone=a b"]
        );
        assert!(tags(&told, side, Metric::RequestSize).is_empty());
    }
    let documents: Vec<_> = told.documents().map(|it| it.name.to_string()).collect();
    assert_eq!(documents, ["istio-system/mesh-default"]);
}

#[test]
fn each_custom_tag_says_where_its_value_is_from() {
    let told = told(&model(MESH), "zoo/a");
    let tags = &told.tracing(Side::Client).expect("tracing").custom_tags;
    assert_eq!(tags["foo"], CustomTag::Literal("bar".into()));
    let header = CustomTag::Header {
        name: "x-host".parse().expect("a name"),
        default: Some("".into()),
    };
    assert_eq!(tags["host"], header);
    let environment = CustomTag::Environment {
        name: "NODE".into(),
        default: Some("unknown".into()),
    };
    assert_eq!(tags["node"], environment);
    assert_eq!(tags.len(), 3);
}

#[test]
fn what_is_said_for_a_workload_is_about_the_side_that_it_names() {
    let told = told(&model(MESH), "shop/web");
    assert_eq!(logs(&told, Side::Client), Some(vec![]));
    assert_eq!(logs(&told, Side::Server), Some(vec!["envoy".to_owned()]));
    let client = told.tracing(Side::Client).expect("tracing");
    let server = told.tracing(Side::Server).expect("tracing");
    assert!(client.reports_spans && client.uses_request_id && client.has_istio_tags);
    assert!(!server.reports_spans && !server.uses_request_id && !server.has_istio_tags);
    assert_eq!(server.provider.as_deref(), Some("localtrace"));
    let lines: Vec<_> = told.documents().map(|it| it.line).collect();
    assert_eq!(lines, [42, 2]);
}

#[test]
fn where_no_document_says_anything_the_proxy_is_asked() {
    let nothing = Telemetries::default();
    let workload = Workload {
        namespace: "shop".to_owned(),
        labels: BTreeMap::new(),
    };
    let told = nothing.for_workload(&workload, "istio-system");
    for side in [Side::Client, Side::Server] {
        assert_eq!(told.access_log(side), None);
        assert_eq!(told.metrics(side), None);
        assert_eq!(told.tracing(side), None);
    }
}
