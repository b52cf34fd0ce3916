//! Reads the `spec` of a `Telemetry`.

use super::{access_log::AccessLogging, metrics::MetricsItem, tracing::TracingItem};
use crate::{
    object::{Level, Object},
    problem::Problems,
    read::table::Schema,
};

/// What a `Telemetry` says, in three sections; one that was not written is empty.
#[derive(Debug, Clone)]
pub(crate) struct Telemetry {
    pub(super) access_logging: Vec<AccessLogging>,
    pub(super) metrics: Vec<MetricsItem>,
    pub(super) tracing: Vec<TracingItem>,
}

impl Telemetry {
    /// What of it is not carried by proxies yet.
    pub(super) fn not_carried(&self) -> [Option<&'static str>; 5] {
        let of_metrics = |item: &MetricsItem| item.providers().any(|name| name != PROMETHEUS);
        let of_logs = |item: &AccessLogging| item.providers().any(|name| name != ENVOY);
        let of_tracing =
            |item: &TracingItem| item.provider().is_some_and(|it| !SPANS.contains(&it));
        let (logs, tracing) = (&self.access_logging, &self.tracing);
        [
            logs.iter()
                .any(of_logs)
                .then_some("accessLogging.providers but `envoy`"),
            tracing
                .iter()
                .any(of_tracing)
                .then_some("tracing.providers but `otlp` and `zipkin`"),
            // Whoever writes documents would read what only the proxy may know.
            tracing
                .iter()
                .any(TracingItem::reads_environment)
                .then_some("tracing.customTags of the environment"),
            tracing
                .iter()
                .any(TracingItem::samples_by_request_id)
                .then_some("tracing.useRequestIdForTraceSampling"),
            self.metrics
                .iter()
                .any(of_metrics)
                .then_some("metrics.providers but `prometheus`"),
        ]
    }
}

/// The `Telemetry` that an object holds.
pub(crate) fn read(object: Object<'_>, problems: &mut Problems) -> Level<Telemetry> {
    let (table, level) = Level::open(object, SPEC, problems);
    if table.has_only(&["selector"]) {
        let what = format!("Telemetry {} says nothing", level.object.name);
        let remedy = "write accessLogging, metrics or tracing, or remove the document";
        problems.warn(level.object.line, what, remedy);
    }
    level.saying(Telemetry {
        access_logging: table
            .take("accessLogging", problems, AccessLogging::read)
            .unwrap_or_default(),
        metrics: table
            .take("metrics", problems, MetricsItem::read)
            .unwrap_or_default(),
        tracing: table
            .take("tracing", problems, TracingItem::read)
            .unwrap_or_default(),
    })
}

const SPEC: Schema = Schema {
    read: &["selector", "accessLogging", "metrics", "tracing"],
    bookkeeping: &[],
    not_yet: &[
        ("targetRef", "select workloads with `selector.matchLabels`"),
        ("targetRefs", "select workloads with `selector.matchLabels`"),
    ],
};

/// Istio's name of who takes metrics when nobody is named.
const PROMETHEUS: &str = "prometheus";
/// Istio's name of the proxy's own access log.
const ENVOY: &str = "envoy";
/// Those to whom proxies can send spans.
const SPANS: [&str; 2] = ["otlp", "zipkin"];
