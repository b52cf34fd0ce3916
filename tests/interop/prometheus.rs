//! Prometheus reads the metrics of proxies, and answers who calls whom how often, with how many
//! errors, and how long it takes.

use std::path::Path;

use serde_json::Value;

use crate::{
    collector::Collector,
    testbed::{Bed, Hops, Process, Server, free_port},
};

/// A Prometheus that reads from these ports.
fn start(bed: &Bed, ports: &[u16]) -> Collector {
    let targets: Vec<_> = ports.iter().map(|it| format!("'127.0.0.1:{it}'")).collect();
    let settings = format!(
        "global: {{ scrape_interval: 1s, scrape_timeout: 1s }}
scrape_configs:
- job_name: signet-proxy
  metrics_path: /stats/prometheus
  static_configs: [{{ targets: [{}] }}]
",
        targets.join(", ")
    );
    let settings = bed.write("prometheus.yml", &settings);
    let port = free_port();
    let arguments = [
        format!("--config.file={}", settings.display()),
        format!("--storage.tsdb.path={}", bed.path("series").display()),
        format!("--web.listen-address=127.0.0.1:{port}"),
    ];
    let arguments: Vec<_> = arguments.iter().map(String::as_str).collect();
    let log = bed.path("prometheus.log");
    let process = Process::start(Path::new("prometheus"), &arguments, log);
    Collector::new(process, port, "/-/ready")
}

/// The series that answer a query: the values of these labels, and the number.
fn series(answer: &Value, labels: &[&str]) -> Vec<(Vec<String>, f64)> {
    let text = |value: &Value| value.as_str().unwrap_or_default().to_owned();
    let series = answer["data"]["result"].as_array().unwrap().iter();
    let mut series: Vec<_> = series
        .map(|it| {
            let labels = labels.iter().map(|label| text(&it["metric"][*label]));
            (labels.collect(), text(&it["value"][1]).parse().unwrap())
        })
        .collect();
    series.sort_by(|(one, _), (other, _): &(Vec<String>, f64)| one.cmp(other));
    series
}

/// The path of a query.
fn query(text: &str) -> String {
    let encoded: String = text
        .bytes()
        .map(|byte| match byte.is_ascii_alphanumeric() {
            true => char::from(byte).to_string(),
            false => format!("%{byte:02X}"),
        })
        .collect();
    format!("/api/v1/query?query={encoded}")
}

#[test]
fn prometheus_answers_how_often_with_how_many_errors_and_how_fast_each_service_calls_another() {
    let ports = [(); 3].map(|()| free_port());
    let bed = Bed::new();
    let hops = Hops::with(Server::start(&bed), |name| {
        let names = ["client", "middle", "end"];
        let at = names.iter().position(|it| *it == name).unwrap();
        format!("mesh: []\nadmin: {{ listen: '127.0.0.1:{}' }}\n", ports[at])
    });
    let prometheus = start(&bed, &ports);
    let calls = || {
        assert!(hops.get("/hello", "").contains(" 200 "));
        assert!(hops.get("/broken", "").contains(" 500 "));
    };
    let up = query("count(up == 1)");
    prometheus.tells(
        &up,
        || {},
        |answer| {
            series(answer, &[])
                .first()
                .filter(|(_, count)| *count == 3.0)
                .map(drop)
        },
    );
    let pairs = [["client", "middle"], ["middle", "end"]];
    let pairs = pairs.map(|pair| pair.map(|it| format!("spiffe://example.org/{it}")).to_vec());
    let by = ["source_principal", "destination_principal"];
    let told = |text: &str| {
        let text = text.replace("BY", "source_principal, destination_principal");
        let numbers = prometheus.tells(&query(&text), calls, |answer| {
            let series = series(answer, &by);
            let is_each = series.iter().map(|(pair, _)| pair).eq(&pairs);
            let is_any = series
                .iter()
                .all(|(_, number)| number.is_finite() && *number > 0.0);
            (is_each && is_any).then_some(series)
        });
        numbers
            .into_iter()
            .map(|(_, number)| number)
            .collect::<Vec<_>>()
    };
    told("sum by (BY) (rate(istio_requests_total{reporter=\"destination\"}[10s]))");
    // The one in the middle answers 200, whatever it is told.
    let errors = query(
        "sum by (destination_principal) \
         (rate(istio_requests_total{reporter=\"source\", response_code=~\"5..\"}[10s])) > 0",
    );
    prometheus.tells(&errors, calls, |answer| {
        let series = series(answer, &["destination_principal"]);
        let who: Vec<_> = series.iter().flat_map(|(labels, _)| labels).collect();
        (who == ["spiffe://example.org/middle"]).then_some(())
    });
    let quantile = told(
        "histogram_quantile(0.99, sum by (le, BY) \
         (rate(istio_request_duration_milliseconds_bucket{reporter=\"destination\"}[10s])))",
    );
    assert!(quantile.iter().all(|it| *it < 60_000.0), "{quantile:?}");
}
