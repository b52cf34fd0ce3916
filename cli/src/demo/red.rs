//! Rate, errors and duration of the calls from service to service, as both proxies counted them.

use std::{
    collections::BTreeMap,
    path::{Path, PathBuf},
    time::Duration,
};

use anyhow::{Context as _, ensure};
use bytes::Bytes;
use http::{Request, StatusCode, header};
use http_body_util::{BodyExt as _, Empty};
use hyper::client::conn::http1;
use hyper_util::rt::TokioIo;
use tokio::{net::UnixStream, time::timeout};

use super::{files::DemoDirectory, report::Report};

/// Who called whom, and which of the two says so.
#[derive(Debug, PartialEq, Eq, PartialOrd, Ord)]
struct Pair {
    from: String,
    to: String,
    reporter: String,
}

/// What was counted of a pair.
#[derive(Debug, Default)]
struct Red {
    requests: f64,
    errors: f64,
    /// How many took at most so many milliseconds, by the text of the bound.
    buckets: Vec<Bucket>,
}

#[derive(Debug)]
struct Bucket {
    milliseconds: f64,
    requests: f64,
}

/// One series, and its value.
#[derive(Debug)]
struct Series<'t> {
    metric: &'t str,
    labels: BTreeMap<&'t str, &'t str>,
    value: f64,
}

/// Asks both proxies, and shows what they counted in the time since they began.
pub(super) async fn show(
    directory: &DemoDirectory,
    since: Duration,
    report: &mut Report,
) -> anyhow::Result<()> {
    report.step("rate, errors and duration, from the proxies' own metrics");
    let mut pairs = BTreeMap::new();
    for workload in ["client", "shop"] {
        let text = scrape(&directory.admin_socket(workload)).await?;
        text.lines()
            .filter_map(series)
            .for_each(|it| add(&mut pairs, &it));
    }
    report.detail(&format!(
        "{:<18} {:<12} {:>9} {:>9} {:>8} {:>9} {:>9}",
        "calls", "counted by", "requests", "per s", "errors", "p50 ms", "p99 ms"
    ));
    for (Pair { from, to, reporter }, red) in &pairs {
        let errors = 100.0 * red.errors / red.requests.max(1.0);
        report.detail(&format!(
            "{:<18} {reporter:<12} {:>9} {:>9.1} {errors:>7.1}% {:>9.2} {:>9.2}",
            format!("{from} → {to}"),
            red.requests,
            red.requests / since.as_secs_f64().max(1.0),
            red.quantile(0.5),
            red.quantile(0.99),
        ));
    }
    let is_there = |reporter| {
        let mut found = pairs.iter();
        found.any(|(pair, red)| pair.reporter == reporter && red.requests > 0.0)
    };
    ensure!(
        is_there("source") && is_there("destination"),
        "a proxy has counted nothing: {pairs:?}"
    );
    report.done("the names are Istio's, so its dashboards show the same");
    Ok(())
}

/// The metrics of a proxy.
async fn scrape(socket: &Path) -> anyhow::Result<String> {
    let asking = async {
        let stream = UnixStream::connect(socket).await?;
        let (mut sender, connection) = http1::handshake(TokioIo::new(stream)).await?;
        let request = Request::get("/stats/prometheus")
            .header(header::HOST, "localhost")
            .header(header::CONNECTION, "close")
            .body(Empty::<Bytes>::new())?;
        let answering = async {
            let answer = sender.send_request(request).await?;
            let status = answer.status();
            ensure!(status == StatusCode::OK, "it answered {status}");
            let body = answer.into_body().collect().await?.to_bytes();
            drop(sender);
            anyhow::Ok(body)
        };
        let (body, ended) = tokio::join!(answering, connection);
        ended?;
        anyhow::Ok(String::from_utf8_lossy(&body?).into_owned())
    };
    let asked = timeout(LIMIT, asking).await;
    let asked = asked.context("it did not answer in time").flatten();
    asked.with_context(|| format!("the metrics at {}", socket.display()))
}

/// A line of OpenMetrics text that is a series with labels.
fn series(line: &str) -> Option<Series<'_>> {
    let (metric, rest) = line.split_once('{')?;
    let (labels, value) = rest.rsplit_once("} ")?;
    // No value of the demo has a quote in it.
    let labels = labels.split("\",").filter_map(|label| {
        let (name, value) = label.split_once("=\"")?;
        Some((name, value.trim_end_matches('"')))
    });
    Some(Series {
        metric,
        labels: labels.collect(),
        value: value.parse().ok()?,
    })
}

fn add(pairs: &mut BTreeMap<Pair, Red>, series: &Series<'_>) {
    let label = |name| series.labels.get(name).copied().unwrap_or("unknown");
    let is_count = series.metric == "istio_requests_total";
    let is_bucket = series.metric == "istio_request_duration_milliseconds_bucket";
    if !is_count && !is_bucket {
        return;
    }
    // What no endpoint got has no principal, and the service that was called.
    let to = match label("destination_principal") {
        "unknown" => label("destination_service_name"),
        id => name(id),
    };
    let pair = Pair {
        from: name(label("source_principal")).to_owned(),
        to: to.to_owned(),
        reporter: label("reporter").to_owned(),
    };
    let red = pairs.entry(pair).or_default();
    if is_count {
        red.requests += series.value;
        let code: u16 = label("response_code").parse().unwrap_or_default();
        if code == 0 || code >= 500 {
            red.errors += series.value;
        }
    } else if let Ok(bound) = label("le").parse() {
        red.add(bound, series.value);
    }
}

/// The last part of a SPIFFE ID.
fn name(id: &str) -> &str {
    id.rsplit('/').next().unwrap_or(id)
}

impl Red {
    fn add(&mut self, milliseconds: f64, requests: f64) {
        let mut buckets = self.buckets.iter_mut();
        // The bounds are the same numbers for all series.
        match buckets.find(|it| it.milliseconds.total_cmp(&milliseconds).is_eq()) {
            Some(bucket) => bucket.requests += requests,
            None => self.buckets.push(Bucket {
                milliseconds,
                requests,
            }),
        }
        self.buckets
            .sort_by(|a, b| a.milliseconds.total_cmp(&b.milliseconds));
    }

    /// What so great a part of the requests took at most, within its bucket as Prometheus guesses
    /// it (`histogram_quantile`).
    fn quantile(&self, part: f64) -> f64 {
        let all = self.buckets.last().map_or(0.0, |bucket| bucket.requests);
        let rank = all * part;
        let (mut below, mut bound) = (0.0, 0.0);
        for bucket in &self.buckets {
            if bucket.requests >= rank && bucket.milliseconds.is_finite() {
                let within = (bucket.requests - below).max(1.0);
                return bound + (bucket.milliseconds - bound) * (rank - below) / within;
            }
            (below, bound) = (bucket.requests, bucket.milliseconds.min(f64::MAX));
        }
        bound
    }
}

impl DemoDirectory {
    /// Where the proxy of a workload answers its administrator.
    pub(super) fn admin_socket(&self, workload: &str) -> PathBuf {
        self.path(&format!("{workload}-admin.sock"))
    }
}

const LIMIT: Duration = Duration::from_secs(10);

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn calls_are_added_up_by_pair_and_a_quantile_lies_within_its_bucket() {
        let labels = "reporter=\"source\",source_principal=\"spiffe://a/client\",\
                      destination_principal=\"spiffe://a/shop\"";
        let text = format!(
            "istio_requests_total{{{labels},response_code=\"200\"}} 8\n\
             istio_requests_total{{{labels},response_code=\"503\"}} 2\n\
             istio_request_duration_milliseconds_bucket{{{labels},le=\"1\"}} 5\n\
             istio_request_duration_milliseconds_bucket{{{labels},le=\"5\"}} 10\n\
             istio_request_duration_milliseconds_bucket{{{labels},le=\"+Inf\"}} 10\n"
        );
        let mut pairs = BTreeMap::new();
        text.lines()
            .filter_map(series)
            .for_each(|it| add(&mut pairs, &it));
        let (pair, red) = pairs.first_key_value().unwrap();
        assert_eq!((&*pair.from, &*pair.to), ("client", "shop"));
        assert!((red.requests - 10.0).abs() < 0.01 && (red.errors - 2.0).abs() < 0.01);
        assert!(
            (red.quantile(0.5) - 1.0).abs() < 0.01,
            "{}",
            red.quantile(0.5)
        );
        assert!(
            (red.quantile(0.9) - 4.2).abs() < 0.01,
            "{}",
            red.quantile(0.9)
        );
    }
}
